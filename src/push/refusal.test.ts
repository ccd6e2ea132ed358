/** What a control plane does not take from a proxy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pushFault } from './faults.ts';
import type { ProxyMessage } from './messages.ts';
import { ServerSession } from './server-session.ts';
import { planOf } from './testing/plain-feeds.ts';
import { ORDERS, SELF, World } from './testing/world.ts';

const WRONG: [rule: string, messages: (hello: ProxyMessage) => ProxyMessage[], code: string][] = [
  ['anything before the hello', () => [{ kind: 'subscribe', services: ['a'] }], 'push.protocol'],
  ['a second hello', (hello) => [hello, hello], 'push.protocol'],
  [
    'an ack of what was not sent',
    (hello) => [hello, { kind: 'ack', serial: 1, version: 'x', ports: {} }],
    'push.protocol',
  ],
  [
    'a nack of what was not sent',
    (hello) => [hello, { kind: 'nack', serial: 1, version: 'x', reason: '' }],
    'push.protocol',
  ],
  [
    'an inventory that was not asked for',
    (hello) => [hello, { kind: 'inventory', inventory: { version: 'x', parts: {} as never } }],
    'push.protocol',
  ],
  [
    'another protocol',
    () => [{ kind: 'hello', hello: { ...SELF, protocol: 2, holds: undefined, services: [] } }],
    'push.protocol',
  ],
  [
    'the plan of another identity',
    () => [
      {
        kind: 'hello',
        hello: {
          ...SELF,
          identity: 'spiffe://cluster.local/ns/shop/sa/bank',
          protocol: 1,
          holds: undefined,
          services: [],
        },
      },
    ],
    'push.identity-refused',
  ],
];

for (const [rule, messages, code] of WRONG) {
  test(`stream: ${rule} is refused, logged and counted`, () => {
    const world = new World(planOf('a.test'));
    const ended: string[] = [];
    const session = world.hub.accept(ORDERS, { send: () => 'open', end: (fault) => void ended.push(fault.code) })!;
    const hello = { ...SELF, protocol: 1, holds: undefined, services: [] } as const;
    for (const message of messages({ kind: 'hello', hello })) session.receive(message);
    assert.deepEqual(ended, [code]);
    assert.equal(world.hub.ended.get(code), 1);
    assert.equal(world.warnings.length, 1);
    assert.equal(world.warnings[0]!.fields!['identity'], ORDERS);
    assert.equal(world.hub.size, 0);
    assert.equal(world.clock.pending, 0);
  });
}

test('stream: an identity that the control plane denies, and a report that it may not make, end the stream', async () => {
  const world = new World(planOf('a.test'));
  world.feeds.refuse = () => pushFault('push.identity-refused', 'It is denied');
  const denied = world.proxy();
  await world.run(20);
  assert.equal(denied.changes.length, 0);
  assert.equal(world.hub.ended.get('push.identity-refused'), 1);
  denied.client.close();

  world.feeds.refuse = () => undefined;
  world.feeds.refuseReport = () => pushFault('push.identity-refused', 'It is no instance of this service');
  const liar = world.proxy();
  liar.client.report({ kind: 'load', connections: 0, exchanges: 0, unhealthy: 0 });
  await world.run(20);
  assert.equal(world.hub.ended.get('push.identity-refused'), 2);
  liar.client.close();
});

test('stream: whoever is refused over and over is counted each time, and said so many times a minute', async () => {
  const world = new World(planOf('a.test'));
  for (let i = 0; i < 1_000; i++) world.hub.refuse(pushFault('push.unauthenticated', 'No'), {});
  assert.equal(world.hub.ended.get('push.unauthenticated'), 1_000);
  assert.equal(world.warnings.length, 20);
  await world.pass(60_000);
  world.hub.refuse(pushFault('push.unauthenticated', 'No'), {});
  assert.equal(world.warnings.length, 21);
  assert.equal(world.warnings[20]!.fields!['unsaid'], 980);
});

test('stream: a proxy that says nothing is cut after ten seconds', async () => {
  const world = new World(planOf('a.test'));
  const ended: string[] = [];
  const session = world.hub.accept(ORDERS, { send: () => 'open', end: (fault) => void ended.push(fault.code) });
  assert.ok(session instanceof ServerSession);
  await world.pass(11_000);
  assert.deepEqual(ended, ['push.silent']);
});
