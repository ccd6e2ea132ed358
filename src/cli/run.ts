import { defineCommand, UsageError } from './command.ts';
import { readSidecar, SIDECAR_OPTIONS } from './sidecar-options.ts';

export const run = defineCommand({
  name: 'run',
  summary: 'Run an application together with its sidecar',
  usage:
    'fourways run --service NAME.NAMESPACE --app PORT --control HOST:PORT --token-file FILE -- COMMAND [ARGUMENT …]',
  details: [
    'The command is started when the sidecar serves, with HTTP_PROXY set to it; it needs no other change.',
    'Signals are passed on. When it is to end, the sidecar says farewell first, so that nobody calls it any more;',
    'when the command ends by itself, the sidecar ends too, with its exit code.',
  ].join('\n'),
  json: 'One line on standard output when the command is started: `{ event: "ready", identity, plan, proxy, port, pid }`.',
  options: SIDECAR_OPTIONS,
  async run({ values, positionals: [program, ...rest] }, io) {
    if (program === undefined) throw new UsageError('Expected a command behind "--"');
    return io.programs.run({ ...readSidecar(values, io.cwd), command: [program, ...rest] });
  },
});
