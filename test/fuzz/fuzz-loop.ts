/** `node test/fuzz/NAME.fuzz.ts [--seconds N] [--seed N]`: mutates the corpus until the time is over. Exit code 1 on a find. */
import { parseArgs } from 'node:util';
import { readCorpus } from './corpus.ts';
import { Mutator } from './mutate.ts';

/** Longer seeds only make it slower. */
const SEED_BYTES_MAX = 4_096;

export interface FuzzOptions {
  readonly corpus: 'request' | 'response' | 'manifest';
  readonly pieces: 'http' | 'yaml';
  /** What is wrong with how these bytes are read, or undefined. @param below random number below its argument */
  readonly check: (bytes: Buffer, below: (end: number) => number) => Promise<string | undefined>;
}

export async function fuzz({ corpus, pieces, check }: FuzzOptions): Promise<number> {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string' } } });
  const seed = Number(values.seed ?? Date.now() % 0x7fff_ffff);
  const seeds = readCorpus(corpus)
    .map(({ bytes }) => bytes)
    .filter(({ length }) => length <= SEED_BYTES_MAX);
  const mutator = new Mutator(seed, pieces);
  const endMs = performance.now() + Number(values.seconds) * 1_000;
  let inputs = 0;
  for (; performance.now() < endMs; inputs++) {
    const bytes = mutator.next(seeds);
    const wrong = await check(bytes, (end) => mutator.below(end)).catch((error: unknown) => `Threw ${inspect(error)}`);
    if (wrong === undefined) continue;
    console.error(`${corpus}: seed ${seed}, input ${inputs}\n${JSON.stringify(bytes.toString('latin1'))}\n${wrong}`);
    return 1;
  }
  console.log(`${corpus}: seed ${seed}, ${inputs} inputs, nothing found`);
  return 0;
}

function inspect(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
