import assert from 'node:assert/strict';
import { setImmediate as loop } from 'node:timers/promises';
import { test } from 'node:test';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { silentLog } from '../base/log.ts';
import { diffPlans } from '../ir/diff.ts';
import type { PlanBundle } from '../ir/plan.ts';
import type { PortFailure, PortStates } from '../ir/port-state.ts';
import { bundleOf, HTTP_LISTENER, HTTP_PORT, HTTPS_PORT, routeTo, CLUSTER } from '../ir/testing/plans.ts';
import { Fleet } from './fleet.ts';
import { type Behaviour, FakeMember } from './testing/fake-member.ts';

const TAKEN: PortFailure = {
  state: 'failed',
  address: '0.0.0.0',
  port: 80,
  error: 'EADDRINUSE',
  message: 'Cannot bind 0.0.0.0:80: address in use',
};

function world({ size = 2, behave }: { size?: number; behave?: Behaviour } = {}) {
  const members: FakeMember[] = [];
  const clock = new ManualClock();
  const taken = new Set<string>();
  const probed: string[] = [];
  const seen: PortStates[] = [];
  const told: string[][] = [];
  const starting = { fails: false };
  const fleet: Fleet = new Fleet({
    size,
    start(worker) {
      if (starting.fails) throw new Error('no more threads');
      const member = new FakeMember(worker, behave);
      members.push(member);
      return member;
    },
    async probe({ address, port }) {
      probed.push(`${address}:${port}`);
      return taken.has(`${address}:${port}`) ? TAKEN : undefined;
    },
    clock,
    log: silentLog,
    onPorts: (ports) => seen.push(ports),
    onFailing: () => told.push(fleet.failing.map(({ owner, why }) => `${owner}: ${why}`)),
  });
  let held: PlanBundle | undefined;
  const apply = async (bundle: PlanBundle) => {
    const result = await fleet.apply({ bundle, delta: diffPlans(held, bundle) });
    if (result.kind === 'ack') held = bundle;
    return result;
  };
  /** Members that live. */
  const living = () => members.filter(({ ended }) => !ended);
  return { fleet, members, living, clock, taken, probed, seen, told, apply, starting };
}

function plan(host: string, ...more: 'https'[]): PlanBundle {
  return bundleOf({
    ports: { '*:80': HTTP_PORT, ...(more.includes('https') ? { '*:443': HTTPS_PORT } : {}) },
    listeners: { web: HTTP_LISTENER },
    routes: { 'HTTPRoute/shop/web': routeTo('web', host) },
    streams: {},
    clusters: { 'Service/shop/web/80': CLUSTER },
  });
}

const ONE = plan('one.test');
const TWO = plan('two.test');
const THREE = plan('three.test', 'https');

test('Fleet: a change is acknowledged when every member holds it', async () => {
  const { fleet, members, apply } = world();
  assert.deepEqual(
    fleet.health().map(({ state }) => state),
    ['starting', 'starting'],
  );
  const result = await apply(ONE);
  assert.equal(result.kind, 'ack');
  assert.deepEqual(fleet.ports, { '*:80': { state: 'bound', address: '*', port: 80 } });
  assert.deepEqual(
    members.map(({ version }) => version),
    [ONE.plan.version, ONE.plan.version],
  );
  assert.deepEqual(fleet.health()[1], { worker: 2, state: 'ready', version: ONE.plan.version, restarts: 0 });

  await apply(TWO);
  assert.deepEqual(members[0]!.deltas[1], diffPlans(ONE, TWO), 'the second change is a delta');
});

test('Fleet: when one member refuses, the others go back', async () => {
  const { fleet, members, apply } = world({
    behave: (delta, { worker }) => (worker === 2 && delta.to === TWO.plan.version ? 'nack' : 'ack'),
  });
  await apply(ONE);
  const result = await apply(TWO);
  assert.deepEqual(result, { kind: 'nack', version: TWO.plan.version, reason: 'Worker 2: it does not like it' });
  assert.deepEqual(
    members.map(({ version }) => version),
    [ONE.plan.version, ONE.plan.version],
  );
  assert.equal(members.length, 2, 'nobody had to be replaced');

  assert.equal((await apply(THREE)).kind, 'ack');
  assert.deepEqual(
    fleet.health().map(({ version }) => version),
    [THREE.plan.version, THREE.plan.version],
  );
});

