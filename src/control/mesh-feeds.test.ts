import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/fault.ts';
import { silentLog } from '../base/log.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { Compiled } from '../compile/compile.ts';
import { pushFault } from '../push/faults.ts';
import type { Feed, Proxy, ProxyStream } from '../push/feeds.ts';
import { MeshFeeds } from './mesh-feeds.ts';
import { Registry } from './registry.ts';

const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';
const HELLO = {
  protocol: 1,
  software: '0.1.0',
  instance: 'i1',
  role: 'sidecar',
  identity: '',
  zone: '',
  holds: undefined,
  services: [],
} as const;
const WORKLOAD = {
  kind: 'workload',
  service: 'orders',
  namespace: 'shop',
  address: '10.0.0.1',
  ports: [{ name: 'http', port: 80, protocol: '' }],
  proxyPort: 15_008,
  zone: '',
  health: 'healthy',
} as const;

function makeFeeds() {
  const clock = new ManualClock();
  const registry = new Registry({ clock, log: silentLog, onChange: () => undefined });
  const said: object[] = [];
  const left: string[] = [];
  const feeds = new MeshFeeds({
    registry,
    clock,
    log: silentLog,
    onCertificate: (one) => said.push(one),
    onGateways: () => undefined,
    onFarewell: (instance) => left.push(instance),
  });
  return { clock, registry, said, left, feeds };
}

function stream(): ProxyStream & { readonly cuts: string[]; readonly trusts: string[] } {
  const cuts: string[] = [];
  const trusts: string[] = [];
  return {
    cuts,
    trusts,
    changed: () => undefined,
    trust: ({ hash, issuer }) => trusts.push(`${hash} ${issuer}`),
    wish: () => undefined,
    ask: () => () => undefined,
    cut: ({ code }) => cuts.push(code),
  };
}

function opened(feed: Feed | Fault): Feed {
  assert.ok(!(feed instanceof Fault));
  return feed;
}

function compiledAs(version: string): Compiled {
  const mesh = {
    denied: [],
    planOf: () => ({ plan: { version }, secrets: {} }),
    serviceOf: () => undefined,
    dependsOn: () => [],
    changesSince: () => [],
  };
  return { mesh } as unknown as Compiled;
}

const proxy = (identity = ORDERS, instance = 'i1'): Proxy => ({ identity, hello: { ...HELLO, instance } });
const GONE = pushFault('push.away', 'gone');

test('feeds: the same instance again takes over, also when the end of the one before is heard of later', () => {
  const { feeds } = makeFeeds();
  const [first, second] = [stream(), stream()];
  const before = opened(feeds.open(proxy(), first));
  opened(feeds.open(proxy(), second));
  assert.deepEqual([first.cuts, second.cuts], [['push.closed'], []]);
  before.closed(GONE);
  assert.deepEqual(
    feeds.list().map(({ instance }) => instance),
    ['i1'],
  );
});

test('feeds: each proxy that is connected can be asked; who waits for others hears of each that comes, as long as it is there', () => {
  const { clock, feeds } = makeFeeds();
  const first = opened(feeds.open(proxy(), stream()));
  assert.equal(first.reported(WORKLOAD), undefined);
  const [askable] = feeds.askables();
  assert.deepEqual(
    [askable!.instance, askable!.identity, askable!.role, askable!.services],
    ['i1', ORDERS, 'sidecar', ['shop/orders']],
  );
  const joined: string[] = [];
  const stop = feeds.onJoined(({ instance }) => joined.push(instance));
  opened(feeds.open(proxy(ORDERS, 'i2'), stream()));
  opened(feeds.open(proxy(ORDERS, 'i3'), stream())).closed(GONE);
  // Not in the turn of its stream, which is not there yet.
  assert.deepEqual(joined, []);
  clock.advance(1);
  assert.deepEqual(joined, ['i2']);
  stop();
  opened(feeds.open(proxy(ORDERS, 'i4'), stream()));
  clock.advance(1);
  assert.deepEqual(joined, ['i2']);
});

test('feeds: an instance of another identity, and an identity of another form, get nothing', () => {
  const { feeds } = makeFeeds();
  const first = stream();
  opened(feeds.open(proxy(), first));
  for (const identity of ['spiffe://cluster.local/ns/shop/sa/web', 'spiffe://cluster.local/orders']) {
    const refused = feeds.open(proxy(identity), stream());
    assert.equal(refused instanceof Fault ? refused.code : 'open', 'push.identity-refused');
  }
  assert.deepEqual(first.cuts, []);
});

