import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import tls from 'node:tls';
import { systemClock } from '../base/clock.ts';
import { type Certified, makeCertificate } from '../net/testing/certificates.ts';
import {
  HTTP_NAME,
  idOf,
  inboundParts,
  letIn,
  meshCluster,
  outboundParts,
  Pair,
  root,
  TCP_NAME,
  workload,
} from './testing/mesh.ts';
import { clusterTo, Harness, PORT, request, Upstream } from './testing/node-harness.ts';
import { listen } from './testing/streams.ts';

const web = workload('web');
const app = (): Promise<Upstream> => Upstream.start((asked, answer) => answer.end(`app ${asked.headers.host}`));

const GET = 'GET / HTTP/1.1\r\nHost: any.test\r\nConnection: close\r\n\r\n';

interface Shown {
  readonly certificate?: Certified | undefined;
  readonly servername?: string;
  readonly session?: Buffer | undefined;
}

interface Met {
  readonly text: string;
  readonly resumed: boolean;
  readonly session: Buffer | undefined;
}

/** What a peer with this certificate is told; `refused` when nothing. */
function meet(port: number, { certificate, servername = HTTP_NAME, session }: Shown): Promise<Met> {
  return new Promise((resolve) => {
    let text = '';
    let newest: Buffer | undefined;
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      servername,
      ca: root.leafPem,
      checkServerIdentity: () => undefined,
      ...(session === undefined ? {} : { session }),
      ...(certificate === undefined ? {} : { cert: certificate.certificatePem, key: certificate.privateKeyPem }),
    });
    let resumed = false;
    socket.on('secureConnect', () => (resumed = socket.isSessionReused()));
    socket.on('session', (bytes: Buffer) => (newest = bytes));
    socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve({ text: text || 'refused', resumed, session: newest }));
    socket.write(GET);
  });
}

const stranger = makeCertificate({ kind: 'ca', subject: 'Other root' });
const DAY_MS = 86_400_000;

const PEERS: [rule: string, certificate: Certified | undefined, want: string][] = [
  ['a workload', web, 'app'],
  ['of another trust domain', workload('web', { uris: [idOf('web', 'evil.test')] }), 'workload-wrong-trust-domain'],
  [
    'expired',
    workload('web', { notBeforeMs: systemClock.wallMs() - 2 * DAY_MS, notAfterMs: systemClock.wallMs() - 1_000 }),
    'workload-expired',
  ],
  ['signed by itself', makeCertificate({ kind: 'workload', uris: [idOf('web')] }), 'workload-self-signed'],
  ['of an unknown authority', workload('web', { issuer: stranger }), 'workload-unknown-ca'],
  ['denied', workload('thief'), 'workload-denied'],
  ['without a SPIFFE ID', workload('web', { uris: [], hosts: ['web.test'] }), 'workload-no-spiffe-id'],
  ['with two of them', workload('web', { uris: [idOf('web'), idOf('root')] }), 'workload-no-spiffe-id'],
  [
    'with one in another spelling',
    workload('web', { uris: ['spiffe://CLUSTER.local/ns/shop/sa/web'] }),
    'workload-no-spiffe-id',
  ],
  ['that is for servers only', workload('web', { kind: 'server' }), 'client-certificate-invalid'],
  ['without a certificate', undefined, 'client-certificate-missing'],
];

test('who is no workload of the mesh is refused, logged and counted with the reason', async () => {
  await using http = await app();
  for (const [rule, certificate, want] of PEERS) {
    await using b = new Harness();
    await b.start(inboundParts({ http: http.port, tcp: 1 }, workload('orders')), letIn([root], [idOf('thief')]));
    const { text } = await meet(b.port, { certificate });
    if (want === 'app') {
      assert.match(text, /app any.test/, rule);
      assert.deepEqual([b.lines()[0]!['peer'], b.said], [idOf('web'), []]);
      continue;
    }
    assert.equal(text, 'refused', rule);
    assert.deepEqual(
      b.said.map(({ message, reason }) => [message, reason]),
      [['A peer was refused', want]],
      rule,
    );
    assert.equal(b.metrics.value('fourways_tls_handshake_failures_total', ['127.0.0.1:0', want]), 1, rule);
    assert.equal(b.lines().length, 0);
  }
});

const ours = makeCertificate({ kind: 'ca', subject: 'Our issuer', issuer: root });
const friend = makeCertificate({ kind: 'ca', subject: 'Friendly root' });
const theirs = makeCertificate({ kind: 'ca', subject: 'Their issuer', issuer: friend });
/** Of the friend, with the name and the key id of our issuer. */
const alike = { ...makeCertificate({ kind: 'ca', subject: 'Our issuer', issuer: friend }) };
const forged = workload('root', { issuer: alike });
const friendly = workload('web', { uris: [idOf('web', 'friend.test')], issuer: theirs });

