import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testFilter } from 'fourways/testing';
import { tenant } from './tenant.ts';

test('tenant: one that is known', async () => {
  const filter = testFilter(tenant, { tenants: ['green'] });
  const { passed, response, notes } = await exchange(filter, { 'x-api-tenant': 'green' });
  assert.equal(passed?.headers['x-tenant'], 'green');
  assert.equal(passed?.headers['x-api-tenant'], undefined);
  assert.deepEqual(notes, { tenant: 'green' });
  assert.equal((await response()).headers['x-served-for'], 'a tenant');
});

test('tenant: one that is not', async () => {
  const filter = testFilter(tenant, { tenants: ['green'] });
  const { answer } = await exchange(filter, { 'x-api-tenant': 'red' });
  assert.deepEqual([answer?.status, answer?.fault], [403, 'own.tenant.unknown']);
  assert.deepEqual(filter.counts, { unknown: 1 });
});

test('tenant: a body becomes one line', async () => {
  const filter = testFilter(tenant, { tenants: ['green'] });
  const { passed } = await filter.request({ method: 'POST', headers: { 'x-api-tenant': 'green' }, body: 'a\nb' });
  assert.equal(passed?.body, 'a b');
});

async function exchange(filter: ReturnType<typeof testFilter>, headers: Readonly<Record<string, string>>) {
  const seen = await filter.request({ url: 'http://shop.test/leaves', headers });
  return { ...seen, passed: seen.passed, answer: seen.answer, notes: seen.notes, response: () => seen.response() };
}
