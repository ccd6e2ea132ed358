/** Messages as bytes, held against push.proto as another implementation reads it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { MethodDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Fault } from '../base/fault.ts';
import { applyDelta, diffPlans } from '../ir/diff.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { PARTS } from '../ir/testing/plans.ts';
import { decodeMessage, encodeMessage, type Shape } from './codec.ts';
import { inventoryOf } from './inventory.ts';
import { type ControlMessage, MESSAGE_BYTES_MAX, type ProxyMessage } from './messages.ts';
import { ANCHORS_ANSWER, JOIN_ANSWER, JOIN_REQUEST, RENEW_REQUEST, TO_CONTROL, TO_PROXY } from './shapes.ts';
import { planOf } from './testing/plain-feeds.ts';
import { encodeToControl, ToControlReader } from './wire-to-control.ts';
import { encodeToProxy, ToProxyReader } from './wire-to-proxy.ts';

const PROTO = loadSync(fileURLToPath(new URL('push.proto', import.meta.url)), {
  keepCase: true,
  longs: Number,
  oneofs: true,
});

type Method = MethodDefinition<object, object>;
const methodOf = (service: string, method: string): Method =>
  (PROTO[`fourways.push.v1.${service}`] as unknown as Record<string, Method>)[method]!;

const STREAM = methodOf('Plan', 'Stream');

const PORTS = {
  '*:80': { state: 'bound', address: '0.0.0.0', port: 80 },
  '*:443': { state: 'failed', address: '0.0.0.0', port: 443, error: 'EACCES', message: 'Permission denied' },
} as const;

const WORKLOAD = {
  kind: 'workload',
  service: 'orders',
  namespace: 'shop',
  address: '10.0.0.1',
  ports: [{ name: 'http', port: 80, protocol: 'HTTP' }],
  proxyPort: 15_008,
  zone: 'a',
  health: 'draining',
} as const;

const HELLO = {
  protocol: 1,
  software: '1.0.0',
  instance: 'orders-1',
  role: 'sidecar',
  identity: '',
  zone: 'a',
  holds: { version: 'v', secrets: 's' },
  services: ['orders.shop', 'lager.größe'],
  forward: { address: '127.0.0.1', port: 15_001 },
  trusts: { bundle: 'h', issuer: 'i' },
  gateways: ['shop/edge'],
  address: '10.0.0.2',
} as const;

const BUNDLE = {
  hash: 'h',
  trustDomain: 'cluster.local',
  roots: ['PEM', 'PEM 2'],
  federated: [{ trustDomain: 'other.test', anchors: ['PEM 3'] }],
  issuer: 'i',
};

const FROM_PROXY: ProxyMessage[] = [
  { kind: 'hello', hello: HELLO },
  { kind: 'hello', hello: { ...HELLO, holds: undefined } },
  { kind: 'inventory', inventory: inventoryOf(planOf('a.test', 'b.test')) },
  { kind: 'subscribe', services: ['orders.shop'] },
  { kind: 'unsubscribe', services: ['orders.shop'] },
  { kind: 'ack', serial: 7, version: 'v', ports: PORTS },
  { kind: 'nack', serial: 7, version: 'v', reason: 'Worker 1: no memory' },
  { kind: 'report', report: WORKLOAD },
  { kind: 'answer', id: 7, body: '{"rows":["größe"]}', lost: 3, last: false, end: { kind: 'done' } },
  { kind: 'answer', id: 7, body: '', lost: 0, last: true, end: { kind: 'unsupported', reason: 'Unknown' } },
  { kind: 'report', report: { kind: 'load', connections: 1, exchanges: 2, unhealthy: 3 } },
  {
    kind: 'report',
    report: { kind: 'certificate', notAfterMs: 1_800_000_000_123, serial: '0a', bundle: 'h', issuer: 'i' },
  },
];

const TO_A_PROXY: ControlMessage[] = [
  { kind: 'welcome', software: '1.0.0', control: 'control-1' },
  { kind: 'inventory-wanted' },
  { kind: 'delta', serial: 1, delta: diffPlans(planOf('a.test'), planOf('b.test')) },
  { kind: 'delta', serial: 2, delta: diffPlans(undefined, planOf('b.test')) },
  { kind: 'unknown', services: ['gone.shop'] },
  { kind: 'trust', bundle: BUNDLE },
  { kind: 'wish', wish: { name: 'drain', body: '{}' } },
  { kind: 'ask', id: 7, topic: 'connections', body: '{}' },
  { kind: 'unask', id: 7 },
];

function readAll<T>(messages: Iterable<Uint8Array>, reader: { take(bytes: Uint8Array): T | undefined }): T[] {
  return [...messages].flatMap((bytes) => reader.take(bytes) ?? []);
}

for (const message of FROM_PROXY) {
  test(`wire: ${message.kind} of a proxy is read as it was written, here and by another codec`, () => {
    assert.deepEqual(readAll(encodeToControl(message), new ToControlReader()), [message]);
    const again = [...encodeToControl(message)].map((bytes) =>
      STREAM.requestSerialize(STREAM.requestDeserialize(Buffer.from(bytes))),
    );
    assert.deepEqual(readAll(again, new ToControlReader()), [message]);
  });
}

for (const message of TO_A_PROXY) {
  test(`wire: ${message.kind} to a proxy is read as it was written, here and by another codec`, () => {
    const plain = JSON.parse(JSON.stringify(message)) as ControlMessage;
    const got = readAll(encodeToProxy(message), new ToProxyReader());
    assert.deepEqual(JSON.parse(JSON.stringify(got)), [plain]);
    const again = [...encodeToProxy(message)].map((bytes) =>
      STREAM.responseSerialize(STREAM.responseDeserialize(Buffer.from(bytes))),
    );
    assert.deepEqual(JSON.parse(JSON.stringify(readAll(again, new ToProxyReader()))), [plain]);
  });
}

const JOINS: [shape: Shape, message: object, codec: { to(m: object): Buffer; from(b: Buffer): object }][] = [
  [
    JOIN_REQUEST,
    { token: 't', csr: Buffer.from([1, 2]), facts: [{ name: 'host', value: 'h' }] },
    { to: methodOf('Join', 'Join').requestSerialize, from: methodOf('Join', 'Join').requestDeserialize },
  ],
  [
    RENEW_REQUEST,
    { csr: Buffer.from([1, 2]), facts: [{ name: 'host', value: 'h' }] },
    { to: methodOf('Join', 'Renew').requestSerialize, from: methodOf('Join', 'Renew').requestDeserialize },
  ],
  [
    JOIN_ANSWER,
    { chain_pem: 'C', trust: { hash: 'h', trust_domain: 'd', roots: ['R'], issuer: 'i' } },
    { to: methodOf('Join', 'Join').responseSerialize, from: methodOf('Join', 'Join').responseDeserialize },
  ],
  [
    ANCHORS_ANSWER,
    { anchors: ['A', 'B'] },
    { to: methodOf('Join', 'Anchors').responseSerialize, from: methodOf('Join', 'Anchors').responseDeserialize },
  ],
];

for (const [shape, message, codec] of JOINS) {
  test(`wire: ${Object.keys(shape).join(', ')} are read alike by both codecs`, () => {
    const bytes = encodeMessage(shape, message);
    assert.deepEqual(JSON.parse(JSON.stringify(codec.from(Buffer.from(bytes)))), JSON.parse(JSON.stringify(message)));
    const read = decodeMessage(shape, codec.to(message));
    assert.ok(typeof read !== 'string');
    assert.deepEqual(encodeMessage(shape, read), bytes);
  });
}

/** A field of a number that nobody has, with a text in it. */
const NEW_FIELD = Buffer.from([0xfa, 0x3f, 3, 0x6e, 0x65, 0x77]);

