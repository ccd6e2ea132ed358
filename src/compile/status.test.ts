/** What is true of the running proxies, as statuses say it. What the configuration says is in the golden files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Compiled, Compiler } from './compile.ts';
import type { Condition } from './condition.ts';
import type { RuntimeState, ServingProxy, StatusItem } from './status-item.ts';
import { resourcesIn } from './testing/many-routes.ts';
import { BIND, runtimeOf } from './testing/runtime.ts';

const gatewayText = (generation: number, addresses = '[]', ports = [80]): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, generation: ${generation} }
spec:
  gatewayClassName: fourways
  addresses: ${addresses}
  listeners:
${ports.map((port) => `    - { name: p${port}, port: ${port}, protocol: HTTP }`).join('\n')}
`;

const routeText = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop, labels: { team: web }, generation: 4 }
spec: { parentRefs: [{ name: edge }], rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { hostname: a.test } }] }] }
`;

/** A compiler on a clock that the test moves. */
class World {
  wallMs = Date.parse('2027-01-01T00:00:00Z');
  readonly #compiler = new Compiler({
    controllerName: 'fourways.io/gateway-controller',
    bindDefault: BIND,
    wallMs: () => this.wallMs,
  });

  compile(...texts: string[]): Compiled {
    return this.#compiler.compile(resourcesIn(texts.join('\n---\n')));
  }
}

function gatewayOf(items: readonly StatusItem[]): Record<string, unknown> {
  return items.find(({ kind }) => kind === 'Gateway')!.status;
}

function condition(status: unknown, type: string): Condition {
  return (status as { conditions: Condition[] }).conditions.find((one) => one.type === type)!;
}

function listenerCondition(status: Record<string, unknown>, name: string, type: string): Condition {
  const listener = (status['listeners'] as { name: string }[]).find((one) => one.name === name);
  return condition(listener, type);
}

/** `Programmed: True Programmed`. */
function line({ type, status, reason }: Condition): string {
  return `${type}: ${status} ${reason}`;
}

const TWO = '[{ value: 10.0.0.1 }, { value: 10.0.0.2 }]';

const ROWS: [
  rule: string,
  gateway: string,
  failures: Record<string, string>,
  want: { addresses: string[]; gateway: string; listeners: Record<string, [accepted: string, programmed: string]> },
][] = [
  [
    'every port bound',
    gatewayText(1, '[]', [80, 81]),
    {},
    {
      addresses: [BIND],
      gateway: 'Programmed: True Programmed',
      listeners: { p80: ['Accepted: True Accepted', 'Programmed: True Programmed'] },
    },
  ],
  [
    'a port that another process has',
    gatewayText(1, '[]', [80, 81]),
    { '*:81': 'EADDRINUSE' },
    {
      addresses: [],
      gateway: 'Programmed: False Invalid',
      listeners: {
        p80: ['Accepted: True Accepted', 'Programmed: True Programmed'],
        p81: ['Accepted: False PortUnavailable', 'Programmed: False Invalid'],
      },
    },
  ],
  [
    'an address that is not ours',
    gatewayText(1, TWO),
    { '10.0.0.2:80': 'EADDRNOTAVAIL' },
    {
      addresses: ['10.0.0.1'],
      gateway: 'Programmed: False AddressNotUsable',
      listeners: { p80: ['Accepted: True Accepted', 'Programmed: False Invalid'] },
    },
  ],
  [
    'an address that is not ours and a port that is taken',
    gatewayText(1, TWO),
    { '10.0.0.1:80': 'EACCES', '10.0.0.2:80': 'EADDRNOTAVAIL' },
    {
      addresses: [],
      gateway: 'Programmed: False AddressNotUsable',
      listeners: { p80: ['Accepted: True Accepted', 'Programmed: False Invalid'] },
    },
  ],
];

for (const [rule, gateway, failures, want] of ROWS) {
  test(`statuses with ${rule}`, () => {
    const compiled = new World().compile(gateway);
    const status = gatewayOf(compiled.statusOf(runtimeOf(compiled, failures)));
    assert.deepEqual(
      (status['addresses'] as { value: string }[]).map(({ value }) => value),
      want.addresses,
    );
    assert.equal(line(condition(status, 'Programmed')), want.gateway);
    assert.equal(line(condition(status, 'Accepted')), 'Accepted: True Accepted');
    for (const [name, [accepted, programmed]] of Object.entries(want.listeners)) {
      assert.equal(line(listenerCondition(status, name, 'Accepted')), accepted, name);
      assert.equal(line(listenerCondition(status, name, 'Programmed')), programmed, name);
    }
  });
}

