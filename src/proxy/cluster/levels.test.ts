/** Which endpoints are preferred, by priority and zone, and who takes over when they are not well. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlanEndpoint, PlanLocality } from '../../ir/plan.ts';
import { CLUSTER } from '../../ir/testing/plans.ts';
import type { Endpoint } from '../upstream/endpoint.ts';
import { ClusterBed } from '../testing/cluster-bed.ts';

function at(address: string, zone: string, more: Partial<PlanEndpoint> = {}): PlanEndpoint {
  return { address, port: 80, weight: 1, zone, ...more };
}

const A1 = at('10.0.0.1', 'eu/a');
const A2 = at('10.0.0.2', 'eu/a');
const A3 = at('10.0.0.3', 'eu/a');
const A4 = at('10.0.0.4', 'eu/a');
const B1 = at('10.0.1.1', 'eu/b');
const B2 = at('10.0.1.2', 'eu/b', { weight: 3 });
const US = at('10.9.0.1', 'us/a');

function locality(more: Partial<PlanLocality>): { readonly settings: typeof CLUSTER.settings } {
  return { settings: { ...CLUSTER.settings, locality: { prefer: 'zone', healthyMin: 0.7, ...more } } };
}

const PREFERRED: [
  rule: string,
  zone: string,
  endpoints: PlanEndpoint[],
  want: Record<string, number>,
  PlanLocality?,
][] = [
  ['the same zone', 'eu/a', [A1, A2, B1, US], { '10.0.0.1': 50, '10.0.0.2': 50 }],
  ['the same region, by weight, where the zone has none', 'eu/c', [B1, B2, US], { '10.0.1.1': 25, '10.0.1.2': 75 }],
  ['anybody where the region has none', 'asia/a', [A1, US], { '10.0.0.1': 50, '10.9.0.1': 50 }],
  ['anybody where nobody has said which zone the proxy is in', '', [A1, US], { '10.0.0.1': 50, '10.9.0.1': 50 }],
  ['zones without a region', 'a', [at('10.0.0.1', 'a'), at('10.0.0.2', 'b')], { '10.0.0.1': 100 }],
  [
    'those that are for the zone',
    'eu/a',
    [at('10.0.1.1', 'eu/b', { forZones: ['eu/a', 'eu/b'] }), at('10.0.0.9', 'eu/a', { forZones: ['eu/c'] })],
    { '10.0.1.1': 100 },
  ],
  ['the lower priority before the nearer', 'eu/a', [at('10.0.0.1', 'eu/a', { priority: 1 }), US], { '10.9.0.1': 100 }],
  [
    'all alike, as it is asked for',
    'eu/a',
    [A1, US],
    { '10.0.0.1': 50, '10.9.0.1': 50 },
    { prefer: 'none', healthyMin: 0.7 },
  ],
  [
    'the region, as it is asked for',
    'eu/a',
    [A1, B1, US],
    { '10.0.0.1': 50, '10.0.1.1': 50 },
    { prefer: 'region', healthyMin: 0.7 },
  ],
];

for (const [rule, zone, endpoints, want, asked] of PREFERRED) {
  test(`preferred: ${rule}`, () => {
    using bed = new ClusterBed({ endpoints, ...(asked !== undefined && locality(asked)) }, zone);
    assert.deepEqual(bed.picked(100), want);
  });
}

/** Share of the requests that stays in the zone, when so many of its four endpoints cannot be reached. */
const SPILLED: [failed: number, stays: number][] = [
  [0, 1],
  [1, 1],
  [2, 0.714],
  [3, 0.357],
  [4, 0],
];

for (const [failed, stays] of SPILLED) {
  test(`with ${failed} of 4 endpoints away, ${stays} of the requests stay in the zone`, () => {
    using bed = new ClusterBed({ endpoints: [A1, A2, A3, A4, B1, US] }, 'eu/a');
    for (const { address } of [A1, A2, A3, A4].slice(0, failed)) bed.at(address).noteFailed();
    const picked = bed.picked(1_000);
    assert.equal(Math.round((1_000 - (picked[B1.address] ?? 0)) / 10) / 100, Math.round(stays * 100) / 100);
    assert.equal(picked[US.address], undefined);
    for (const { address } of [A1, A2, A3, A4].slice(0, failed)) assert.equal(picked[address], undefined);
  });
}

test('the threshold is the operator’s', () => {
  using bed = new ClusterBed({ endpoints: [A1, A2, B1], ...locality({ healthyMin: 0.5 }) }, 'eu/a');
  bed.at(A1.address).noteFailed();
  assert.deepEqual(bed.picked(100), { [A2.address]: 100 });
});

