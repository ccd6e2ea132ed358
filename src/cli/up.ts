import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { ADMIN_DEFAULT } from './admin.ts';
import { type Arguments, defineCommand, type Options, type UpOptions, UsageError } from './command.ts';
import { TICKET_KEYS_MS } from '../base/limits.ts';
import {
  LOG_LEVEL_OPTION,
  readDrain,
  readLogLevel,
  readTicketKeys,
  readZone,
  WORKERS_MAX,
  ZONE_OPTION,
  MESH_ISSUER_OPTIONS,
  readMeshIssuer,
} from './process-options.ts';
import { onePath, readCount, readHostPort, readRedisUrl } from './values.ts';

const OPTIONS = {
  bind: {
    type: 'string',
    value: 'ADDR',
    description: 'IP address for Gateways without spec.addresses; without it, every address',
  },
  admin: {
    type: 'string',
    value: 'HOST:PORT',
    description: `Where the admin API listens; default ${ADMIN_DEFAULT}, port 0 takes a free one`,
  },
  workers: { type: 'string', value: 'N', description: 'Worker threads that serve traffic; default one for each core' },
  data: {
    type: 'string',
    value: 'DIR',
    description: 'Folder that keeps the last good plan; default .fourways beside the configuration',
  },
  drain: {
    type: 'string',
    value: 'TIME',
    description: 'How long running requests may take to finish after SIGTERM; default 30s',
  },
  'ticket-keys': {
    type: 'string',
    value: 'TIME',
    description: 'How often the keys of TLS session tickets are replaced; default 12h',
  },
  redis: {
    type: 'string',
    value: 'URL',
    description: 'Redis that all proxies share; default the variable REDIS_URL, where others do not see its password',
  },
  mesh: {
    type: 'string',
    value: 'HOST:PORT',
    description: 'Be the control plane of a mesh, too: where its proxies join and get their plans',
  },
  ...MESH_ISSUER_OPTIONS,
  zone: ZONE_OPTION,
  takeover: { type: 'boolean', description: 'Take the ports over from a Fourways that runs; it drains and ends' },
  'log-level': LOG_LEVEL_OPTION,
} as const satisfies Options;

/** Reads arguments only: what `up` does is put together in main/. */
export const up = defineCommand({
  name: 'up',
  summary: 'Run the gateway with the configuration in a file or folder',
  usage: 'fourways up PATH [--bind ADDR] [--admin HOST:PORT] [--workers N] [--data DIR] [--drain TIME]',
  details: [
    'PATH is a folder of Gateway API manifests, one manifest file, a short form (fourways.yaml) or a',
    'TypeScript configuration (fourways.config.ts). It is watched: a change is served as soon as it is saved,',
    'a wrong change is refused and the last good configuration goes on serving.',
    'SIGTERM and Ctrl-C stop accepting, let running requests finish, then end. A second Ctrl-C ends at once.',
  ].join('\n'),
  json:
    'One line on standard output when it serves: `{ event: "ready", plan, listening: [url], admin?, workers, routes, problems, pid }`. ' +
    'After it come the log and the access log, one object a line.',
  options: OPTIONS,
  run: async (args, io) => io.programs.up(readUp(args, io.cwd)),
});

function readUp({ values, positionals }: Arguments<typeof OPTIONS>, cwd: string): UpOptions {
  const { bind, admin = ADMIN_DEFAULT, workers, data, drain, mesh, zone, takeover = false, json = false } = values;
  const { 'ticket-keys': ticketKeys } = values;
  if (bind !== undefined && isIP(bind) === 0) {
    throw new UsageError(`Option --bind is "${bind}": must be an IP address, for example 0.0.0.0 or ::1`);
  }
  return {
    path: resolve(cwd, onePath(positionals)),
    bind,
    admin: readHostPort('--admin', admin),
    workers: workers === undefined ? 0 : readCount('--workers', workers, { min: 1, max: WORKERS_MAX }),
    dataDir: data === undefined ? undefined : resolve(cwd, data),
    drainMs: readDrain(drain),
    ticketKeysMs: ticketKeys === undefined ? TICKET_KEYS_MS : readTicketKeys(ticketKeys),
    redisUrl: values.redis === undefined ? undefined : readRedisUrl('--redis', values.redis),
    mesh: mesh === undefined ? undefined : readHostPort('--mesh', mesh),
    meshIssuer: readMeshIssuer(values, cwd),
    zone: readZone(zone),
    takeover,
    logLevel: readLogLevel(values['log-level']),
    announce: json ? 'json' : 'text',
  };
}