test('feeds: what a proxy tells of itself is registered and listed; of others it may tell nothing', () => {
  const { feeds, registry, said, left } = makeFeeds();
  const feed = opened(feeds.open(proxy(), stream()));
  assert.equal(feed.reported(WORKLOAD), undefined);
  assert.equal(feed.reported({ ...WORKLOAD, service: 'web' })?.code, 'mesh.registration-refused');
  feed.reported({ kind: 'certificate', notAfterMs: 5, serial: 'a', bundle: 'b', issuer: 'i' });
  assert.deepEqual(said, []);
  feeds.publish(compiledAs('v1'), 'b');
  feed.bundleOf(new Set());
  feed.acked('v1', {});
  feed.acked('v1', {});
  assert.deepEqual(said, [{ proxy: 'i1', identity: ORDERS, serial: 'a', bundle: 'b' }]);
  const [row] = feeds.list();
  assert.deepEqual([row?.services, row?.certificateEndMs], [['shop/orders'], 5]);
  feed.reported({ ...WORKLOAD, health: 'draining' });
  feed.closed(GONE);
  assert.deepEqual([registry.workloads, left, feeds.list()], [[], ['i1'], []]);
});

test('feeds: a trust bundle is acknowledged when the plan that a proxy serves has its roots, too', () => {
  const { feeds, said } = makeFeeds();
  const feed = opened(feeds.open(proxy(), stream()));
  const says = (bundle: string): unknown =>
    feed.reported({ kind: 'certificate', notAfterMs: 5, serial: 'a', bundle, issuer: 'i' });
  const bundles = (): unknown[] => said.map((one) => (one as { bundle: string }).bundle);
  feeds.publish(compiledAs('v1'), 'h1');
  feed.bundleOf(new Set());
  says('h1');
  assert.deepEqual(bundles(), []);
  feed.acked('v1', {});
  assert.deepEqual(bundles(), ['h1']);
  // It hears of the new bundle before its plan has the roots.
  says('h2');
  feeds.publish(compiledAs('v2'), 'h2');
  feed.bundleOf(new Set());
  feed.acked('v1', {});
  assert.deepEqual(bundles(), ['h1']);
  feed.acked('v2', {});
  assert.deepEqual(bundles(), ['h1', 'h2']);
  // Nothing of its plan depends on the roots: there is nothing to be acknowledged.
  feeds.publish(compiledAs('v2'), 'h3');
  feed.bundleOf(new Set());
  says('h3');
  assert.deepEqual(bundles(), ['h1', 'h2', 'h3']);
});

const BUNDLE = { hash: 'h1', trustDomain: 'cluster.local', roots: [], federated: [], issuer: 'i1' };

const COMES: [what: string, trusts: Proxy['hello']['trusts'], told: string[]][] = [
  ['has not said what it trusts', undefined, ['h1 i1']],
  ['trusts all of it', { bundle: 'h1', issuer: 'i1' }, []],
  ['was away while roots changed', { bundle: 'h0', issuer: 'i0' }, ['h1 i1']],
  ['was away while the issuer changed', { bundle: 'h1', issuer: 'i0' }, ['h1 i1']],
];

for (const [what, trusts, told] of COMES) {
  test(`feeds: a proxy that ${what} hears ${told.length === 0 ? 'nothing' : 'what to trust'} when it comes`, () => {
    const { feeds } = makeFeeds();
    feeds.trust(BUNDLE);
    const to = stream();
    opened(feeds.open({ identity: ORDERS, hello: { ...HELLO, trusts } }, to));
    assert.deepEqual(to.trusts, told);
    feeds.trust({ ...BUNDLE, hash: 'h2' });
    assert.deepEqual(to.trusts, [...told, 'h2 i1']);
  });
}

test('feeds: an identity that is denied is cut, and gets nothing until it is allowed again', () => {
  const { feeds } = makeFeeds();
  const [first, other] = [stream(), stream()];
  opened(feeds.open(proxy(), first));
  opened(feeds.open(proxy('spiffe://cluster.local/ns/shop/sa/web', 'i2'), other));
  feeds.deny([ORDERS]);
  assert.deepEqual([first.cuts, other.cuts], [['push.identity-refused'], []]);
  const refused = feeds.open(proxy(), stream());
  assert.equal(refused instanceof Fault ? refused.code : 'open', 'push.identity-refused');
  feeds.deny([]);
  opened(feeds.open(proxy(), stream()));
});