test('Fleet: when the first plan is refused, nobody holds it', async () => {
  const { living, apply } = world({ behave: (_, { worker }) => (worker === 1 ? 'nack' : 'ack') });
  assert.equal((await apply(ONE)).kind, 'nack');
  assert.deepEqual(
    living().map(({ version }) => version),
    [undefined],
  );
});

test('Fleet: a member that dies is replaced and takes the whole plan before it counts', async () => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const { fleet, members, clock, apply } = world({
    async behave(delta): Promise<'ack'> {
      if (members.length === 3 && delta.from === undefined) await gate;
      return 'ack';
    },
  });
  await apply(ONE);
  members[0]!.die('it was killed');
  await loop();
  assert.deepEqual(fleet.health()[0], { worker: 1, state: 'missing', version: undefined, restarts: 1 });
  clock.advance(1);
  await loop();
  assert.equal(fleet.health()[0]!.state, 'starting');
  open();
  await loop();
  assert.deepEqual(fleet.health()[0], { worker: 1, state: 'ready', version: ONE.plan.version, restarts: 1 });
  assert.deepEqual(members[2]!.held, ONE);
});

test('Fleet: a member that dies of a change is replaced once, and the change may go on', async () => {
  const { fleet, members, apply } = world({
    behave: (delta, member) => (member === members[0] && delta.to === TWO.plan.version ? 'die' : 'ack'),
  });
  await apply(ONE);
  assert.equal((await apply(TWO)).kind, 'ack');
  assert.equal(members.length, 3);
  assert.deepEqual(
    fleet.health().map(({ version }) => version),
    [TWO.plan.version, TWO.plan.version],
  );
});

test('Fleet: a change that kills twice is refused, and everybody is on the plan before', async () => {
  const { fleet, living, clock, apply } = world({
    behave: (delta, { worker }) => (worker === 1 && delta.to === TWO.plan.version ? 'die' : 'ack'),
  });
  await apply(ONE);
  const result = await apply(TWO);
  assert.equal(result.kind === 'nack' && result.reason, 'Worker 1 died while it applied the plan: it has ended');
  clock.advance(1_000);
  await loop();
  assert.deepEqual(
    living().map(({ version }) => version),
    [ONE.plan.version, ONE.plan.version],
  );
  assert.deepEqual(
    fleet.health().map(({ state }) => state),
    ['ready', 'ready'],
  );
});

test('Fleet: a member that never answers is ended and replaced', async () => {
  const { members, clock, apply } = world({
    behave: (_, member) => (member === members[0] ? new Promise(() => undefined) : 'ack'),
  });
  const result = apply(ONE);
  await loop();
  clock.advance(60_000);
  assert.equal((await result).kind, 'ack');
  assert.equal(members[0]!.ended, true);
});

test('Fleet: a member that misses its heartbeats is ended', async () => {
  const { members, clock, apply } = world();
  await apply(ONE);
  members[0]!.stats = () => new Promise(() => undefined);
  for (let i = 0; i < 7; i++) {
    clock.advance(5_000);
    await loop();
  }
  clock.advance(1);
  await loop();
  assert.deepEqual(
    members.map(({ ended }) => ended),
    [true, false, false],
  );
});