test('wire: fields that a newer end has are passed over', () => {
  const [hello] = [...encodeToControl(FROM_PROXY[0]!)];
  const inHello = Buffer.concat([hello!, NEW_FIELD]);
  assert.deepEqual(new ToControlReader().take(inHello), FROM_PROXY[0]);
  const inside = Buffer.concat([
    Buffer.from([0x0a, hello!.length - 2 + NEW_FIELD.length]),
    hello!.subarray(2),
    NEW_FIELD,
  ]);
  assert.deepEqual(new ToControlReader().take(inside), FROM_PROXY[0]);
  assert.equal(new ToControlReader().take(NEW_FIELD), undefined, 'a message that we do not know');
  assert.equal(new ToProxyReader().take(NEW_FIELD), undefined);
  assert.equal(new ToControlReader().take(encodeMessage(TO_CONTROL, { report: {} })), undefined, 'a new report');
  const otherType = Buffer.from([0x18, 7]);
  assert.equal(new ToControlReader().take(otherType), undefined, 'a number where a message was');
});

test('wire: a plan of 50 MB goes in small messages, and arrives', () => {
  const bundle = largeBundle(50);
  const reader = new ToProxyReader();
  let count = 0;
  let largest = 0;
  let got: ControlMessage | Fault | undefined;
  for (const bytes of encodeToProxy({ kind: 'delta', serial: 1, delta: diffPlans(undefined, bundle) })) {
    count++;
    largest = Math.max(largest, bytes.length);
    got = reader.take(bytes);
  }
  assert.ok(got !== undefined && 'kind' in got && got.kind === 'delta');
  assert.deepEqual(applyDelta(undefined, got.delta).plan.version, bundle.plan.version);
  assert.ok(largest < MESSAGE_BYTES_MAX / 2, `${largest}`);
  assert.ok(count > 200, `${count}`);
});

