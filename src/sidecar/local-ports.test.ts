import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Log } from '../base/log.ts';
import type { Change } from '../ir/change.ts';
import { applyDelta, diffPlans } from '../ir/diff.ts';
import type { Plan, PlanBundle, PlanListener } from '../ir/plan.ts';
import { HTTP_LISTENER, HTTP_PORT } from '../ir/testing/plans.ts';
import { LocalPlans } from './local-plans.ts';
import { listenerFor, type LocalPort, namedPortsOf } from './local-ports.ts';

const FORWARD = '127.0.0.1:15001';

const named = (port: number, ...names: string[]): PlanListener => ({
  ...HTTP_LISTENER,
  port: FORWARD,
  hostname: `${names[0]}:${port}`,
  alsoNamed: names.slice(1).map((name) => `${name}:${port}`),
  chosenBy: 'authority',
  publicPort: port,
});

const attached = (...listeners: string[]): { attach: { listener: string; hosts: string[] }[] } => ({
  attach: listeners.map((listener) => ({ listener, hosts: ['*'] })),
});

const PLAN: Plan = {
  version: 'v1',
  ports: { [FORWARD]: { ...HTTP_PORT, address: '127.0.0.1', port: 15_001, protocol: 'proxy' } },
  listeners: {
    'Service/shop/web/80': named(80, 'web', 'web.shop'),
    'Service/shop/db/5432': { ...named(5_432, 'db.shop', '10.0.0.1'), stream: { kind: 'tcp' } },
    'Service/shop/db/9187': named(9_187, 'db.shop'),
    'Inbound/shop/me/80': { ...HTTP_LISTENER, chosenBy: 'server-name' },
  },
  routes: {
    'Service/shop/web/80': { createdMs: 0, ...attached('Service/shop/web/80'), rules: [] },
    other: { createdMs: 0, ...attached('Inbound/shop/me/80'), rules: [] },
  },
  streams: { db: { name: 'db', createdMs: 0, ...attached('Service/shop/db/5432'), backends: [] } },
  clusters: {},
};

const local = (service: string, port: number | undefined, at: number): LocalPort => ({
  service,
  port,
  at: { address: '127.0.0.1', port: at },
});

const FOUND: [rule: string, of: LocalPort, want: string | RegExp][] = [
  ['the only port of a service', local('web.shop', undefined, 1), 'Service/shop/web/80'],
  ['by any of its names', local('web', 80, 1), 'Service/shop/web/80'],
  ['one of several', local('db.shop', 9_187, 1), 'Service/shop/db/9187'],
  ['which of several?', local('db.shop', undefined, 1), /has the ports 5432, 9187: write db.shop:5432/],
  ['a port that it has not', local('web.shop', 81, 1), /has no port 81, but 80/],
  ['nobody', local('no.shop', 80, 1), /no service "no.shop"/],
];

for (const [rule, of, want] of FOUND) {
  test(`a local port: ${rule}`, () => {
    const found = listenerFor(of, namedPortsOf(PLAN));
    if (typeof want === 'string') assert.deepEqual(found, { key: want });
    else assert.match('flaw' in found ? found.flaw : '', want);
  });
}

/** What the proxies have, by the deltas that they were given. */
class Applied {
  bundle: PlanBundle | undefined;
  changed: string[] = [];

  readonly apply = ({ delta }: Change): Promise<{ kind: 'ack'; version: string; ports: {} }> => {
    this.bundle = applyDelta(this.bundle, delta);
    this.changed = Object.values(delta.set).flatMap((set) => Object.keys(set));
    return Promise.resolve({ kind: 'ack', version: delta.to, ports: {} });
  };
}

function silent(said: string[] = []): Log {
  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (text) => void said.push(text),
    error: (text) => void said.push(text),
  };
  return log;
}

const change = (plan: Plan): Change => {
  const bundle = { plan, secrets: {} };
  return { bundle, delta: diffPlans(undefined, bundle) };
};

test('a local port is one more way to what the forward proxy has by name, and the plan keeps its version', async () => {
  const applied = new Applied();
  const said: string[] = [];
  const locals = [local('web.shop', undefined, 7_001), local('db.shop', 5_432, 7_002), local('no.shop', 1, 7_003)];
  const plans = new LocalPlans({ applier: applied, locals, log: silent(said) });
  const result = await plans.apply(change(PLAN));
  assert.deepEqual([result.kind, result.version], ['ack', 'v1']);
  const { ports, listeners, routes, streams } = applied.bundle!.plan;
  assert.deepEqual(
    Object.values(ports).map(({ port, protocol }) => [port, protocol]),
    [
      [15_001, 'proxy'],
      [7_001, 'http'],
      [7_002, 'tcp'],
    ],
  );
  const web = listeners['Service/shop/web/80@local']!;
  assert.deepEqual(
    [web.port, web.hostname, web.chosenBy, web.callTree, web.publicPort],
    ['127.0.0.1:7001', '*', undefined, 'join', 80],
  );
  assert.deepEqual(listeners['Service/shop/db/5432@local']!.stream, { kind: 'tcp' });
  const where = ({ attach }: { attach: readonly { listener: string }[] }): string[] =>
    attach.map((one) => one.listener);
  assert.deepEqual(where(routes['Service/shop/web/80']!), ['Service/shop/web/80', 'Service/shop/web/80@local']);
  assert.deepEqual(where(streams['db']!), ['Service/shop/db/5432', 'Service/shop/db/5432@local']);
  assert.equal(routes['other'], PLAN.routes['other']);
  assert.deepEqual(said, ['A local port leads nowhere: There is no service "no.shop" (yet)']);

  // What did not change is not sent again, and not said again.
  await plans.apply(
    change({ ...PLAN, version: 'v2', routes: { ...PLAN.routes, other: { ...PLAN.routes['other']! } } }),
  );
  assert.deepEqual([applied.changed, said.length], [[], 1]);

  // A service that comes has its local port then, and one that goes has it no longer.
  const { 'Service/shop/web/80': _, ...rest } = PLAN.listeners;
  const listeners3 = { ...rest, 'Service/shop/no/1': named(1, 'no.shop') };
  await plans.apply(change({ ...PLAN, version: 'v3', listeners: listeners3 }));
  assert.deepEqual(Object.keys(applied.bundle!.plan.ports), [FORWARD, '127.0.0.1:7002', '127.0.0.1:7003']);
  assert.match(said[1]!, /no service "web.shop"/);
});
