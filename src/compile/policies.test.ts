import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Policy } from '../resource/resource.ts';
import { type AskedFilter, composeFilters, levelOf } from './policies.ts';

function policy(name: string, filters: Record<string, unknown>): Policy {
  const metadata = { name, namespace: 'shop', labels: {}, annotations: {}, generation: 1, creationMs: undefined };
  const origin = { file: 'a.yaml', line: 1, locate: () => ({ file: 'a.yaml', line: 1, column: 1 }) };
  return { apiVersion: 'fourways.io/v1alpha1', kind: 'Policy', metadata, origin, spec: { targetRefs: [], filters } };
}

const asked = (filter: string, owner: string): AskedFilter => ({ filter, owner, config: {}, field: '' });
const named = (filters: readonly AskedFilter[]): string[] => filters.map(({ filter, owner }) => `${filter} ${owner}`);

const COMPOSITIONS: [rule: string, levels: AskedFilter[][], want: string[]][] = [
  ['the closest counts where only one can', [[asked('cors', 'far')], [asked('cors', 'near')]], ['cors near']],
  [
    'headers add up, the farthest first',
    [[asked('headers', 'far')], [asked('headers', 'near')]],
    ['headers far', 'headers near'],
  ],
  [
    'a filter that is not known to be harmless is never replaced',
    [[asked('jwt', 'far')], [asked('jwt', 'near')]],
    ['jwt far', 'jwt near'],
  ],
  [
    'the order is that of filters/, whatever the order of asking',
    [
      [asked('redirect', 'a'), asked('headers', 'a')],
      [asked('cors', 'b'), asked('rewrite', 'b')],
    ],
    ['cors b', 'rewrite b', 'headers a', 'redirect a'],
  ],
  ['several of one level stay together', [[asked('headers', 'a'), asked('headers', 'b')]], ['headers a', 'headers b']],
  ['nothing asked for is nothing', [[], []], []],
];

for (const [rule, levels, want] of COMPOSITIONS) {
  test(`composeFilters: ${rule}`, () => assert.deepEqual(named(composeFilters(levels)), want));
}

const LEVELS: [rule: string, policies: Policy[], want: string[], losers: string[]][] = [
  [
    'of two policies the first counts',
    [policy('a', { cors: { maxAge: 1 } }), policy('b', { cors: { maxAge: 2 } })],
    ['cors Policy shop/a'],
    ['b'],
  ],
  [
    'two policies that say the same are no conflict',
    [policy('a', { cors: { maxAge: 1 } }), policy('b', { cors: { maxAge: 1 } })],
    ['cors Policy shop/a'],
    [],
  ],
  [
    'security filters of one target all run',
    [policy('a', { jwt: { issuer: 'a' } }), policy('b', { jwt: { issuer: 'b' } })],
    ['jwt Policy shop/a', 'jwt Policy shop/b'],
    [],
  ],
  [
    'different filters are no conflict',
    [policy('a', { cors: {} }), policy('b', { headers: {} })],
    ['cors Policy shop/a', 'headers Policy shop/b'],
    [],
  ],
];

for (const [rule, policies, want, losers] of LEVELS) {
  test(`levelOf: ${rule}`, () => {
    const level = levelOf(policies, () => undefined);
    assert.deepEqual(named(level.filters), want);
    assert.deepEqual(
      level.losers.map((loser) => loser.policy.metadata.name),
      losers,
    );
  });
}
