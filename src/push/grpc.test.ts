/** The stream over real gRPC with mTLS, through a relay where the network matters. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ChannelCredentials, Client, Metadata } from '@grpc/grpc-js';
import { systemClock } from '../base/clock.ts';
import { type LogFields, silentLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import { deltaSize } from '../ir/diff.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { type Certified, makeCertificate } from '../net/testing/certificates.ts';
import { PushClient } from './client.ts';
import { encodeMessage } from './codec.ts';
import { pushFault } from './faults.ts';
import type { Proxy, ProxyStream } from './feeds.ts';
import { GrpcConnector, type GrpcConnectorOptions } from './grpc-client.ts';
import { Hub } from './hub.ts';
import type { Joining } from './joining.ts';
import type { Credentials } from './peer.ts';
import { PushServer, type PushServerOptions } from './server.ts';
import { TO_CONTROL } from './shapes.ts';
import { PlainFeeds, planOf } from './testing/plain-feeds.ts';
import { Relay } from './testing/relay.ts';
import { encodeToControl } from './wire-to-control.ts';

const CONTROL = 'spiffe://cluster.local/ns/fourways/sa/control';
const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';
const BANK = 'spiffe://cluster.local/ns/shop/sa/bank';

const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const issuer = makeCertificate({ kind: 'ca', subject: 'Issuer', issuer: root });
const otherRoot = makeCertificate({ kind: 'ca', subject: 'Other root' });

function credentials(certified: Certified, trust: Certified = root): Credentials {
  return { chainPem: certified.certificatePem, keyPem: certified.privateKeyPem, trustPem: trust.leafPem };
}

const server = (uris: readonly string[] = [CONTROL]): Certified => makeCertificate({ kind: 'server', uris, issuer });
const proxy = (uris: readonly string[] = [ORDERS], by: Certified = issuer): Certified =>
  makeCertificate({ kind: 'client', uris, issuer: by });

const nobodyJoins: Joining = {
  join: () => Promise.resolve(pushFault('push.join-refused', 'Nobody joins')),
  renew: () => Promise.resolve(pushFault('push.join-refused', 'Nobody joins')),
};

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  // oxlint-disable-next-line no-await-in-loop -- proxies before their control plane
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

class Control {
  readonly feeds: PlainFeeds;
  readonly warnings: string[] = [];
  readonly hub: Hub;
  server!: PushServer;

  constructor(bundle?: PlanBundle) {
    this.feeds = new PlainFeeds(bundle);
    const log = {
      ...silentLog,
      warn: (message: string, fields?: LogFields) => void this.warnings.push(`${message} ${JSON.stringify(fields)}`),
    };
    this.hub = new Hub({ feeds: this.feeds, clock: systemClock, log, software: '1.0.0', control: 'control-1' });
  }

  static async start(bundle?: PlanBundle, options: Partial<PushServerOptions> = {}): Promise<Control> {
    const control = new Control(bundle);
    control.server = await PushServer.listen(
      { host: '127.0.0.1', port: 0 },
      {
        hub: control.hub,
        joining: nobodyJoins,
        credentials: credentials(server()),
        trustDomains: ['cluster.local'],
        clock: systemClock,
        ...options,
      },
    );
    cleanups.push(() => control.server.close());
    return control;
  }

  get address(): string {
    return `127.0.0.1:${this.server.port}`;
  }
}

class TestProxy {
  readonly client: PushClient;
  readonly connector: GrpcConnector;
  readonly changes: Change[] = [];
  readonly trust: string[] = [];
  answer: (change: Change) => Promise<ApplyResult> = ({ bundle }) =>
    Promise.resolve({ kind: 'ack', version: bundle.plan.version, ports: {} });
  #seen = Promise.withResolvers<void>();

  constructor(
    addresses: readonly string[],
    options: Partial<GrpcConnectorOptions> & {
      readonly held?: PlanBundle;
      readonly identity?: string;
      readonly instance?: string;
    } = {},
  ) {
    this.connector = new GrpcConnector({ credentials: credentials(proxy()), server: CONTROL, ...options });
    this.client = new PushClient({
      connect: this.connector.connect,
      addresses,
      self: {
        software: '1.0.0',
        instance: options.instance ?? 'orders-1',
        role: 'sidecar',
        identity: options.identity ?? '',
        zone: 'a',
      },
      ...(options.held !== undefined && { held: options.held }),
      apply: async (change) => {
        this.changes.push(change);
        const result = await this.answer(change);
        setImmediate(() => this.#wake());
        return result;
      },
      keep: () => undefined,
      events: {
        onUnknown: () => undefined,
        onTrust: (pem) => void this.trust.push(pem),
        onWish: () => undefined,
      },
      clock: systemClock,
      random: systemRandom(),
      log: { ...silentLog, warn: () => this.#wake(), debug: () => this.#wake(), info: () => this.#wake() },
      backoff: { leastMs: 10, mostMs: 100 },
    });
    cleanups.push(() => this.client.close());
    this.client.start();
  }

  get version(): string | undefined {
    return this.client.held?.plan.version;
  }

  /** Resolves when it is so; looked at whenever something has happened. */
  async until(isSo: () => boolean): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- one thing after another is waited for
    while (!isSo()) await this.#seen.promise;
  }

  serves(bundle: PlanBundle): Promise<void> {
    return this.until(() => this.version === bundle.plan.version);
  }

  /** The code of the fault that keeps it away. */
  async refusal(): Promise<string> {
    await this.until(() => this.client.state.kind === 'away' && this.client.state.reason !== undefined);
    const { state } = this.client;
    return state.kind === 'away' ? `${state.reason!.code}: ${state.reason!.detail}` : state.kind;
  }

  #wake(): void {
    const seen = this.#seen;
    this.#seen = Promise.withResolvers();
    seen.resolve();
  }
}

