import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../base/log.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { type Registrant, type Registration, Registry } from './registry.ts';

const WHO: Registrant = { instance: 'i1', namespace: 'shop', account: 'orders' };
const SAID: Registration = {
  service: 'orders',
  namespace: 'shop',
  address: '10.0.0.1',
  ports: { http: 8080 },
  proxyPort: 15_008,
  zone: '',
  health: 'ready',
};

function makeRegistry(): { registry: Registry; clock: ManualClock; changes: () => number } {
  const clock = new ManualClock();
  let changes = 0;
  const registry = new Registry({ clock, log: silentLog, onChange: () => changes++ });
  return { registry, clock, changes: () => changes };
}

test('what a proxy tells of its instance is a Workload, and told once for all that comes at one moment', () => {
  const { registry, clock, changes } = makeRegistry();
  assert.equal(registry.register(WHO, SAID), undefined);
  assert.equal(registry.register({ ...WHO, instance: 'i2' }, { ...SAID, address: '10.0.0.2', zone: 'a' }), undefined);
  clock.advance(10);
  assert.equal(changes(), 1);
  assert.deepEqual(
    registry.workloads.map(({ metadata, spec }) => [metadata.namespace, metadata.name, spec.address, spec.zone]),
    [
      ['shop', 'orders-i1', '10.0.0.1', undefined],
      ['shop', 'orders-i2', '10.0.0.2', 'a'],
    ],
  );
});

const REFUSED: [rule: string, who: Partial<Registrant>, said: Partial<Registration>][] = [
  ['a service of another account', {}, { service: 'payments' }],
  ['a service of another namespace', {}, { namespace: 'bank' }],
  ['a service of the namespace, by another account', { account: 'web' }, {}],
];

for (const [rule, who, said] of REFUSED) {
  test(`refused: ${rule}`, () => {
    const { registry, clock, changes } = makeRegistry();
    const fault = registry.register({ ...WHO, ...who }, { ...SAID, ...said });
    assert.equal(fault?.code, 'mesh.registration-refused');
    clock.advance(1_000);
    assert.deepEqual([registry.workloads, changes()], [[], 0]);
  });
}

test('the same said again changes nothing; something else does, at its old place', () => {
  const { registry, clock, changes } = makeRegistry();
  registry.register(WHO, SAID);
  registry.register({ ...WHO, instance: 'i2' }, SAID);
  clock.advance(10);
  const before = registry.workloads;
  registry.register(WHO, SAID);
  clock.advance(50);
  assert.deepEqual([registry.workloads === before, changes()], [true, 1]);
  registry.register(WHO, { ...SAID, health: 'draining' });
  clock.advance(10);
  assert.deepEqual([registry.workloads.map(({ spec }) => spec.health), changes()], [['draining', 'ready'], 2]);
  assert.equal(registry.workloads[1], before[1]);
});

test('while changes keep coming they are told at most every 50 ms', () => {
  const { registry, clock, changes } = makeRegistry();
  for (let i = 0; i < 100; i++) {
    registry.register({ ...WHO, instance: `i${i}` }, SAID);
    clock.advance(5);
  }
  clock.advance(50);
  assert.equal(changes(), 11);
  assert.equal(registry.workloads.length, 100);
});

test('one that said farewell goes at once; one that was cut stays for a while, and for good when it comes back', () => {
  const { registry, clock, changes } = makeRegistry();
  registry.register(WHO, SAID);
  clock.advance(10);
  registry.left('i1', 'cut');
  clock.advance(14_000);
  assert.equal(registry.workloads.length, 1);
  registry.register(WHO, SAID);
  clock.advance(60_000);
  assert.deepEqual([registry.workloads.length, changes()], [1, 1]);
  registry.left('i1', 'cut');
  clock.advance(15_020);
  assert.deepEqual([registry.workloads.length, changes()], [0, 2]);
  registry.register(WHO, SAID);
  registry.left('i1', 'farewell');
  registry.left('nobody', 'farewell');
  assert.equal(registry.workloads.length, 0);
});
