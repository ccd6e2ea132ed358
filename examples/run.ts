/**
 * `npm run example -- NAME`: the services of an example and the gateway before them, until Ctrl-C.
 *
 * `--free-ports` takes a copy of the example, with ports that nobody has.
 * `--try` runs every step of such a copy instead of waiting, and says whether each shows what it should.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { copyExample, type Example, exampleNames, readExample, startExample, TOOLS, tryStep } from './example.ts';

const OPTIONS = { try: { type: 'boolean' }, 'free-ports': { type: 'boolean' } } as const;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [name] = positionals;
  if (name === undefined || positionals.length > 1) {
    console.error(
      `Name one example: npm run example -- NAME [--try] [--free-ports]\n\n  ${exampleNames().join('\n  ')}`,
    );
    return 2;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'fourways-example-'));
  const data = join(scratch, 'data');
  try {
    const copied = values.try === true || values['free-ports'] === true;
    const example = copied ? await copyExample(name, join(scratch, name)) : readExample(name);
    return values.try === true ? await tryAll(example, data) : await serve(example, data);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function serve(example: Example, data: string): Promise<number> {
  // Ctrl-C reaches the gateway too, which then drains; this process only waits for it. Others may signal us alone.
  process.on('SIGINT', () => undefined);
  const running = await startExample(example, { data, output: 'inherit' });
  process.on('SIGTERM', () => running.gateway.kill('SIGTERM'));
  console.log(`\n${example.title}. Try, in another terminal:\n`);
  console.log(`  cd ${example.folder}\n  export PATH=${TOOLS.join(':')}:$PATH`);
  for (const { shows, command } of example.steps) console.log(`\n  # ${shows}\n  ${command.replaceAll('\n', '\n  ')}`);
  console.log('\nCtrl-C stops it.\n');
  await once(running.gateway, 'exit');
  return (await running.stop()) ?? 1;
}

async function tryAll(example: Example, data: string): Promise<number> {
  const running = await startExample(example, { data, output: 'ignore' });
  let failed = 0;
  try {
    for (const step of example.steps) {
      const lack = await tryStep(step, example);
      if (lack !== undefined) failed++;
      console.log(lack === undefined ? `ok      ${step.shows}` : `not ok  ${step.shows}\n${lack}\n`);
    }
  } finally {
    await running.stop();
  }
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