test('zone after zone fails, then all come back', () => {
  using bed = new ClusterBed({ endpoints: [A1, B1, US] }, 'eu/a');
  for (const [gone, next] of [
    [A1, B1],
    [B1, US],
  ] as const) {
    bed.at(gone.address).noteFailed();
    assert.deepEqual(bed.picked(10), { [next.address]: 10 });
  }
  bed.at(US.address).noteFailed();
  // Better a chance than a certain refusal; and not all of them at one.
  assert.deepEqual(bed.picked(10), { [A1.address]: 10 });
  for (const { address } of [A1, B1, US]) bed.at(address).noteReached();
  assert.deepEqual(bed.picked(10), { [A1.address]: 10 });
});

test('an endpoint that could not be reached is tried by one request, and by all when that one reaches it', () => {
  using bed = new ClusterBed({ endpoints: [A1, B1] }, 'eu/a');
  bed.at(A1.address).noteFailed();
  assert.deepEqual(bed.picked(10), { [B1.address]: 10 });
  bed.advance(600);
  assert.deepEqual(bed.picked(10), { [A1.address]: 1, [B1.address]: 9 });
  // It fails again, and is left alone for longer.
  bed.at(A1.address).noteFailed();
  bed.advance(600);
  assert.deepEqual(bed.picked(10), { [B1.address]: 10 });
  bed.advance(600);
  assert.deepEqual(bed.picked(10), { [A1.address]: 1, [B1.address]: 9 });
  bed.at(A1.address).noteReached();
  assert.deepEqual(bed.picked(10), { [A1.address]: 10 });
});

test('a second attempt goes to another endpoint, in another zone where there is none in this one', () => {
  using bed = new ClusterBed({ endpoints: [A1, B1] }, 'eu/a');
  const first = bed.cluster.pick(undefined) as Endpoint;
  assert.equal(first.address, A1.address);
  assert.equal((bed.cluster.pick(first) as Endpoint).address, B1.address);
});

test('an endpoint whose weight changes is the same one', () => {
  using bed = new ClusterBed({ endpoints: [A1, A2] });
  const before = bed.at(A1.address);
  bed.update({ endpoints: [{ ...A1, weight: 3 }, A2] });
  assert.equal(bed.at(A1.address), before);
  assert.deepEqual(bed.picked(100), { [A1.address]: 75, [A2.address]: 25 });
});

test('SRV: the lowest priority by weight, then the next; targets are resolved, and what is gone is not picked', async () => {
  const name = '_http._tcp.orders.test';
  using bed = new ClusterBed({ endpoints: [{ address: name, port: 0, weight: 1, records: 'srv' }] });
  const record = (target: string, priority: number, weight: number) => ({ name: target, port: 8080, priority, weight });
  bed.names.say('a.test', '10.0.0.1');
  bed.names.say('b.test', '10.0.0.2');
  bed.names.say('c.test', '10.0.0.3');
  bed.names.sayService(name, record('a.test', 1, 3), record('b.test', 1, 1), record('c.test', 2, 1));
  await new Promise(setImmediate);
  assert.deepEqual(bed.picked(100), { '10.0.0.1': 75, '10.0.0.2': 25 });
  const rows = bed.cluster
    .stats()
    .map(({ address, port, resolvedFrom, level }) => [address, port, resolvedFrom, level]);
  assert.deepEqual(rows, [
    ['10.0.0.1', 8080, name, 0],
    ['10.0.0.2', 8080, name, 0],
    ['10.0.0.3', 8080, name, 1],
  ]);
  bed.at('10.0.0.1').noteFailed();
  bed.at('10.0.0.2').noteFailed();
  assert.deepEqual(bed.picked(10), { '10.0.0.3': 10 });

  bed.names.sayService(name, record('b.test', 1, 0), record('c.test', 1, 1));
  await new Promise(setImmediate);
  bed.at('10.0.0.2').noteReached();
  assert.deepEqual(bed.picked(202), { '10.0.0.2': 2, '10.0.0.3': 200 });
  assert.deepEqual(bed.names.watched, new Set([name, 'b.test', 'c.test']));

  bed.names.fail(name, 'ETIMEOUT');
  assert.deepEqual(
    bed.cluster.stats().map(({ stale }) => stale),
    ['ETIMEOUT', 'ETIMEOUT'],
  );
  bed.update({ endpoints: [A1] });
  assert.deepEqual(bed.names.watched, new Set());
});

test('a name may be meant for one family of addresses alone', async () => {
  using bed = new ClusterBed({ endpoints: [{ address: 'a.test', port: 80, weight: 1, records: 'aaaa' }] });
  bed.names.say('a.test', '10.0.0.1', '2001:db8::1');
  await new Promise(setImmediate);
  assert.deepEqual(bed.picked(4), { '2001:db8::1': 4 });
});

test('since when an endpoint is there: it stays so through new plans', () => {
  using bed = new ClusterBed({ endpoints: [A1] });
  const [first] = bed.cluster.stats();
  bed.advance(5_000);
  bed.update({ endpoints: [A1, A2], settings: { ...CLUSTER.settings, connectMs: 1 } });
  const [same, second] = bed.cluster.stats();
  assert.equal(same?.sinceMs, first?.sinceMs);
  assert.equal(second?.sinceMs, first!.sinceMs + 5_000);
});
