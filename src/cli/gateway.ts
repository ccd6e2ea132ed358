import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { TICKET_KEYS_MS } from '../base/limits.ts';
import { type Arguments, defineCommand, type GatewayOptions, type Options, UsageError } from './command.ts';
import { LOG_LEVEL_OPTION, readDrain, readLogLevel, readTicketKeys, readZone, WORKERS_MAX } from './process-options.ts';
import { SIDECAR_OPTIONS, readControls, readTrustDomain } from './sidecar-options.ts';
import { readCount, readHostPort, readRedisUrl } from './values.ts';

/** Not that of a control plane, which may be on the same host. */
const GATEWAY_ADMIN_DEFAULT = '127.0.0.1:9901';

/** Of one message in which they are asked for. */
const NAMES_MAX = 64;

const NAME = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)\/([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)$/;

const { control, 'token-file': tokenFile, 'trust-domain': trustDomain, zone } = SIDECAR_OPTIONS;

const OPTIONS = {
  name: {
    type: 'string',
    multiple: true,
    value: 'NAMESPACE/NAME',
    description: 'Gateway to serve; several for several of them',
  },
  control,
  'token-file': tokenFile,
  'trust-domain': trustDomain,
  account: {
    type: 'string',
    value: 'NAME',
    description: 'Account that it has in the namespace of the first Gateway; default the name of that Gateway',
  },
  bind: {
    type: 'string',
    value: 'ADDR',
    description: 'IP address for Gateways without spec.addresses; without it, every address',
  },
  address: {
    type: 'string',
    value: 'ADDR',
    description: 'IP address at which clients reach this host, for the status of its Gateways; default that of --bind',
  },
  zone,
  admin: {
    type: 'string',
    value: 'HOST:PORT',
    description: `Where the admin API listens; default ${GATEWAY_ADMIN_DEFAULT}, port 0 takes a free one`,
  },
  workers: { type: 'string', value: 'N', description: 'Worker threads that serve traffic; default one for each core' },
  data: {
    type: 'string',
    value: 'DIR',
    description: 'Folder that keeps the certificate and the last good plan; default .fourways/gateway-NAMESPACE.NAME',
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
  'log-level': LOG_LEVEL_OPTION,
} as const satisfies Options;

/** Reads arguments only: what it does is put together in main/. */
export const gateway = defineCommand({
  name: 'gateway',
  summary: 'Run a gateway whose configuration comes from a control plane',
  usage: 'fourways gateway --name NAMESPACE/NAME --control HOST:PORT --token-file FILE',
  details: [
    'It serves the Gateways that it is given by name, as a member of the mesh: its identity is the account of the name of',
    'the first one, in its namespace. Another account may serve a Gateway that names it in the annotation',
    'fourways.io/served-by: NAMESPACE/ACCOUNT, several with commas.',
    'A token is needed once ("fourways token" makes one). Certificate and plan are kept in the data folder, sealed, and',
    'serve a start without a control plane.',
  ].join('\n'),
  json:
    'One line on standard output when it serves: `{ event: "ready", identity, plan, listening: [url], admin, pid }`. ' +
    'After it come the log and the access log, one object a line.',
  options: OPTIONS,
  async run(args, io) {
    const [more] = args.positionals;
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}": Gateways are given with --name`);
    return io.programs.gateway(readGateway(args, io.cwd));
  },
});

function readGateway({ values }: Arguments<typeof OPTIONS>, cwd: string): GatewayOptions {
  const { name: gateways = [], account, bind, workers, data, zone: inZone, json = false } = values;
  const [first] = gateways;
  if (first === undefined) throw new UsageError('Option --name is missing: NAMESPACE/NAME of a Gateway');
  if (gateways.length > NAMES_MAX) throw new UsageError(`Option --name is given more than ${NAMES_MAX} times`);
  const wrong = gateways.find((one) => !NAME.test(one));
  if (wrong !== undefined) throw new UsageError(`Option --name is "${wrong}": must be NAMESPACE/NAME of a Gateway`);
  const [namespace = '', name = ''] = first.split('/');
  const address = values.address ?? bind ?? '';
  for (const [option, text] of [
    ['--bind', bind],
    ['--address', address],
  ] as const) {
    if (text !== undefined && text !== '' && isIP(text) === 0) {
      throw new UsageError(`Option ${option} is "${text}": must be an IP address`);
    }
  }
  return {
    id: { trustDomain: readTrustDomain(values['trust-domain']), namespace, account: account ?? name },
    gateways,
    control: readControls(values.control),
    tokenFile: values['token-file'] === undefined ? undefined : resolve(cwd, values['token-file']),
    admin: readHostPort('--admin', values.admin ?? GATEWAY_ADMIN_DEFAULT),
    bind,
    address,
    zone: readZone(inZone),
    workers: workers === undefined ? 0 : readCount('--workers', workers, { min: 1, max: WORKERS_MAX }),
    dataDir: resolve(cwd, data ?? join('.fourways', `gateway-${namespace}.${name}`)),
    drainMs: readDrain(values.drain),
    ticketKeysMs: values['ticket-keys'] === undefined ? TICKET_KEYS_MS : readTicketKeys(values['ticket-keys']),
    redisUrl: values.redis === undefined ? undefined : readRedisUrl('--redis', values.redis),
    logLevel: readLogLevel(values['log-level']),
    announce: json ? 'json' : 'text',
  };
}