test('wire: one part that is larger than a message goes in several', () => {
  const { plan } = planOf('a.test');
  const secrets = { 'Secret/shop/large#value': { value: 'x'.repeat(3_000_000) } };
  const delta = diffPlans(undefined, { plan, secrets });
  const messages = [...encodeToProxy({ kind: 'delta', serial: 1, delta })];
  assert.ok(messages.every(({ length }) => length < MESSAGE_BYTES_MAX / 2));
  const [got] = readAll(messages, new ToProxyReader());
  assert.deepEqual(JSON.parse(JSON.stringify(got)), JSON.parse(JSON.stringify({ kind: 'delta', serial: 1, delta })));
});

test('wire: a large inventory and a large hello stay within a message', () => {
  const parts = { ...PARTS, routes: {} as Record<string, (typeof PARTS.routes)[string]> };
  for (let i = 0; i < 5_000; i++)
    parts.routes[`HTTPRoute/${'n'.repeat(200)}/${i}`] = PARTS.routes['HTTPRoute/shop/web']!;
  const inventory = inventoryOf({ plan: { version: 'v', ...parts }, secrets: {} });
  const messages = [...encodeToControl({ kind: 'inventory', inventory })];
  assert.ok(messages.length > 5 && messages.every(({ length }) => length < MESSAGE_BYTES_MAX));
  assert.deepEqual(readAll(messages, new ToControlReader()), [{ kind: 'inventory', inventory }]);
  const services = Array.from({ length: 2_048 }, (_, i) => `${i}.${'s'.repeat(249)}`);
  const [hello] = encodeToControl({ kind: 'hello', hello: { ...HELLO, services } });
  assert.ok(hello!.length < MESSAGE_BYTES_MAX);
});

type Piece = NonNullable<NonNullable<Parameters<typeof encodeMessage<typeof TO_PROXY>>[1]['delta']>['pieces']>[number];
const piece = (more: Piece): Uint8Array => encodeMessage(TO_PROXY, { delta: { to: 'v', pieces: [more], last: true } });
const JSON_BYTES = Buffer.from('{"value":"x"}');

