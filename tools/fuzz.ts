/**
 * `npm run fuzz [-- --seconds N]`: runs every fuzz target (`NAME.fuzz.ts`) one after the other, sharing the time.
 * A find is printed with its seed and ends the run with 1; it becomes a row of the corpus before it is mended.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { parseArgs } from 'node:util';

const ROOT = new URL('..', import.meta.url).pathname;

/** Beyond its time a target has hung, which is a find as well. */
const GRACE_SECONDS = 20;

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } });
const targets = globSync('{src,test}/**/*.fuzz.ts', { cwd: ROOT }).toSorted();
// A run that looked at nothing must not pass.
if (targets.length === 0) throw new Error('Cannot fuzz: there is no target');
const seconds = Math.max(1, Math.floor(Number(values.seconds) / targets.length));

for (const target of targets) {
  console.log(`${target}, ${seconds} s`);
  const { status, error } = spawnSync(process.execPath, [target, '--seconds', String(seconds)], {
    cwd: ROOT,
    stdio: 'inherit',
    timeout: (seconds + GRACE_SECONDS) * 1_000,
  });
  if (error !== undefined) console.error(`${target}: ${error.message}`);
  if (status !== 0) process.exitCode = 1;
}
