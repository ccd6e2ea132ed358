import { readFileSync } from 'node:fs';
import { defineCommand } from './command.ts';

export const version = defineCommand({
  name: 'version',
  summary: 'Print the version',
  usage: 'fourways version [--json]',
  json: '`{ version, node, planFormat }`: version of Fourways, version of Node.js, number of the plan format.',
  options: {},

  async run({ values: { json } }, io) {
    const own = ownVersion();
    if (json === true) io.out(JSON.stringify({ version: own, node: io.nodeVersion, planFormat: PLAN_FORMAT }));
    else io.out(`fourways ${own} (Node.js ${io.nodeVersion}, plan format ${PLAN_FORMAT})`);
    return 0;
  },
});

/** Rises when a proxy of the version before could not read the plan. */
const PLAN_FORMAT = 1;

/** `package.json` stands two folders up, in a clone (src/cli) as in the package (dist/cli). */
export function ownVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
