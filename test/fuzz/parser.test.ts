import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkAnswerBytes, checkRequestBytes } from './check.ts';
import { readCorpus } from './corpus.ts';
import { Mutator } from './mutate.ts';
import { readWithOurClient } from './our-client.ts';
import { readWithOurServer } from './our-server.ts';

// The names of the corpus are expectations: `bad-…` is refused, everything else is not.
for (const { name, bytes } of readCorpus('request')) {
  test(`request corpus: ${name}`, async () => {
    const { refused } = await readWithOurServer([bytes]);
    assert.equal(refused !== undefined, name.startsWith('bad-'), refused ?? 'not refused');
    assert.equal(await checkRequestBytes(bytes, [bytes.length >> 1]), undefined);
  });
}

for (const { name, bytes } of readCorpus('response')) {
  test(`answer corpus: ${name}`, async () => {
    const { refused } = await readWithOurClient([bytes], 'open');
    assert.equal(refused !== undefined, name.startsWith('bad-'), refused ?? 'not refused');
    assert.equal(await checkAnswerBytes(bytes, [bytes.length >> 1]), undefined);
  });
}

const INPUTS = 1_500;
const SEED = 20_261_121;

for (const side of ['request', 'response'] as const) {
  test(`${INPUTS} damaged messages are read as Node reads them, or refused for a stated reason: ${side}`, async () => {
    const check = side === 'request' ? checkRequestBytes : checkAnswerBytes;
    const seeds = readCorpus(side)
      .map(({ bytes }) => bytes)
      .filter(({ length }) => length < 2_000);
    const mutator = new Mutator(SEED, 'http');
    for (let i = 0; i < INPUTS; i++) {
      const bytes = mutator.next(seeds);
      const wrong = await check(bytes, [mutator.below(bytes.length)]);
      assert.equal(wrong, undefined, `${JSON.stringify(bytes.toString('latin1'))}\n${wrong}`);
    }
  });
}
