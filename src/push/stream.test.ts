/** The two ends of a stream over a pipe in memory, on a clock moved by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { Fleet } from '../control/fleet.ts';
import { FakeMember } from '../control/testing/fake-member.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { PlanDelta } from '../ir/plan.ts';
import { Hub } from './hub.ts';
import { PlainFeeds, planOf } from './testing/plain-feeds.ts';
import { BUNDLE, ORDERS, SELF, World } from './testing/world.ts';

const names = (delta: PlanDelta): string[] => [
  ...Object.values(delta.set).flatMap((set) => Object.keys(set)),
  ...Object.values(delta.remove).flatMap((removed) => removed.map((name) => `-${name}`)),
];

test('stream: a proxy with nothing gets all of its plan, then only what changes', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  assert.equal(proxy.deltas()[0]!.from, undefined);
  assert.equal(proxy.version, world.feeds.bundle!.plan.version);

  world.feeds.publish(planOf('a.test', 'b.test'));
  await world.run(20);
  assert.deepEqual(names(proxy.deltas()[1]!), ['HTTPRoute/shop/b.test']);
  assert.deepEqual(proxy.client.held, world.feeds.bundle);
  assert.deepEqual(
    world.feeds.acks.map(({ version }) => version),
    [planOf('a.test').plan.version, planOf('a.test', 'b.test').plan.version],
  );
  assert.equal(proxy.kept.length, 2);
});

test('stream: a proxy waits for a plan that is made later', async () => {
  const world = new World();
  const proxy = world.proxy();
  await world.run(20);
  assert.equal(proxy.changes.length, 0);
  world.feeds.publish(planOf('a.test'));
  await world.run(20);
  assert.equal(proxy.version, world.feeds.bundle!.plan.version);
});

test('stream: after a cut, a proxy that has the plan gets nothing and is counted', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  assert.equal(proxy.client.missing, undefined);
  proxy.net.cut();
  await world.pass(500);
  assert.equal(world.clock.nowMs() - proxy.client.missing!.sinceMs, 499, 'it hears of it a millisecond later');
  await world.pass(3_500);
  assert.equal(proxy.client.state.kind, 'live');
  assert.equal(proxy.client.missing, undefined);
  assert.equal(proxy.deltas().length, 1);
  assert.equal(world.feeds.acks.length, 2);
  assert.equal(proxy.net.toControl.filter(({ kind }) => kind === 'inventory').length, 0);
});

test('stream: a control plane that never saw the proxy sends only what differs', async () => {
  const world = new World(planOf('a.test', 'b.test'));
  const proxy = world.proxy();
  await world.run(20);
  world.hub.close();
  // Another process with another plan; not one object is shared with the first.
  const others = new PlainFeeds(structuredClone(planOf('b.test', 'c.test')));
  world.hubs.set('a:1', world.newHub(others));
  await world.pass(4_000);
  assert.deepEqual(names(proxy.deltas()[1]!), ['HTTPRoute/shop/c.test', '-HTTPRoute/shop/a.test']);
  assert.deepEqual(proxy.client.held, others.bundle);
});

test('stream: what a proxy has is said after its workload, of which its plan is made', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  const served = { service: 'orders', namespace: 'shop', address: '10.0.0.1', ports: [], proxyPort: 15_008, zone: 'a' };
  proxy.client.report({ kind: 'workload', ...served, health: 'healthy' });
  await world.run(20);
  world.hub.close();
  world.hubs.set('a:1', world.newHub(new PlainFeeds(planOf('b.test'))));
  // Slow enough that both wait when the next may go.
  proxy.net.isBackStalled = true;
  await world.pass(4_000);
  const before = proxy.net.toControl.length;
  proxy.net.resumeBack();
  await world.run(20);
  assert.deepEqual(
    proxy.net.toControl.slice(before).map(({ kind }) => kind),
    ['ack', 'report', 'inventory', 'ack'],
  );
});

test('stream: a secret that changes alone is sent alone', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  const { plan, secrets } = world.feeds.bundle!;
  world.feeds.publish({ plan, secrets: { ...secrets, 'Secret/shop/redis#password': { value: 'new' } } });
  await world.run(20);
  assert.deepEqual(names(proxy.deltas()[1]!), ['Secret/shop/redis#password']);
  proxy.net.cut();
  world.feeds.publish({ plan, secrets: { ...secrets, 'Secret/shop/redis#password': { value: 'newer' } } });
  await world.pass(4_000);
  assert.deepEqual(names(proxy.deltas()[2]!), ['Secret/shop/redis#password']);
  assert.deepEqual(proxy.client.held, world.feeds.bundle);
});

test('stream: what was on disk is served on; only the difference comes', async () => {
  const world = new World(planOf('a.test', 'b.test'));
  const proxy = world.proxy({ held: structuredClone(planOf('a.test')) });
  await world.run(20);
  assert.deepEqual(proxy.deltas().map(names), [['HTTPRoute/shop/b.test']]);
});

test('stream: a slow proxy skips the states between, and does not delay another', async () => {
  const world = new World(planOf('a.test'));
  const slow = world.proxy();
  const quick = world.proxy();
  await world.run(20);
  slow.net.isStalled = true;
  for (let i = 0; i < 100; i++) {
    world.feeds.publish(planOf('a.test', `n${i}.test`));
    await world.run(5);
  }
  assert.equal(quick.version, world.feeds.bundle!.plan.version);
  const quickDeltas = quick.deltas().length;
  assert.ok(quickDeltas > 90, `${quickDeltas}`);
  slow.net.resume();
  await world.run(30);
  assert.equal(slow.version, world.feeds.bundle!.plan.version);
  assert.equal(slow.deltas().length, 3);
});

test('stream: a proxy that does not answer in 60 s is cut, and the others are not', async () => {
  const world = new World(planOf('a.test'));
  const hanging = world.proxy();
  hanging.answer = () => new Promise(() => undefined);
  const well = world.proxy();
  await world.pass(59_000);
  assert.equal(world.hub.size, 2);
  await world.pass(2_000);
  assert.equal(world.hub.ended.get('push.silent'), 1);
  assert.equal(well.client.state.kind, 'live');
  assert.match(world.warnings[0]!.message, /did not acknowledge a plan in 60 s/);
});

test('stream: a proxy that reads on is given its time', async () => {
  const world = new World(planOf('a.test'));
  const kinds: string[] = [];
  const session = world.hub.accept(ORDERS, { send: ({ kind }) => (kinds.push(kind), 'open'), end: () => undefined })!;
  session.receive({ kind: 'hello', hello: { ...SELF, protocol: 1, holds: undefined, services: [] } });
  for (let i = 0; i < 5; i++) {
    await world.pass(50_000);
    session.progressed();
  }
  assert.equal(world.hub.size, 1);
  await world.pass(61_000);
  assert.equal(world.hub.size, 0);
  assert.deepEqual(kinds, ['welcome', 'delta']);
});

test('stream: a refused plan leaves the one before, tells the reason, and is offered again in a minute', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  const before = proxy.version;
  proxy.answer = ({ bundle }) =>
    Promise.resolve({ kind: 'nack', version: bundle.plan.version, reason: 'Worker 1: no memory' });
  world.feeds.publish(planOf('b.test'));
  await world.run(20);
  assert.equal(proxy.version, before);
  assert.deepEqual(world.feeds.nacks, [{ version: planOf('b.test').plan.version, reason: 'Worker 1: no memory' }]);

  world.feeds.publish(planOf('b.test'));
  await world.run(20);
  assert.equal(proxy.changes.length, 2, 'the same plan is not offered at once');
  proxy.answer = ({ bundle }) => Promise.resolve({ kind: 'ack', version: bundle.plan.version, ports: {} });
  await world.pass(61_000);
  assert.equal(proxy.version, planOf('b.test').plan.version);
});

test('stream: after a refused plan, the next one starts from the one that is served', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  proxy.answer = () => Promise.reject(new Error('it threw'));
  world.feeds.publish(planOf('b.test'));
  await world.run(20);
  assert.equal(world.feeds.nacks[0]!.reason, 'it threw');
  proxy.answer = ({ bundle }) => Promise.resolve({ kind: 'ack', version: bundle.plan.version, ports: {} });
  world.feeds.publish(planOf('a.test', 'c.test'));
  await world.run(20);
  assert.deepEqual(names(proxy.deltas()[2]!), ['HTTPRoute/shop/c.test']);
  assert.equal(proxy.version, world.feeds.bundle!.plan.version);
});

test('stream: a new stream waits for the change that the old one began', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  const { promise, resolve } = Promise.withResolvers<ApplyResult>();
  proxy.answer = () => promise;
  world.feeds.publish(planOf('b.test'));
  await world.run(20);
  proxy.net.cut();
  await world.pass(5_000);
  assert.equal(proxy.net.attempts.length, 1);
  resolve({ kind: 'ack', version: planOf('b.test').plan.version, ports: {} });
  await world.run(20);
  assert.equal(proxy.net.attempts.length, 2);
  assert.equal(proxy.deltas().length, 2);
  assert.equal(world.feeds.acks.at(-1)!.version, planOf('b.test').plan.version);
});

test('stream: a fleet of workers takes the changes as they are', async () => {
  const world = new World(planOf('a.test'));
  const members: FakeMember[] = [];
  const fleet = new Fleet({
    size: 2,
    start: (worker) => {
      const member = new FakeMember(worker, (delta) =>
        worker === 2 && delta.set.routes['HTTPRoute/shop/bad.test'] !== undefined ? 'nack' : 'ack',
      );
      members.push(member);
      return member;
    },
    probe: () => Promise.resolve(undefined),
    clock: world.clock,
    log: silentLog,
    onPorts: () => undefined,
    onFailing: () => undefined,
  });
  const proxy = world.proxy({ apply: (change) => fleet.apply(change) });
  await world.run(20);
  world.feeds.publish(planOf('a.test', 'bad.test'));
  await world.run(20);
  assert.equal(proxy.version, planOf('a.test').plan.version);
  assert.match(world.feeds.nacks[0]!.reason, /^Worker 2: /);
  world.feeds.publish(planOf('b.test'));
  await world.run(20);
  assert.deepEqual(
    members.map(({ version }) => version),
    [planOf('b.test').plan.version, planOf('b.test').plan.version],
  );
  await fleet.end();
});

test('stream: names are subscribed and let go; of one that nobody knows the proxy learns once', async () => {
  const world = new World(planOf('a.test'));
  world.feeds.known.add('orders.shop');
  const proxy = world.proxy();
  proxy.client.subscribe(['orders.shop']);
  await world.run(20);
  proxy.client.subscribe(['stock.shop', 'gone.shop']);
  await world.run(20);
  assert.deepEqual([...world.feeds.services], ['orders.shop', 'stock.shop', 'gone.shop']);
  assert.deepEqual(proxy.unknown, ['stock.shop', 'gone.shop']);
  world.feeds.known.add('stock.shop');
  world.feeds.publish(planOf('a.test', 'stock.test'));
  await world.run(20);
  assert.deepEqual(proxy.unknown, ['stock.shop', 'gone.shop']);
  proxy.client.subscribe(['gone.shop']);
  await world.run(20);
  assert.deepEqual(proxy.unknown, ['stock.shop', 'gone.shop', 'gone.shop'], 'who asks again is told again');
  proxy.client.unsubscribe(['gone.shop', 'stock.shop']);
  await world.run(20);
  assert.deepEqual([...world.feeds.services], ['orders.shop']);
  proxy.net.cut();
  await world.pass(4_000);
  assert.deepEqual([...world.feeds.services], ['orders.shop'], 'a new stream begins with them');
});

test('stream: there is room for so many subscriptions, at both ends', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  const many = Array.from({ length: 2_048 }, (_, i) => `s${i}.shop`);
  assert.equal(proxy.client.subscribe(many), true);
  assert.equal(proxy.client.subscribe(['one-more.shop']), false);
  await world.run(20);
  assert.equal(world.feeds.services.size, 2_048);
  const ended: string[] = [];
  const session = world.hub.accept(ORDERS, { send: () => 'open', end: ({ code }) => void ended.push(code) })!;
  session.receive({ kind: 'hello', hello: { ...SELF, protocol: 1, holds: undefined, services: many } });
  session.receive({ kind: 'subscribe', services: ['one-more.shop'] });
  assert.deepEqual(ended, ['push.too-large']);
});

test('stream: trust, wishes and reports go their way; reports again on a new stream', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  proxy.client.report({ kind: 'certificate', notAfterMs: 5, serial: '1', bundle: 'h', issuer: 'i' });
  await world.run(20);
  const [stream] = world.feeds.streams.keys();
  stream!.trust(BUNDLE);
  stream!.wish({ name: 'drain', body: '{}' });
  proxy.client.report({ kind: 'load', connections: 1, exchanges: 2, unhealthy: 0 });
  await world.run(20);
  assert.deepEqual([proxy.trust, proxy.wishes], [[BUNDLE], ['drain']]);
  assert.deepEqual(
    world.feeds.reports.map(({ kind }) => kind),
    ['certificate', 'load'],
  );
  proxy.net.cut();
  await world.pass(4_000);
  assert.equal(world.feeds.reports.length, 4);
});

test('stream: the state of ports that changes alone is acknowledged again', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  proxy.client.portsChanged({ '*:80': { state: 'bound', address: '0.0.0.0', port: 80 } });
  await world.run(20);
  const acks = proxy.net.toControl.filter((message) => message.kind === 'ack');
  assert.deepEqual(
    acks.map(({ ports }) => Object.keys(ports)),
    [[], ['*:80']],
  );
});

test('stream: what a proxy says of its ports is no answer to a delta that leads to the same version', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  const { promise, resolve } = Promise.withResolvers<ApplyResult>();
  proxy.answer = () => promise;
  const { plan, secrets } = world.feeds.bundle!;
  proxy.client.portsChanged({ '*:80': { state: 'bound', address: '0.0.0.0', port: 80 } });
  world.feeds.publish({ plan, secrets: { ...secrets, 'Secret/shop/redis#password': { value: 'new' } } });
  await world.run(20);
  world.feeds.publish({ plan, secrets: { ...secrets, 'Secret/shop/redis#password': { value: 'newer' } } });
  await world.run(20);
  assert.equal(proxy.deltas().length, 2, 'the second change waits for the answer to the first');
  resolve({ kind: 'nack', version: plan.version, reason: 'no' });
  await world.run(20);
  assert.equal(world.feeds.nacks.length, 2);
  assert.equal(world.hub.ended.size, 0);
});

test('stream: a control plane that goes is followed by another, which sends the difference', async () => {
  const world = new World(planOf('a.test'));
  const others = new PlainFeeds(planOf('a.test', 'b.test'));
  world.hubs.set('b:1', world.newHub(others));
  const proxy = world.proxy({ addresses: ['a:1', 'b:1'], random: seededRandom(1, 2, 3, 4) });
  await world.run(20);
  const first = proxy.net.attempts[0]!.address;
  world.hubs.get(first)!.close();
  world.hubs.delete(first);
  const second = first === 'a:1' ? 'b:1' : 'a:1';
  const want = second === 'a:1' ? world.feeds.bundle! : others.bundle!;
  await world.pass(4_000);
  assert.deepEqual(
    proxy.net.attempts.map(({ address }) => address),
    [first, second],
  );
  assert.equal(proxy.version, want.plan.version);
  assert.equal(proxy.deltas().at(-1)!.from, proxy.changes[0]!.bundle.plan.version);
});

test('stream: five hundred proxies that lose their control plane do not come back in one moment', async () => {
  const world = new World(planOf('a.test'));
  const random = seededRandom(5, 6, 7, 8);
  const proxies = Array.from({ length: 500 }, () => world.proxy({ random }));
  await world.run(30);
  assert.equal(world.hub.size, 500);
  world.hub.close();
  world.hubs.delete('a:1');
  await world.pass(60_000);
  const perTenth = new Map<number, number>();
  for (const { atMs } of proxies.flatMap(({ net }) => net.attempts.slice(1))) {
    const tenth = Math.floor(atMs / 100);
    perTenth.set(tenth, (perTenth.get(tenth) ?? 0) + 1);
  }
  const most = Math.max(...perTenth.values());
  assert.ok(most < 50, `${most} of 500 within a tenth of a second`);
  // In the second half minute, all of them together try some thirty times a second.
  const late = [...perTenth].filter(([tenth]) => tenth > 300).reduce((sum, [, count]) => sum + count, 0);
  assert.ok(late < 2_000, `${late} attempts in 30 s`);
  for (const proxy of proxies) proxy.client.close();
});

test('stream: no more than so many begin at a time; who is sent away comes back', async () => {
  const world = new World(planOf('a.test'));
  world.hub = new Hub({
    feeds: world.feeds,
    clock: world.clock,
    log: silentLog,
    software: '1',
    control: 'c',
    startingMax: 10,
  });
  world.hubs.set('a:1', world.hub);
  const random = seededRandom(5, 6, 7, 8);
  const proxies = Array.from({ length: 30 }, () => world.proxy({ random }));
  await world.run(20);
  assert.equal(world.hub.ended.get('push.busy'), 20);
  await world.pass(60_000);
  assert.equal(world.hub.size, 30);
  for (const proxy of proxies) assert.equal(proxy.version, planOf('a.test').plan.version);
});

test('stream: the applier is asked for one change at a time, whatever a control plane sends', async () => {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  proxy.answer = () => new Promise(() => undefined);
  await world.run(20);
  const delta = proxy.deltas()[0]!;
  proxy.net.toProxy.length = 0;
  const { clock } = world;
  // A control plane that does not wait for answers.
  const pushy = world.proxy({
    connect: (_, end) => ({
      send: ({ kind }) => {
        if (kind !== 'hello') return 'open';
        clock.after(1, () => {
          end.receive({ kind: 'welcome', software: '', control: '' });
          end.receive({ kind: 'delta', serial: 1, delta });
          end.receive({ kind: 'delta', serial: 2, delta });
        });
        return 'open';
      },
      end: () => undefined,
    }),
  });
  pushy.answer = () => new Promise(() => undefined);
  await world.run(20);
  assert.equal(pushy.changes.length, 1);
  const { state } = pushy.client;
  assert.equal(state.kind === 'away' && state.reason?.code, 'push.protocol');
});

test('hub: handshakes are begun as fast as they can be made, after a quiet time some at once', () => {
  const world = new World();
  const admitted = (count: number): number =>
    Array.from({ length: count }, () => world.hub.admit()).filter((outcome) => outcome === 'admitted').length;
  assert.equal(admitted(1_000), 500);
  world.clock.advance(100);
  assert.equal(admitted(1_000), 25);
  world.clock.advance(60_000);
  assert.equal(admitted(1_000), 500);
});