const NOTHING: RuntimeState = { bind: BIND, ports: {}, appliedVersion: undefined };

test('a plan that no proxy has applied is pending', () => {
  const status = gatewayOf(new World().compile(gatewayText(1)).statusOf(NOTHING));
  assert.equal(line(condition(status, 'Programmed')), 'Programmed: False Pending');
  assert.equal(line(listenerCondition(status, 'p80', 'Programmed')), 'Programmed: False Pending');
  assert.deepEqual(status['addresses'], []);
});

test('while a change of something else is on its way, a Gateway stays programmed', () => {
  const world = new World();
  const before = world.compile(gatewayText(1));
  const runtime = runtimeOf(before);
  before.statusOf(runtime);
  const after = world.compile(gatewayText(1), routeText);
  assert.notEqual(after.bundle.plan.version, before.bundle.plan.version);
  const status = gatewayOf(after.statusOf(runtime));
  assert.equal(line(condition(status, 'Programmed')), 'Programmed: True Programmed');
  assert.equal(line(listenerCondition(status, 'p80', 'Programmed')), 'Programmed: True Programmed');
});

test('a changed Gateway is pending until its plan is applied', () => {
  const world = new World();
  const before = world.compile(gatewayText(1));
  const runtime = runtimeOf(before);
  before.statusOf(runtime);
  const after = world.compile(gatewayText(2, '[]', [80, 81]));
  assert.equal(line(condition(gatewayOf(after.statusOf(runtime)), 'Programmed')), 'Programmed: False Pending');
  assert.equal(
    line(condition(gatewayOf(after.statusOf(runtimeOf(after))), 'Programmed')),
    'Programmed: True Programmed',
  );
});

test('lastTransitionTime moves with the status of a condition, observedGeneration with the object', () => {
  const world = new World();
  const first = world.compile(gatewayText(1));
  const one = condition(gatewayOf(first.statusOf(runtimeOf(first))), 'Programmed');
  assert.equal(one.lastTransitionTime, '2027-01-01T00:00:00Z');
  assert.equal(one.observedGeneration, 1);

  world.wallMs += 60_000;
  const second = world.compile(gatewayText(2));
  const two = condition(gatewayOf(second.statusOf(runtimeOf(second))), 'Programmed');
  assert.equal(two.lastTransitionTime, '2027-01-01T00:00:00Z');
  assert.equal(two.observedGeneration, 2);

  world.wallMs += 60_000;
  const three = condition(gatewayOf(second.statusOf(runtimeOf(second, { '*:80': 'EACCES' }))), 'Programmed');
  assert.equal(three.status, 'False');
  assert.equal(three.lastTransitionTime, '2027-01-01T00:02:00Z');
});

test('an object comes with what identifies it, and a parent with group and kind', () => {
  const compiled = new World().compile(gatewayText(1), routeText);
  const route = compiled.statusOf(runtimeOf(compiled)).find(({ kind }) => kind === 'HTTPRoute')!;
  assert.deepEqual(route.metadata, { name: 'web', namespace: 'shop', generation: 4, labels: { team: 'web' } });
  const [parent] = route.status['parents'] as { parentRef: object; controllerName: string }[];
  assert.deepEqual(parent?.parentRef, {
    group: 'gateway.networking.k8s.io',
    kind: 'Gateway',
    namespace: 'shop',
    name: 'edge',
  });
  assert.equal(parent?.controllerName, 'fourways.io/gateway-controller');
});

const policyText = `
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: access, namespace: shop }
spec:
  targetRefs: [{ kind: HTTPRoute, name: web }]
  filters: { ipAccess: { allow: ["10.0.0.0/8"] } }
`;

