/** Plans that are made before requests need them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEnv, type TestEnv } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { ValidateConfig } from './config.ts';
import { code, type ValidateFilter } from './filter.ts';
import { decide, json, NO_TYPE, WRONG } from './testing/decide.ts';

interface Rules {
  readonly envs: readonly TestEnv[];
  readonly filters: readonly ValidateFilter[];
  /** Writes another document. */
  readonly change: (document: object) => void;
}

/** Rules that name one file; the clocks of their envs run apart. */
function rulesOf(document: object, configs: readonly object[]): Rules {
  let text = JSON.stringify(document);
  const changed = new Set<() => void>();
  const { cells } = makeEnv();
  const envs = configs.map(() =>
    makeEnv({
      cells,
      readFile: () => Buffer.from(text),
      watchFile: (_, onChange) => {
        changed.add(onChange);
        return () => void changed.delete(onChange);
      },
    }),
  );
  const filters = configs.map((config, i) =>
    code.make({ ...check(ValidateConfig, { file: 'api', ...config }).value!, file: { file: '/api' } }, envs[i]!),
  );
  const change = (next: object): void => {
    text = JSON.stringify(next);
    for (const tell of changed) tell();
  };
  return { envs, filters, change };
}

/** As many operations, each with a schema that is wrong in its own way. */
function wrongDocument(operations: number): object {
  const paths = Object.fromEntries(
    Array.from({ length: operations }, (_, i) => [`/p${i}`, { post: { requestBody: json({ type: `no${i}` }) } }]),
  );
  return { openapi: '3.1.0', paths };
}

const wrongs = (envs: readonly TestEnv[]): number[] => envs.map(({ warnings }) => warnings.length);

test('validate: one operation at a time is made, whatever the number of rules, and when all are made nothing runs', () => {
  const { envs, filters } = rulesOf(wrongDocument(3), [{}, {}, { requests: 'report' }]);
  assert.deepEqual(wrongs(envs), [0, 0, 0]);
  const turn = (ms: number): void => envs.forEach((env) => env.advance(ms));
  turn(19);
  assert.deepEqual(wrongs(envs), [0, 0, 0]);
  turn(1);
  assert.deepEqual(wrongs(envs), [1, 0, 0]);
  turn(20);
  turn(20);
  assert.deepEqual(wrongs(envs), [3, 0, 0]);
  for (let i = 0; i < 10; i++) turn(20);
  assert.deepEqual(wrongs(envs), [3, 0, 0]);
  for (const filter of filters) filter.close!();
});

test('validate: of a document with more than 2,000 operations the others wait for requests', async () => {
  const { envs, filters } = rulesOf(wrongDocument(2_002), [{}]);
  for (let i = 0; i < 2_010; i++) envs[0]!.advance(20);
  assert.deepEqual(wrongs(envs), [2_000]);
  assert.equal(await decide(filters[0]!, 'POST', '/p2001', { body: '{}' }), WRONG);
  assert.deepEqual(wrongs(envs), [2_001]);
  filters[0]!.close!();
});

test('validate: when the rule that pays is closed the next one goes on, and after the last nobody', () => {
  const { envs, filters } = rulesOf(wrongDocument(5), [{}, {}]);
  const turn = (): void => envs.forEach((env) => env.advance(20));
  turn();
  filters[0]!.close!();
  turn();
  turn();
  assert.deepEqual(wrongs(envs), [1, 2]);
  filters[1]!.close!();
  turn();
  turn();
  assert.deepEqual(wrongs(envs), [1, 2]);
});

test('validate: what a request has needed is not made again, and what no rule looks at is not made', async () => {
  const document = {
    openapi: '3.1.0',
    paths: { '/a': { post: { requestBody: json(NO_TYPE), responses: { 200: json({ type: 'other' }) } } } },
  };
  const { envs, filters } = rulesOf(document, [{}, { requests: 'off' }]);
  assert.equal(await decide(filters[1]!, 'POST', '/a', { body: '{}' }), 'ok');
  assert.equal(await decide(filters[0]!, 'POST', '/a', { body: '{}' }), WRONG);
  for (let i = 0; i < 5; i++) envs.forEach((env) => env.advance(20));
  assert.deepEqual(wrongs(envs), [1, 0]);
  for (const filter of filters) filter.close!();
});

test('validate: a file that changed is made anew', async () => {
  const { envs, filters, change } = rulesOf({ openapi: '3.1.0', paths: {} }, [{}]);
  for (let i = 0; i < 3; i++) envs[0]!.advance(20);
  assert.deepEqual(wrongs(envs), [0]);
  change(wrongDocument(1));
  for (let i = 0; i < 5; i++) envs[0]!.advance(20);
  assert.deepEqual(wrongs(envs), [1]);
  change({ openapi: '3.1.0', paths: { '/p0': { post: { requestBody: json({}) } } } });
  for (let i = 0; i < 5; i++) envs[0]!.advance(20);
  assert.equal(await decide(filters[0]!, 'POST', '/p0', { body: '{}' }), 'ok');
  filters[0]!.close!();
});
