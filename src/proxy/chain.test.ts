import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Filter, WHOLE_BODY } from '../filter/filter.ts';
import { identityOf } from '../filter/identity.ts';
import { makeEnv, makeExchange } from '../filter/testing/exchange.ts';
import type { PlanFilter } from '../ir/plan.ts';
import { makeChain } from './chain.ts';

/** Runs the request hooks of a chain of these filters, each of which writes what it does. */
function order(planned: readonly Pick<PlanFilter, 'filter' | 'alternative'>[]): string[] {
  const said: string[] = [];
  const asks = (name: string): Filter => ({
    authenticate: () => {
      said.push(`${name} asks`);
      return identityOf({ method: name, subject: name });
    },
    onRequest: () => void said.push(`${name} cleans`),
  });
  const filters = new Map<string, Filter>([
    ['cors', { onRequest: () => void said.push('cors') }],
    ['jwt', asks('jwt')],
    ['basic', asks('basic')],
    ['authorize', { onRequest: () => void said.push('authorize') }],
  ]);
  const chain = makeChain(
    planned.map((part) => ({ config: {}, owner: '', ...part }) as PlanFilter),
    {
      filters: new Map([...filters].map(([name, filter]) => [name, { make: () => filter }])),
      envOf: () => makeEnv(),
      onUnmade: (_, error) => assert.fail(String(error)),
    },
  );
  for (const { filter } of chain.onRequest) filter.onRequest!(makeExchange(), { matchedPath: '/' });
  return said;
}

const ORDERS: [rule: string, planned: Parameters<typeof order>[0], want: string[]][] = [
  [
    'requests are cleaned when everybody has been asked, and before others see them',
    [{ filter: 'cors' }, { filter: 'jwt' }, { filter: 'basic' }, { filter: 'authorize' }],
    ['cors', 'jwt asks', 'basic asks', 'jwt cleans', 'basic cleans', 'authorize'],
  ],
  [
    'an alternative that was not asked cleans too',
    [
      { filter: 'basic', alternative: 'a' },
      { filter: 'jwt', alternative: 'a' },
    ],
    ['basic asks', 'basic cleans', 'jwt cleans'],
  ],
];

for (const [rule, planned, want] of ORDERS) test(`chain: ${rule}`, () => assert.deepEqual(order(planned), want));

test('chain: what an authenticating filter does besides is done by itself, its body hook too', () => {
  const filter: Filter = {
    authenticate: () => 'absent',
    onRequest: () => WHOLE_BODY,
    onRequestBody: () => undefined,
    requestBound: { bytesMax: 8, beyond: 'refuse' },
  };
  const { onRequest } = makeChain([{ filter: 'signed', config: {}, owner: '' }], {
    filters: new Map([['signed', { make: () => filter }]]),
    envOf: () => makeEnv(),
    onUnmade: (_, error) => assert.fail(String(error)),
  });
  assert.equal(onRequest.length, 2);
  assert.equal(onRequest[1]!.filter, filter);
});