const FEDERATED: [rule: string, certificate: Certified, want: string][] = [
  ['a workload of ours', workload('web', { issuer: ours }), 'app'],
  ['one of the friend', friendly, 'app'],
  ['one of ours by a root of the friend', workload('web', { issuer: theirs }), 'workload-unknown-ca'],
  ['one of the friend by our root', workload('web', { uris: [idOf('web', 'friend.test')] }), 'workload-unknown-ca'],
  [
    'one whose issuer is called like ours, with ours beside it',
    { ...forged, certificatePem: forged.leafPem + ours.leafPem + alike.leafPem },
    'workload-unknown-ca',
  ],
  [
    'one that a workload of ours signed',
    workload('root', { issuer: workload('web', { issuer: ours }) }),
    'client-certificate-invalid',
  ],
  ['of a third trust domain', workload('web', { uris: [idOf('web', 'third.test')] }), 'workload-wrong-trust-domain'],
];

test('workloads of a federated trust domain are let in by its own roots, and nobody else by them', async () => {
  await using http = await app();
  await using b = new Harness();
  const federated = [{ trustDomain: 'friend.test', cas: [friend.leafPem] }];
  const parts = inboundParts({ http: http.port, tcp: 1 }, workload('orders'));
  await b.start(parts, letIn([root], [], federated));
  const refusals = new Map<string, number>();
  for (const [rule, certificate, want] of FEDERATED) {
    const { text } = await meet(b.port, { certificate });
    if (want === 'app') {
      assert.match(text, /app any.test/, rule);
      continue;
    }
    assert.equal(text, 'refused', rule);
    refusals.set(want, (refusals.get(want) ?? 0) + 1);
    const counted = b.metrics.value('fourways_tls_handshake_failures_total', ['127.0.0.1:0', want]);
    assert.equal(counted, refusals.get(want), rule);
  }
  const { session } = await meet(b.port, { certificate: friendly });
  const again = await meet(b.port, { certificate: friendly, session });
  assert.deepEqual([again.resumed, again.text.includes('app any.test')], [true, true]);
  await b.change({ ports: { '127.0.0.1:0': { ...PORT, ...letIn([root]) } } });
  assert.equal((await meet(b.port, { certificate: friendly, session })).text, 'refused');
});

test('clear text on a port of the mesh is refused, logged and counted', async () => {
  await using http = await app();
  await using b = new Harness();
  await b.start(inboundParts({ http: http.port, tcp: 1 }, workload('orders')), letIn());
  await assert.rejects(request(b.port));
  assert.deepEqual(
    b.said.map(({ reason }) => reason),
    ['not-tls'],
  );
});

test('the server name chooses, whatever Host is; a name that is none of ours gets nowhere', async () => {
  await using http = await app();
  await using tcp = await listen((socket) => socket.end('from db'));
  await using b = new Harness();
  await b.start(inboundParts({ http: http.port, tcp: tcp.port }, workload('orders')), letIn());
  const rows: [servername: string, want: RegExp][] = [
    [HTTP_NAME, /app any.test/],
    [TCP_NAME, /^from db$/],
    ['8081.orders.shop.mesh.internal', /^refused$/],
    ['any.test', /^refused$/],
  ];
  for (const [servername, want] of rows)
    assert.match((await meet(b.port, { certificate: web, servername })).text, want, servername);
  const peers = b.lines().map(({ peer }) => peer);
  assert.deepEqual(peers, [idOf('web'), idOf('web')]);
});

test('a session is resumed as the one that began it, and not when it is denied or its trust has gone', async () => {
  await using http = await app();
  await using b = new Harness();
  await b.start(inboundParts({ http: http.port, tcp: 1 }, workload('orders')), letIn());
  const { session } = await meet(b.port, { certificate: web });
  // Whoever has the ticket and the keys of the session is who began it, whatever else it shows.
  const again = await meet(b.port, { certificate: workload('other'), session });
  assert.equal(again.resumed, true);
  assert.deepEqual(
    b.lines().map(({ peer }) => peer),
    [idOf('web'), idOf('web')],
  );
  await b.change({ ports: { '127.0.0.1:0': { ...PORT, ...letIn([root], [idOf('web')]) } } });
  assert.equal((await meet(b.port, { certificate: web, session: again.session })).text, 'refused');
  assert.equal(b.said.at(-1)!['reason'], 'workload-denied');
  await b.change({ ports: { '127.0.0.1:0': { ...PORT, ...letIn([stranger]) } } });
  const late = await meet(b.port, { certificate: web, session });
  assert.deepEqual([late.text, late.resumed], ['refused', false]);
});

