import { defineCommand, UsageError } from './command.ts';
import { readSidecar, SIDECAR_OPTIONS } from './sidecar-options.ts';

/** Reads arguments only: what a sidecar does is put together in main/. */
export const sidecar = defineCommand({
  name: 'sidecar',
  summary: 'Run the proxy of a mesh beside an application',
  usage: 'fourways sidecar --service NAME.NAMESPACE --app PORT --control HOST:PORT --token-file FILE',
  details: [
    'Others of the mesh reach the application through it by mTLS. The application reaches others through it:',
    'HTTP_PROXY=http://127.0.0.1:15001 makes most programs do so. "fourways run" sets it and starts the program.',
    'A token is needed once ("fourways token" makes one); the certificate is kept in the data folder and renewed.',
    'With --takeover a new version takes the place of the one that runs: it binds beside it, and that one then drains.',
    'Without --app it takes nothing in: the application only calls others.',
  ].join('\n'),
  json: 'One line on standard output when it serves: `{ event: "ready", identity, plan, proxy, port, pid }`. After it comes the access log.',
  options: {
    ...SIDECAR_OPTIONS,
    takeover: {
      type: 'boolean',
      description: 'Take over from the sidecar that serves from the same data folder, without losing a request',
    },
  },
  async run({ values, positionals: [more] }, io) {
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}": "fourways run" starts a program`);
    const options = readSidecar(values, io.cwd);
    if (options.user !== undefined && options.capture === undefined) {
      throw new UsageError('Option --user is of transparent capture here: add --capture transparent');
    }
    const takeover = values.takeover === true;
    if (takeover && options.capture !== undefined) {
      throw new UsageError(
        'Option --takeover cannot take over captured connections: stop the one that runs, then start',
      );
    }
    return io.programs.sidecar({ ...options, takeover });
  },
});