const BAD_TO_PROXY: [rule: string, messages: Uint8Array[], code: string][] = [
  ['bytes that are no message', [Buffer.from([0x0a, 5, 1])], 'push.protocol'],
  ['a text that is not UTF-8', [Buffer.from([0x0a, 3, 0x0a, 1, 0xff])], 'push.protocol'],
  ['a part without its hash', [piece({ kind: 'secrets', name: 'a', json: JSON_BYTES })], 'push.damaged'],
  ['a part that is not JSON', [piece({ kind: 'secrets', name: 'a', json: Buffer.from('{') })], 'push.damaged'],
  [
    'a route without what a route has',
    [piece({ kind: 'routes', name: 'a', json: Buffer.from('{"rules": [{}]}') })],
    'push.damaged',
  ],
  ['a part of an unknown kind', [piece({ kind: 'constructor', name: 'a', json: JSON_BYTES })], 'push.protocol'],
  ['a part without a name', [piece({ kind: 'routes', json: JSON_BYTES })], 'push.protocol'],
  ['a part named __proto__', [piece({ kind: 'routes', name: '__proto__', json: JSON_BYTES })], 'push.protocol'],
  ['a name of two lines', [piece({ kind: 'routes', name: 'a\nb', removed: true })], 'push.protocol'],
  ['an end inside a part', [piece({ kind: 'routes', name: 'a', json: JSON_BYTES, more: true })], 'push.protocol'],
  [
    'a delta inside a delta',
    [encodeMessage(TO_PROXY, { delta: { to: 'v' } }), encodeMessage(TO_PROXY, { delta: { to: 'w' } })],
    'push.protocol',
  ],
  [
    'a part inside a part',
    [
      encodeMessage(TO_PROXY, {
        delta: { to: 'v', pieces: [{ kind: 'routes', name: 'a', json: JSON_BYTES, more: true }] },
      }),
      piece({ kind: 'routes', name: 'b', json: JSON_BYTES }),
    ],
    'push.protocol',
  ],
  [
    'more than was agreed on',
    [piece({ kind: 'routes', name: 'a', json: Buffer.alloc(2_000, 0x20), more: true })],
    'push.too-large',
  ],
  [
    'a wish that is too large',
    [encodeMessage(TO_PROXY, { wish: { name: 'w', body: 'x'.repeat(65_537) } })],
    'push.too-large',
  ],
  [
    'a trust bundle that is too large',
    [encodeMessage(TO_PROXY, { trust: { roots: ['x'.repeat(200_000), 'x'.repeat(200_000)] } })],
    'push.too-large',
  ],
];

for (const [rule, messages, code] of BAD_TO_PROXY) {
  test(`wire: to a proxy, ${rule} is refused`, () => {
    const reader = new ToProxyReader(1_000);
    const got = messages.map((bytes) => reader.take(bytes)).at(-1);
    assert.ok(got instanceof Fault);
    assert.equal(got.code, code);
  });
}

const BAD_TO_CONTROL: [rule: string, message: Uint8Array, code: string][] = [
  ['an unknown role', encodeMessage(TO_CONTROL, { hello: { role: 'king' } }), 'push.protocol'],
  ['a long name', encodeMessage(TO_CONTROL, { hello: { role: 'sidecar', zone: 'z'.repeat(3_000) } }), 'push.too-large'],
  [
    'too many services',
    encodeMessage(TO_CONTROL, { subscribe: { services: Array.from({ length: 2_049 }, () => 's') } }),
    'push.too-large',
  ],
  ['a service without a name', encodeMessage(TO_CONTROL, { subscribe: { services: [''] } }), 'push.protocol'],
  [
    'a hundred thousand services',
    encodeMessage(TO_CONTROL, { subscribe: { services: Array.from({ length: 100_000 }, () => 's') } }),
    'push.protocol',
  ],
  [
    'a part of an unknown kind',
    encodeMessage(TO_CONTROL, { inventory: { parts: [{ kind: 'toString', name: 'a' }] } }),
    'push.protocol',
  ],
];

for (const [rule, message, code] of BAD_TO_CONTROL) {
  test(`wire: to the control plane, ${rule} is refused`, () => {
    const got = new ToControlReader().take(message);
    assert.ok(got instanceof Fault);
    assert.equal(got.code, code);
  });
}

test('wire: an inventory without end is refused', () => {
  const reader = new ToControlReader();
  const parts = Array.from({ length: 10_000 }, (_, i) => ({ kind: 'routes', name: `r${i}` }));
  const message = encodeMessage(TO_CONTROL, { inventory: { version: 'v', parts } });
  let got: ProxyMessage | Fault | undefined;
  let count = 0;
  for (; got === undefined && count < 100; count++) got = reader.take(message);
  assert.ok(got instanceof Fault);
  assert.equal(got.code, 'push.too-large');
  assert.equal(count, 21);
});

function largeBundle(megabytes: number): PlanBundle {
  const secrets = Object.fromEntries(
    Array.from({ length: megabytes * 10 }, (_, i) => [
      `Secret/shop/s${i}#v`,
      { value: `${i}`.repeat(100_000).slice(0, 100_000) },
    ]),
  );
  return { plan: planOf('a.test').plan, secrets };
}