test('grpc: a plan, its change, a subscription and a trust bundle go over mTLS', async () => {
  const control = await Control.start(planOf('a.test'));
  const one = new TestProxy([control.address]);
  await one.serves(planOf('a.test'));
  control.feeds.publish(planOf('a.test', 'b.test'));
  await one.serves(planOf('a.test', 'b.test'));
  assert.equal(deltaSize(one.changes[1]!.delta), 1);
  const [[stream, { identity, hello }]] = [...control.feeds.streams] as unknown as [[ProxyStream, Proxy]];
  assert.deepEqual([identity, hello.zone], [ORDERS, 'a']);
  stream.trust(root.leafPem);
  control.feeds.publish(planOf('c.test'));
  await one.serves(planOf('c.test'));
  assert.deepEqual(one.trust, [root.leafPem]);
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

const REFUSED: [rule: string, certified: () => Certified, code: string, words: RegExp][] = [
  ['of another root', () => proxy([ORDERS], otherRoot), 'push.unauthenticated', /UNABLE_TO_|self.signed/i],
  [
    'that signs itself',
    () => makeCertificate({ kind: 'client', uris: [ORDERS] }),
    'push.unauthenticated',
    /DEPTH_ZERO_SELF_SIGNED_CERT/,
  ],
  [
    'that has expired',
    () => makeCertificate({ kind: 'client', uris: [ORDERS], issuer, notAfterMs: systemClock.wallMs() - 60_000 }),
    'push.unauthenticated',
    /CERT_HAS_EXPIRED/,
  ],
  [
    'of another trust domain',
    () => proxy(['spiffe://elsewhere.test/ns/shop/sa/orders']),
    'push.unauthenticated',
    /not of the trust domain/,
  ],
  ['without an identity', () => proxy([]), 'push.unauthenticated', /exactly one SPIFFE ID/],
  ['with two identities', () => proxy([ORDERS, BANK]), 'push.unauthenticated', /exactly one SPIFFE ID/],
  [
    'with an identity of another form',
    () => proxy(['spiffe://cluster.local/ns/../sa/control']),
    'push.unauthenticated',
    /exactly one SPIFFE ID/,
  ],
];

for (const [rule, certified, code, words] of REFUSED) {
  test(`grpc: a certificate ${rule} is refused, logged and counted`, async () => {
    const control = await Control.start(planOf('a.test'));
    const one = new TestProxy([control.address], { credentials: credentials(certified()) });
    await one.refusal();
    assert.ok(control.hub.ended.get(code)! >= 1);
    assert.match(control.warnings[0]!, words);
    assert.equal(one.version, undefined);
    assert.equal(control.feeds.asked, 0);
  });
}

test('grpc: who asks for the plan of another identity is refused, logged and counted', async () => {
  const control = await Control.start(planOf('a.test'));
  const one = new TestProxy([control.address], { identity: BANK });
  assert.match(await one.refusal(), /^push\.identity-refused: .*orders" asks for the plan of .*bank"$/);
  assert.ok(control.hub.ended.get('push.identity-refused')! >= 1);
  assert.match(control.warnings[0]!, /asks for the plan/);
  assert.equal(one.version, undefined);
});

const WRONG_SERVERS: [rule: string, certified: () => Certified, expected: string, words: RegExp][] = [
  ['another identity of the same root', () => server([BANK]), CONTROL, /is of "spiffe:.*bank", not of/],
  ['no identity', () => server([]), CONTROL, /not of/],
  ['two identities', () => server([CONTROL, BANK]), CONTROL, /not of/],
  [
    'another root',
    () => makeCertificate({ kind: 'server', uris: [CONTROL], issuer: otherRoot }),
    CONTROL,
    /certificate/i,
  ],
  [
    'another host name',
    () => makeCertificate({ kind: 'server', hosts: ['a.test'], issuer }),
    'control.test',
    /Host: control\.test/,
  ],
];

for (const [rule, certified, expected, words] of WRONG_SERVERS) {
  test(`grpc: a proxy refuses a control plane with ${rule}`, async () => {
    const control = await Control.start(planOf('a.test'), { credentials: credentials(certified()) });
    const one = new TestProxy([control.address], { server: expected });
    assert.match(await one.refusal(), words);
    assert.equal(one.version, undefined);
  });
}

test('grpc: a control plane may be known by a host name', async () => {
  const named = makeCertificate({ kind: 'server', hosts: ['control.test'], issuer });
  const control = await Control.start(planOf('a.test'), { credentials: credentials(named) });
  const one = new TestProxy([control.address], { server: 'control.test' });
  await one.serves(planOf('a.test'));
});

test('grpc: without a certificate there is no stream, not even a service for one', async () => {
  const control = await Control.start(planOf('a.test'));
  const context = ChannelCredentials.createSsl(Buffer.from(root.leafPem), null, null, {
    checkServerIdentity: () => undefined,
  });
  const client = new Client(control.address, context, { 'grpc.ssl_target_name_override': 'x.test' });
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeBidiStreamRequest('/fourways.push.v1.Plan/Stream', same, same, new Metadata());
  call.on('data', () => undefined);
  const [error] = (await once(call, 'error')) as [{ code: number }];
  assert.equal(error.code, 12);
  client.close();
  assert.equal(control.hub.opened, 0);
});

test('grpc: TLS 1.2 is refused and counted', async () => {
  const control = await Control.start(planOf('a.test'));
  const socket = connectTls({
    port: control.server.port,
    host: '127.0.0.1',
    maxVersion: 'TLSv1.2',
    rejectUnauthorized: false,
  });
  await once(socket, 'error');
  const [refused] = control.hub.ended.keys();
  assert.equal(refused, 'push.unauthenticated');
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
  assert.equal(control.hub.ended.get('push.unauthenticated'), 1);
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