test('Fleet: short lives are replaced ever more slowly', async () => {
  const { members, clock, apply } = world({ size: 1 });
  await apply(ONE);
  const waits: number[] = [];
  for (let i = 0; i < 10; i++) {
    const count = members.length;
    members.at(-1)!.die('it was killed');
    await loop();
    let waited = 0;
    while (members.length === count) {
      clock.advance(waited < 10 ? 1 : 10);
      waited += waited < 10 ? 1 : 10;
      await loop();
    }
    waits.push(waited);
    await loop();
  }
  assert.deepEqual(waits, [1, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);

  clock.advance(60_000);
  members.at(-1)!.die('it was killed');
  await loop();
  clock.advance(1);
  await loop();
  assert.equal(members.length, 12, 'after a long life at once');
});

test('Fleet: a port that another process holds is refused to every member, and tried again', async () => {
  const { fleet, clock, taken, probed, seen, apply } = world();
  taken.add('*:80');
  const result = await apply(THREE);
  assert.equal(result.kind, 'ack', 'the plan is served as far as it can be');
  assert.deepEqual(fleet.ports, { '*:80': TAKEN, '*:443': { state: 'bound', address: '*', port: 443 } });

  probed.length = 0;
  clock.advance(3_000);
  await loop();
  assert.deepEqual(probed, ['*:80'], 'what members have bound cannot be probed');
  assert.deepEqual(seen, []);

  taken.clear();
  clock.advance(3_000);
  await loop();
  assert.equal(fleet.ports['*:80']?.state, 'bound');
  assert.deepEqual(seen, [fleet.ports]);
  probed.length = 0;
  clock.advance(30_000);
  await loop();
  assert.deepEqual(probed, []);
});

test('Fleet: a member that is missing does not hold up a change, and takes it when it is back', async () => {
  let broken = false;
  const { fleet, members, clock, apply } = world({
    behave: (_, { worker }) => (broken && worker === 1 ? 'die' : 'ack'),
  });
  await apply(ONE);
  broken = true;
  members[0]!.die('it was killed');
  for (let i = 0; i < 4; i++) {
    clock.advance(500);
    await loop();
  }
  assert.equal(fleet.health()[0]!.state, 'missing');
  assert.equal((await apply(TWO)).kind, 'ack');
  broken = false;
  clock.advance(10_000);
  await loop();
  assert.deepEqual(
    fleet.health().map(({ version }) => version),
    [TWO.plan.version, TWO.plan.version],
  );
});

test('Fleet: a member that cannot even be started is tried again', async () => {
  const { fleet, members, clock, apply, starting } = world();
  await apply(ONE);
  starting.fails = true;
  members[0]!.die('it was killed');
  for (let i = 0; i < 5; i++) {
    clock.advance(100);
    await loop();
  }
  assert.deepEqual(
    fleet.health().map(({ state }) => state),
    ['missing', 'ready'],
  );
  starting.fails = false;
  clock.advance(10_000);
  await loop();
  assert.deepEqual(
    fleet.health().map(({ version }) => version),
    [ONE.plan.version, ONE.plan.version],
  );
});

test('Fleet: nobody is started any more while a drain ends a change', async () => {
  const { fleet, members, apply } = world({ behave: () => new Promise(() => undefined) });
  const result = apply(ONE);
  await loop();
  await fleet.end();
  for (const member of members) member.die('it was ended');
  assert.equal(members.length, 2);
  void result;
});

test('Fleet: a drain reaches every member and ends it; nobody is replaced', async () => {
  const { fleet, members, clock, apply } = world();
  await apply(ONE);
  await fleet.drain(5_000);
  assert.deepEqual(
    members.map(({ drainedMs, ended }) => [drainedMs, ended]),
    [
      [5_000, true],
      [5_000, true],
    ],
  );
  clock.advance(60_000);
  await loop();
  assert.equal(members.length, 2);
  assert.equal(clock.pending, 0);
  assert.equal((await apply(TWO)).kind, 'nack');
});

test('Fleet: figures are summed over the members', async () => {
  const { fleet, apply } = world();
  await apply(ONE);
  assert.deepEqual(await fleet.used(), { 'Service/shop/web/80': 3 });
  const { workers, endpoints } = await fleet.stats();
  assert.deepEqual(
    workers.map(({ connections }) => connections),
    [3, 3],
  );
  assert.deepEqual(endpoints, { web: [{ address: '127.0.0.1', port: 8080, connections: 4, idle: 2, sinceMs: 1 }] });
});

test('Fleet: an order reaches every member, and who dies over it has no say', async () => {
  const { fleet, apply, members } = world();
  await apply(ONE);
  const done = (worker: number): object => ({ kind: 'done', answer: { worker, filter: 'cache', order: 'purge' } });
  assert.deepEqual(await fleet.order('cache', { kind: 'purge' }), [done(1), done(2)]);
  members[0]!.order = async () => Promise.reject(new Error('it has ended'));
  assert.deepEqual(await fleet.order('cache', { kind: 'purge' }), [done(2)]);
});

test('Fleet: filters that cannot do their work in any member are told when they change', async () => {
  const { fleet, apply, members, clock, told } = world();
  const failing = { filter: 'own', owner: 'Policy shop/p', why: 'no such file' };
  members[0]!.failing = [failing];
  await apply(ONE);
  await loop();
  assert.deepEqual(fleet.failing, [failing]);
  members[1]!.failing = [failing];
  clock.advance(5_000);
  await loop();
  members[1]!.failing = [failing, { ...failing, why: 'it threw' }];
  clock.advance(5_000);
  await loop();
  members[1]!.die('it fell over');
  members[0]!.failing = [];
  clock.advance(5_000);
  await loop();
  assert.deepEqual(told, [
    ['Policy shop/p: no such file'],
    ['Policy shop/p: no such file', 'Policy shop/p: it threw'],
    [],
  ]);
});