const PROGRAMMED: [rule: string, failing: RuntimeState['failing'], want: string | undefined][] = [
  ['no proxy runs', undefined, undefined],
  ['every filter does its work', [], 'True Programmed '],
  [
    'one of its filters does not',
    [
      { filter: 'jwt', owner: 'Policy shop/other', why: 'no keys' },
      { filter: 'ipAccess', owner: 'Policy shop/access', why: 'no such file' },
    ],
    'False FilterFailed Filter "ipAccess" cannot do its work: no such file',
  ],
];

for (const [rule, failing, want] of PROGRAMMED) {
  test(`a Policy where ${rule}`, () => {
    const compiled = new World().compile(gatewayText(1), routeText, policyText);
    const runtime = { ...runtimeOf(compiled), ...(failing !== undefined && { failing }) };
    const policy = compiled.statusOf(runtime).find(({ kind }) => kind === 'Policy')!;
    const [ancestor] = policy.status['ancestors'] as { conditions: Condition[] }[];
    const programmed = ancestor!.conditions.find(({ type }) => type === 'Programmed');
    assert.equal(programmed && `${programmed.status} ${programmed.reason} ${programmed.message}`, want);
  });
}

const SERVICE_TEXT = `
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders, namespace: shop }
spec: { parentRefs: [{ group: '', kind: Service, name: orders, port: 80 }], rules: [{ backendRefs: [{ name: orders, port: 80 }] }] }
`;

const POLICY_TEXTS = ['Gateway edge', 'Service orders', 'HTTPRoute orders']
  .map((target) => target.split(' '))
  .map(
    ([kind, name]) => `
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: of-${kind!.toLowerCase()}, namespace: shop }
spec: { targetRefs: [{ kind: ${kind}, name: ${name} }], filters: { ipAccess: { allow: [10.0.0.0/8] } } }
`,
  )
  .join('---');

test('in a mesh every Gateway, route and Policy says by how many proxies it is served, and by which plan', () => {
  const compiled = new World().compile(gatewayText(1), routeText, SERVICE_TEXT, POLICY_TEXTS);
  const proxy = { state: 'current', wanted: 'a'.repeat(64), ports: {}, bind: '' } as const;
  const said = (proxies: Readonly<Record<string, readonly ServingProxy[]>>): string[] => {
    const proxiesOf = (key: string): readonly ServingProxy[] => proxies[key] ?? [];
    const items = compiled.statusOf({ ...runtimeOf(compiled), proxiesOf });
    return items.flatMap(({ metadata: { name }, status }) => {
      const of = (status['parents'] ?? status['ancestors']) as Record<string, unknown>[] | undefined;
      const [parent = status] = of ?? [];
      const found = condition(parent, 'fourways.io/Acknowledged');
      return found === undefined ? [] : [`${name}: ${found.status} ${found.reason}: ${found.message}`];
    });
  };
  const none = 'False NoProxies: No proxy has a plan with it';
  assert.deepEqual(said({}), [`edge: ${none}`, `web: ${none}`, `of-gateway: ${none}`]);
  const gateways = [
    { ...proxy, name: 'g1' },
    { ...proxy, name: 'g2' },
  ];
  const all = 'True Acknowledged: 2 of 2 proxies serve it: plan aaaaaaaaaaaa';
  assert.deepEqual(said({ 'Gateway/shop/edge': gateways }), [`edge: ${all}`, `web: ${all}`, `of-gateway: ${all}`]);
  assert.deepEqual(said({ 'Inbound/shop/orders': gateways }).at(-1), `of-service: ${all}`);
  const callers = ['b', 'c', 'd', 'e', 'f'].map((letter, i): ServingProxy => ({
    ...proxy,
    name: `s${i}`,
    wanted: letter.repeat(64),
    ...(i > 3 && { state: 'behind' }),
  }));
  const some = '4 of 5 proxies serve it: plans bbbbbbbbbbbb, cccccccccccc, dddddddddddd and 2 more';
  const called = said({ 'Service/shop/orders': callers });
  assert.deepEqual(
    [called[2], called.at(-1)],
    [`orders: False Pending: ${some}`, `of-httproute: False Pending: ${some}`],
  );
  const refused = callers.map((one) => (one.state === 'behind' ? { ...one, refused: 'it does not like it' } : one));
  assert.equal(
    said({ 'Service/shop/orders': refused })[2],
    `orders: False Refused: ${some}; s4 refuses it: it does not like it`,
  );
});
