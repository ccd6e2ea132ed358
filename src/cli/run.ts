import { defineCommand, UsageError } from './command.ts';
import { readSidecar, SIDECAR_OPTIONS } from './sidecar-options.ts';

export const run = defineCommand({
  name: 'run',
  summary: 'Run an application together with its sidecar',
  usage:
    'fourways run --service NAME.NAMESPACE --app PORT --control HOST:PORT --token-file FILE -- COMMAND [ARGUMENT …]',
  details: [
    'The command is started when the sidecar serves, with HTTP_PROXY set to it; it needs no other change.',
    'With --capture transparent there is no HTTP_PROXY: names of services are resolved, and their ports lead here.',
    'Signals are passed on. When it is to end, the sidecar says farewell first, so that nobody calls it any more;',
    'when the command ends by itself, the sidecar ends too, with its exit code.',
  ].join('\n'),
  json: 'One line on standard output when the command is started: `{ event: "ready", identity, plan, proxy, port, pid }`.',
  options: SIDECAR_OPTIONS,
  async run({ values, positionals: [program, ...rest] }, io) {
    if (program === undefined) throw new UsageError('Expected a command behind "--"');
    const options = readSidecar(values, io.cwd);
    if (options.capture !== undefined && options.user === undefined) {
      throw new UsageError('Option --user is missing: a captured command runs as another user than its sidecar');
    }
    return io.programs.run({ ...options, command: [program, ...rest] });
  },
});
