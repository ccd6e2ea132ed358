/** The stream over real gRPC with mTLS, through a relay where the network matters. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ChannelCredentials, Client, Metadata } from '@grpc/grpc-js';
import { systemClock } from '../base/clock.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { deltaSize } from '../ir/diff.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { encodeMessage } from './codec.ts';
import { pushFault } from './faults.ts';
import type { Proxy, ProxyStream } from './feeds.ts';
import { TO_CONTROL } from './shapes.ts';
import {
  closeAll,
  Control,
  CONTROL,
  credentials,
  issuer,
  ORDERS,
  otherRoot,
  proxy,
  root,
  TestProxy,
} from './testing/grpc-world.ts';
import { planOf } from './testing/plain-feeds.ts';
import { Relay } from './testing/relay.ts';
import { encodeToControl } from './wire-to-control.ts';

afterEach(closeAll);

test('grpc: a plan, its change, a subscription and a trust bundle go over mTLS', async () => {
  const control = await Control.start(planOf('a.test'));
  const one = new TestProxy([control.address]);
  await one.serves(planOf('a.test'));
  control.feeds.publish(planOf('a.test', 'b.test'));
  await one.serves(planOf('a.test', 'b.test'));
  assert.equal(deltaSize(one.changes[1]!.delta), 1);
  const [[stream, { identity, hello }]] = [...control.feeds.streams] as unknown as [[ProxyStream, Proxy]];
  assert.deepEqual([identity, hello.zone], [ORDERS, 'a']);
  const bundle = { hash: 'h', trustDomain: 'cluster.local', roots: [root.leafPem], federated: [], issuer: 'i' };
  stream.trust(bundle);
  control.feeds.publish(planOf('c.test'));
  await one.serves(planOf('c.test'));
  assert.deepEqual(one.trust, [bundle]);
});

test('grpc: a refused plan leaves the one before, and the reason arrives', async () => {
  const control = await Control.start(planOf('a.test'));
  const one = new TestProxy([control.address]);
  await one.serves(planOf('a.test'));
  one.answer = ({ bundle }) =>
    Promise.resolve({ kind: 'nack', version: bundle.plan.version, reason: 'Worker 1: größer' });
  control.feeds.publish(planOf('b.test'));
  await one.until(() => one.changes.length === 2);
  one.answer = ({ bundle }) => Promise.resolve({ kind: 'ack', version: bundle.plan.version, ports: {} });
  control.feeds.publish(planOf('c.test'));
  await one.serves(planOf('c.test'));
  assert.deepEqual(control.feeds.nacks, [{ version: planOf('b.test').plan.version, reason: 'Worker 1: größer' }]);
  assert.equal(one.changes[2]!.delta.from, planOf('a.test').plan.version);
});

test('grpc: a plan of 50 MB arrives, and another proxy is served meanwhile', async () => {
  const control = await Control.start(largeBundle(500));
  const one = new TestProxy([control.address]);
  await one.until(() => one.changes.length === 1);
  assert.deepEqual(one.client.held?.secrets, control.feeds.bundle!.secrets);
  assert.equal(control.hub.ended.size, 0);
});

test('grpc: a connection that is cut inside a plan leaves nothing, and after it only the difference is sent', async () => {
  const control = await Control.start(largeBundle(100));
  await using relay = await Relay.to(control.server.port);
  relay.onDown = () => {
    // In the midst of ten megabytes.
    if (relay.bytesDown > 3_000_000 && relay.connections === 1) relay.cut();
  };
  const one = new TestProxy([`127.0.0.1:${relay.port}`]);
  await one.until(() => one.changes.length === 1);
  assert.equal(relay.connections, 2);
  assert.equal(one.changes[0]!.delta.from, undefined);
  assert.deepEqual(one.client.held?.secrets, control.feeds.bundle!.secrets);

  const before = relay.bytesDown;
  relay.cut();
  const { plan, secrets } = control.feeds.bundle!;
  control.feeds.publish({ plan, secrets: { ...secrets, 'Secret/shop/s7#v': { value: 'new' } } });
  await one.until(() => one.changes.length === 2);
  assert.equal(relay.connections, 3);
  assert.deepEqual(Object.keys(one.changes[1]!.delta.set.secrets), ['Secret/shop/s7#v']);
  assert.ok(relay.bytesDown - before < 20_000, `${relay.bytesDown - before}`);
});

test('grpc: when one control plane is gone, another takes over', async () => {
  const first = await Control.start(planOf('a.test'));
  const second = await Control.start(planOf('a.test', 'b.test'));
  const one = new TestProxy([first.address, second.address]);
  await one.until(() => one.version !== undefined);
  const [serving, other] = first.hub.size === 1 ? [first, second] : [second, first];
  await serving.server.close();
  await one.serves(other.feeds.bundle!);
  assert.equal(serving.hub.ended.get('push.closed'), 1);
  assert.equal(one.changes.length, 2);
  assert.equal(deltaSize(one.changes[1]!.delta), 1);
});

test('grpc: a peer that vanishes without a word is noticed at both ends', async () => {
  const keepalive = { silenceMs: 200, answerMs: 200 };
  const control = await Control.start(planOf('a.test'), { keepalive });
  await using relay = await Relay.to(control.server.port);
  const one = new TestProxy([`127.0.0.1:${relay.port}`, control.address], { keepalive });
  await one.serves(planOf('a.test'));
  const ended = Promise.withResolvers<void>();
  const { closed } = control.feeds;
  closed.push = (fault) => {
    ended.resolve();
    return Array.prototype.push.call(closed, fault);
  };
  if (relay.connections === 0) return;
  const startMs = performance.now();
  relay.freeze();
  await one.until(() => one.client.state.kind === 'away');
  await ended.promise;
  assert.ok(performance.now() - startMs < 5_000);
});

test('grpc: new credentials at either end touch no stream and count for the next', async () => {
  const control = await Control.start(planOf('a.test'));
  await using relay = await Relay.to(control.server.port);
  const one = new TestProxy([`127.0.0.1:${relay.port}`]);
  await one.serves(planOf('a.test'));
  // Another root altogether, at both ends.
  const newIssuer = makeCertificate({ kind: 'ca', subject: 'New issuer', issuer: otherRoot });
  control.server.rotate(
    credentials(makeCertificate({ kind: 'server', uris: [CONTROL], issuer: newIssuer }), otherRoot),
  );
  one.connector.rotate(credentials(proxy([ORDERS], newIssuer), otherRoot));
  control.feeds.publish(planOf('b.test'));
  await one.serves(planOf('b.test'));
  assert.equal(relay.connections, 1);
  relay.cut();
  control.feeds.publish(planOf('c.test'));
  await one.serves(planOf('c.test'));
  assert.equal(relay.connections, 2);
  const stale = new TestProxy([control.address]);
  assert.match(await stale.refusal(), /^push\.away/);
});

test('grpc: a certificate that ends while its stream runs ends the stream', async () => {
  const control = await Control.start(planOf('a.test'));
  const certified = makeCertificate({
    kind: 'client',
    uris: [ORDERS],
    issuer,
    notAfterMs: systemClock.wallMs() + 2_000,
  });
  const one = new TestProxy([control.address], { credentials: credentials(certified) });
  await one.serves(planOf('a.test'));
  one.connector.rotate(credentials(proxy()));
  await one.until(() => one.client.state.kind === 'away');
  assert.equal(control.hub.ended.get('push.closed'), 1);
  await one.until(() => one.client.state.kind === 'live');
});

test('grpc: a proxy that reads nothing costs one message and is cut, and others are served', async () => {
  const clock = new ManualClock();
  const control = await Control.start(largeBundle(100), { clock });
  await using relay = await Relay.to(control.server.port);
  const slow = new TestProxy([`127.0.0.1:${relay.port}`], { instance: 'slow' });
  relay.onDown = () => {
    if (relay.bytesDown > 1_000_000) relay.freeze();
  };
  await slow.until(() => slow.client.state.kind === 'live');
  const quick = new TestProxy([control.address]);
  await quick.until(() => quick.changes.length === 1);
  control.feeds.publish(planOf('b.test'));
  await quick.serves(planOf('b.test'));
  assert.equal(slow.version, undefined);
  for (const [stream, { hello }] of control.feeds.streams) {
    if (hello.instance === 'slow') stream.cut(pushFault('push.silent', 'It is too slow'));
  }
  // It does not even read that: its socket is closed all the same.
  clock.advance(1_000);
  // oxlint-disable-next-line no-await-in-loop -- until the event has come
  while (control.server.connections > 1) await turn();
  assert.equal(quick.client.state.kind, 'live');
});

test('grpc: connections without a certificate crowd out nobody, and are not kept', async () => {
  const clock = new ManualClock();
  const control = await Control.start(planOf('a.test'), { strangersMax: 2, clock });
  const stranger = async (): Promise<TLSSocket> => {
    const socket = connectTls({
      port: control.server.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    socket.on('error', () => undefined);
    socket.resume();
    await once(socket, 'secureConnect');
    return socket;
  };
  const [one, two] = [await stranger(), await stranger()];
  const three = await stranger();
  await once(three, 'close');
  assert.equal(control.hub.ended.get('push.busy'), 1);
  const served = new TestProxy([control.address]);
  await served.serves(planOf('a.test'));
  clock.advance(30_000);
  await Promise.all([once(one, 'close'), once(two, 'close')]);
});

test('grpc: what no proxy of ours says is refused, and what a newer one says is passed over', async () => {
  const control = await Control.start(planOf('a.test'));
  const raw = rawStream(control);
  const [hello] = encodeToControl({
    kind: 'hello',
    hello: {
      protocol: 1,
      software: '9',
      instance: 'x',
      role: 'sidecar',
      identity: '',
      zone: '',
      holds: undefined,
      services: [],
    },
  });
  // Field 127 of the message, and a message of which we know nothing.
  const newer = Buffer.from([0xfa, 0x07, 3, 0x6e, 0x65, 0x77]);
  raw.call.write(Buffer.concat([hello!, newer]));
  raw.call.write(newer);
  await once(raw.call, 'data');
  raw.call.write(Buffer.from(encodeMessage(TO_CONTROL, { subscribe: { services: ['x'.repeat(2_000_000)] } })));
  const [error] = (await once(raw.call, 'error')) as [{ code: number }];
  assert.equal(error.code, 8, 'larger than a message may be');
  raw.client.close();

  const second = rawStream(control);
  second.call.write(Buffer.from([0xff, 0xff]));
  const [malformed] = (await once(second.call, 'error')) as [{ code: number; details: string }];
  assert.match(malformed.details, /^push\.protocol: A message cannot be read/);
  second.client.close();
});

test('grpc: a plan that is larger than a proxy takes is refused by it', async () => {
  const control = await Control.start(largeBundle(20));
  const one = new TestProxy([control.address], { deltaBytesMax: 1_000_000 });
  assert.match(await one.refusal(), /^push\.too-large: A delta has more than 1000000 bytes/);
  assert.equal(one.version, undefined);
});

test('grpc: credentials that are none are said, and tried again when they are', async () => {
  const control = await Control.start(planOf('a.test'));
  const good = credentials(proxy());
  const one = new TestProxy([control.address], { credentials: { ...good, keyPem: 'x' } });
  assert.match(await one.refusal(), /own credentials cannot be used/);
  one.connector.rotate(good);
  await one.serves(planOf('a.test'));
});

function rawStream(control: Control): { call: ReturnType<Client['makeBidiStreamRequest']>; client: Client } {
  const { chainPem, keyPem } = credentials(proxy());
  const context = ChannelCredentials.createSsl(Buffer.from(root.leafPem), Buffer.from(keyPem), Buffer.from(chainPem), {
    checkServerIdentity: () => undefined,
  });
  const client = new Client(control.address, context, { 'grpc.ssl_target_name_override': 'x.test' });
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(
    '/fourways.push.v1.Plan/Stream',
    same,
    same,
    new Metadata(),
  );
  return { call: call as ReturnType<Client['makeBidiStreamRequest']>, client };
}

/** Secrets of 100 kB each. */
function largeBundle(count: number): PlanBundle {
  const secrets = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `Secret/shop/s${i}#v`,
      { value: `${i} `.repeat(50_000).slice(0, 100_000) },
    ]),
  );
  return { plan: planOf('a.test').plan, secrets };
}
