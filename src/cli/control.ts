import { resolve } from 'node:path';
import { ADMIN_DEFAULT } from './admin.ts';
import { type Arguments, type ControlOptions, defineCommand, type Options } from './command.ts';
import { LOG_LEVEL_OPTION, readLogLevel, MESH_ISSUER_OPTIONS, readMeshIssuer } from './process-options.ts';
import { onePath, readHostPort } from './values.ts';

/** Every address: proxies are elsewhere. */
const MESH_DEFAULT = '0.0.0.0:15010';

const OPTIONS = {
  mesh: {
    type: 'string',
    value: 'HOST:PORT',
    description: `Where proxies join and get their plans; default ${MESH_DEFAULT}`,
  },
  ...MESH_ISSUER_OPTIONS,
  admin: {
    type: 'string',
    value: 'HOST:PORT',
    description: `Where the admin API listens; default ${ADMIN_DEFAULT}, port 0 takes a free one`,
  },
  data: {
    type: 'string',
    value: 'DIR',
    description: 'Folder that keeps the state and the last good plan; default .fourways beside the configuration',
  },
  'log-level': LOG_LEVEL_OPTION,
} as const satisfies Options;

/** Reads arguments only: what it does is put together in main/. */
export const control = defineCommand({
  name: 'control',
  summary: 'Run the control plane of a mesh alone, without a gateway',
  usage: 'fourways control PATH [--mesh HOST:PORT] [--admin HOST:PORT] [--data DIR]',
  details: [
    'PATH is as for "fourways up". No port of a Gateway is bound here: "fourways gateway" serves them, sidecars serve',
    'services, and all of them get their plans and certificates from here.',
    'With DATABASE_URL the state is in PostgreSQL, and several control planes may share it: each serves any proxy.',
  ].join('\n'),
  json:
    'One line on standard output when proxies can connect: `{ event: "ready", plan, mesh, admin, routes, problems, pid }`. ' +
    'After it comes the log, one object a line.',
  options: OPTIONS,
  run: async (args, io) => io.programs.control(readControl(args, io.cwd)),
});

function readControl({ values, positionals }: Arguments<typeof OPTIONS>, cwd: string): ControlOptions {
  const { mesh = MESH_DEFAULT, admin = ADMIN_DEFAULT, data, json = false } = values;
  return {
    path: resolve(cwd, onePath(positionals)),
    mesh: readHostPort('--mesh', mesh),
    meshIssuer: readMeshIssuer(values, cwd),
    admin: readHostPort('--admin', admin),
    dataDir: data === undefined ? undefined : resolve(cwd, data),
    logLevel: readLogLevel(values['log-level']),
    announce: json ? 'json' : 'text',
  };
}