test('an upstream of another identity, trust or without a certificate gets no request', async () => {
  await using http = await app();
  const rows: [rule: string, own: Certified, fault: string, detail: RegExp][] = [
    [
      'another account',
      workload('thief'),
      'upstream.identity-wrong',
      /is for spiffe:.*sa\/thief, not for spiffe:.*sa\/orders/,
    ],
    [
      'another trust domain',
      workload('x', { uris: [idOf('orders', 'evil.test')] }),
      'upstream.identity-wrong',
      /evil.test/,
    ],
    [
      'another authority',
      workload('orders', { issuer: stranger }),
      'upstream.tls-failed',
      /not among the trusted ones/,
    ],
    [
      'expired',
      workload('orders', { notBeforeMs: 0, notAfterMs: systemClock.wallMs() - 1_000 }),
      'upstream.tls-failed',
      /expired/,
    ],
  ];
  for (const [rule, own, fault, detail] of rows) {
    await using b = new Harness();
    await b.start(inboundParts({ http: http.port, tcp: 1 }, own), letIn());
    await using a = new Harness();
    await a.start(outboundParts(b.port, web), { protocol: 'proxy' });
    const { status } = await request(a.port, { path: 'http://orders.shop/' });
    const line = a.lines().at(-1)!;
    assert.deepEqual([status, line['fault']], [502, fault], rule);
    assert.match(String(line['detail']), detail, rule);
    assert.equal(a.metrics.value('fourways_faults_total', [fault, 'upstream']), 1, rule);
    assert.equal(b.lines().length, 0);
  }
});

test('an endpoint that closes in the handshake, or is somebody else, costs no request while there is another', async () => {
  await using http = await app();
  await using pair = await Pair.start({ http: http.port, tcp: 1 });
  await using thief = new Harness();
  await thief.start(inboundParts({ http: http.port, tcp: 1 }, workload('thief')), letIn());
  // As an east-west gateway does that has nobody to pass bytes on to.
  await using closing = await listen((socket) => socket.once('data', () => socket.destroy()));
  for (const wrong of [closing.port, thief.port]) {
    const cluster = meshCluster(pair.b.port, HTTP_NAME);
    const { endpoints } = clusterTo([wrong]);
    await pair.a.change({ clusters: { c: { ...cluster, endpoints: [...endpoints, ...cluster.endpoints] } } });
    for (let i = 0; i < 3; i++) {
      const { status, body } = await request(pair.a.port, { path: 'http://orders.shop/', method: 'POST', body: 'b' });
      assert.deepEqual([status, body], [200, 'app orders.shop']);
    }
  }
  assert.equal(thief.lines().length, 0);
});

test('an endpoint without a sidecar is spoken to in clear text, its neighbour is not', async () => {
  await using http = await app();
  await using pair = await Pair.start({ http: http.port, tcp: 1 });
  const cluster = meshCluster(pair.b.port, HTTP_NAME);
  const clear = { ...clusterTo([http.port]).endpoints[0]!, clear: true as const };
  await pair.a.change({ clusters: { c: { ...cluster, endpoints: [...cluster.endpoints, clear] } } });
  for (let i = 0; i < 4; i++) {
    assert.equal((await request(pair.a.port, { path: 'http://orders.shop/' })).body, 'app orders.shop');
  }
  assert.equal(pair.b.lines().length, 2);
});

test('who is denied while it is connected is cut off, over HTTP and below; its neighbours stay', async () => {
  await using http = await app();
  await using tcp = await listen((socket) => socket.write('from db'));
  await using b = new Harness();
  await b.start(inboundParts({ http: http.port, tcp: tcp.port }, workload('orders')), letIn());
  const rows = [
    [web, HTTP_NAME],
    [web, TCP_NAME],
    [workload('other'), HTTP_NAME],
  ] as const;
  const sockets = rows.map(([{ certificatePem: cert, privateKeyPem: key }, servername]) =>
    tls.connect({
      host: '127.0.0.1',
      port: b.port,
      servername,
      ca: root.leafPem,
      cert,
      key,
      checkServerIdentity: () => undefined,
    }),
  );
  for (const socket of sockets) {
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'data');
  }
  const gone = sockets.slice(0, 2).map((socket) => once(socket, 'close'));
  await b.change({ ports: { '127.0.0.1:0': { ...PORT, ...letIn([root], [idOf('web')]) } } });
  await Promise.all(gone);
  assert.deepEqual(
    b.said.map(({ message, reason }) => [message, reason]),
    [['A peer was cut off', 'workload-denied']],
  );
  sockets[2]!.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.match(String((await once(sockets[2]!, 'data'))[0]), /200 OK/);
  sockets[2]!.destroy();
});
