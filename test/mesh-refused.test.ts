/**
 * Who is turned away by a mesh that runs: each refused, logged and counted. Its issuer is one that was brought, so that the
 * attacker can have certificates that no authority of ours would issue.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { systemClock } from '../src/base/clock.ts';
import { Fault } from '../src/base/fault.ts';
import { silentLog } from '../src/base/log.ts';
import { systemRandom } from '../src/base/random.ts';
import { readToken } from '../src/identity/join-token.ts';
import { makeRequest } from '../src/identity/request.ts';
import { type Certified, type CertificateWish, makeCertificate } from '../src/net/testing/certificates.ts';
import { PushClient } from '../src/push/client.ts';
import { GrpcConnector } from '../src/push/grpc-client.ts';
import { joinMesh, renewCertificate } from '../src/push/join-client.ts';
import type { Issued } from '../src/push/joining.ts';
import type { Credentials } from '../src/push/peer.ts';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-refused-'));
const root = makeCertificate({ kind: 'ca', subject: 'Corporate root' });
const issuer = makeCertificate({ kind: 'ca', subject: 'Corporate issuer', issuer: root });
const friend = makeCertificate({ kind: 'ca', subject: 'Root of a friend' });
const idOf = (account: string, domain = 'cluster.local'): string => `spiffe://${domain}/ns/shop/sa/${account}`;
const CONTROL = 'spiffe://cluster.local/ns/fourways/sa/control';
const ORDERS = `
  require('node:http').createServer((request, answer) => answer.end('orders')).listen(Number(process.argv[1]), '127.0.0.1');
`;

let program: Fourways;
let orders: Sidecar;
let meshAt: string;
let appPort: number;
let adminPort: number;

before(async () => {
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(join(dir, 'mesh.yaml'), manifests(''));
  writeFileSync(join(dir, 'chain.pem'), issuer.certificatePem + root.leafPem);
  writeFileSync(join(dir, 'key.pem'), issuer.privateKeyPem);
  program = await startControl();
  [appPort, adminPort] = [await freePort('127.0.0.1'), await freePort(DOOR_HOST)];
  orders = await Sidecar.start({
    service: 'orders.shop',
    dir,
    control: meshAt,
    token: await tokenFor(program, 'orders.shop'),
    app: [String(appPort)],
    more: ['--admin', `${DOOR_HOST}:${adminPort}`],
    command: [process.execPath, '-e', ORDERS, String(appPort)],
  });
  await program.until(async () => (await meet(own('web'))) === 'orders', 'a workload of the mesh is let in');
});

after(async () => {
  await orders?.stop();
  await program?.stop();
  rmSync(dir, { recursive: true, force: true });
});

function startControl(): Promise<Fourways> {
  return Fourways.start({
    command: 'control',
    config: join(dir, 'mesh.yaml'),
    mesh: meshAt,
    data: join(dir, 'data'),
    args: ['--mesh-issuer', join(dir, 'chain.pem'), '--mesh-issuer-key', join(dir, 'key.pem')],
  });
}

function manifests(federation: string): string {
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { mtls: strict${federation} }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80, appProtocol: http }] }
`;
}

/** A certificate as the mesh has them, if nothing else is said. */
function own(account: string, more: Partial<CertificateWish> = {}): Certified {
  return makeCertificate({ kind: 'workload', uris: [idOf(account)], issuer, ...more });
}

/** What the workload answers who shows this certificate: `orders`, or nothing. */
function meet(
  shown?: { readonly certificatePem: string; readonly privateKeyPem: string },
  trusted = root,
): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = '';
  const socket = tls.connect({
    host: DOOR_HOST,
    port: orders.port,
    servername: '80.orders.shop.mesh.internal',
    ca: trusted.leafPem,
    checkServerIdentity: () => undefined,
    ...(shown && { cert: shown.certificatePem, key: shown.privateKeyPem }),
  });
  socket.on('data', (bytes) => (text += String(bytes)));
  socket.on('error', () => undefined);
  socket.on('close', () => resolve(/\r\n\r\n(?:[0-9a-f]+\r\n)?(orders)/.exec(text)?.[1] ?? text));
  socket.write('GET / HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\n\r\n');
  return promise;
}

async function failures(reason: string): Promise<number> {
  const text = await (await fetch(`http://${DOOR_HOST}:${adminPort}/metrics`)).text();
  const line = new RegExp(`^fourways_tls_handshake_failures_total\\{[^}]*reason="${reason}"[^}]*\\} (\\d+)$`, 'm');
  return Number(line.exec(text)?.[1] ?? 0);
}

async function refusals(code: string): Promise<number> {
  const line = new RegExp(`^fourways_push_streams_ended_total\\{code="${code}"\\} (\\d+)$`, 'm');
  return Number(line.exec(await program.adminText('/metrics'))?.[1] ?? 0);
}

const DAY_MS = 86_400_000;
const nowMs = systemClock.wallMs();

const PEERS: [rule: string, shown: Certified | undefined, reason: string][] = [
  ['of another trust domain', own('web', { uris: [idOf('web', 'evil.test')] }), 'workload-wrong-trust-domain'],
  ['that has expired', own('web', { notBeforeMs: nowMs - DAY_MS, notAfterMs: nowMs - 1_000 }), 'workload-expired'],
  ['that signs itself', makeCertificate({ kind: 'workload', uris: [idOf('web')] }), 'workload-self-signed'],
  ['of another authority', own('web', { issuer: friend }), 'workload-unknown-ca'],
  ['with two identities', own('web', { uris: [idOf('web'), idOf('bank')] }), 'workload-no-spiffe-id'],
  ['without a certificate', undefined, 'client-certificate-missing'],
];

for (const [rule, shown, reason] of PEERS) {
  test(`a peer ${rule} is refused by a workload, logged and counted`, async () => {
    assert.equal(await meet(shown), '');
    await orders.said(new RegExp(`"message":"A peer was refused"[^\\n]*"reason":"${reason}"`));
    assert.equal(await failures(reason), 1);
  });
}

test('clear text on a strict port is refused, logged and counted; the port of the application is not there', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = '';
  const socket = connectTcp(orders.port, DOOR_HOST, () => socket.write('GET / HTTP/1.1\r\nhost: orders.shop\r\n\r\n'));
  socket.on('data', (bytes) => (text += String(bytes)));
  socket.on('error', () => undefined);
  socket.on('close', () => resolve(text));
  assert.equal(await promise, '');
  await orders.said(/"message":"A peer was refused"[^\n]*"reason":"not-tls"/);
  assert.equal(await failures('not-tls'), 1);
  await assert.rejects(fetch(`http://${DOOR_HOST}:${appPort}/`), TypeError);
});

test('an identity that is denied is refused where it calls and where it renews, logged and counted', async () => {
  const { credentials } = await joined('thief');
  const shown = { certificatePem: credentials.chainPem, privateKeyPem: credentials.keyPem };
  assert.equal(await meet(shown), 'orders');
  const post = (path: string): Promise<Response> =>
    fetch(program.admin + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ identity: idOf('thief') }),
    });
  assert.equal((await post('/mesh/deny')).status, 200);
  // Whoever is connected at that moment is cut off, and is no failed handshake.
  const isRefused = async (): Promise<boolean> => (await meet(shown)) === '' && (await failures('workload-denied')) > 0;
  await program.until(isRefused, 'it is refused and counted');
  await orders.said(/"reason":"workload-denied"/);
  const { csrDer } = makeRequest(idOf('thief'));
  const again = await renewCertificate(target(), credentials, { csrDer, facts: { instance: 'thief-1' } });
  assert.match(again instanceof Fault ? again.detail : 'issued', /is denied/);
  await program.until(() => /"code":"identity\.denied"/.test(program.output()), 'it is logged');
  assert.equal((await post('/mesh/allow')).status, 200);
});

test('a token that was stolen, and a join that is replayed, get no certificate: logged and counted', async () => {
  const token = await tokenFor(program, 'web.shop');
  const before = await refusals('push.join-refused');
  const first = makeRequest(idOf('web'));
  assert.ok(!((await ask(token, first.csrDer, 'web')) instanceof Fault));
  for (const csrDer of [first.csrDer, makeRequest(idOf('web')).csrDer]) {
    const refused = await ask(token, csrDer, 'web');
    assert.equal(refused instanceof Fault ? refused.code : 'issued', 'push.join-refused');
  }
  const elsewhere = await ask(await tokenFor(program, 'web.shop'), makeRequest(idOf('bank')).csrDer, 'bank');
  assert.equal(elsewhere instanceof Fault ? elsewhere.code : 'issued', 'push.join-refused');
  assert.equal(await refusals('push.join-refused'), before + 3);
  await program.until(() => /"code":"token\.spent"/.test(program.output()), 'the token that was used is logged');
  assert.ok(!program.output().includes(token), 'the token is in no log');
});

test('a proxy that asks for the plan or the identity of another gets neither: logged and counted', async () => {
  const { credentials } = await joined('web');
  const before = await refusals('push.identity-refused');
  await using stream = attack(credentials, { identity: idOf('bank'), instance: 'web-1' });
  await program.until(async () => (await refusals('push.identity-refused')) > before, 'it is counted');
  await program.until(() => /asks for the plan of/.test(program.output()), 'it is logged');
  assert.deepEqual(stream.plans, []);
  const { csrDer } = makeRequest(idOf('bank'));
  const other = await renewCertificate(target(), credentials, { csrDer, facts: { instance: 'web-1' } });
  assert.equal(other instanceof Fault ? other.code : 'issued', 'push.join-refused');
});

const STREAMS: [rule: string, shown: Certified, words: RegExp][] = [
  ['of another trust domain', own('web', { uris: [idOf('web', 'evil.test')] }), /is not of the trust domain/],
  ['that has expired', own('web', { notBeforeMs: nowMs - DAY_MS, notAfterMs: nowMs - 1_000 }), /CERT_HAS_EXPIRED/],
  ['that signs itself', makeCertificate({ kind: 'workload', uris: [idOf('web')] }), /SELF_SIGNED_CERT/],
];

for (const [rule, shown, words] of STREAMS) {
  test(`a proxy with a certificate ${rule} gets no plan: logged and counted`, async () => {
    const before = await refusals('push.unauthenticated');
    const credentials = { chainPem: shown.certificatePem, keyPem: shown.privateKeyPem, trustPem: root.leafPem };
    await using stream = attack(credentials, { identity: '', instance: 'web-1' });
    await program.until(async () => (await refusals('push.unauthenticated')) > before, 'it is counted');
    await program.until(() => words.test(program.output()), 'it is logged');
    assert.deepEqual(stream.plans, []);
  });
}

test('a workload of another mesh is refused until it is federated, then let in by its own root only', async () => {
  const theirs = own('web', { uris: [idOf('web', 'friend.test')], issuer: friend });
  assert.equal(await meet(theirs), '');
  const pem = friend.leafPem.trim().replaceAll('\n', '\\n');
  const federated = `, federation: [{ trustDomain: friend.test, caCertificates: "${pem}\\n" }]`;
  writeFileSync(join(dir, 'mesh.yaml'), manifests(federated));
  await program.until(async () => (await meet(theirs)) === 'orders', 'it is let in');
  const before = await failures('workload-unknown-ca');
  assert.equal(await meet(own('web', { issuer: friend })), '', 'their root is not good for our identities');
  assert.equal(await meet(own('web', { uris: [idOf('web', 'friend.test')] })), '', 'nor ours for theirs');
  assert.equal(await failures('workload-unknown-ca'), before + 2);
  const { mesh } = JSON.parse(await program.adminText('/certificates')) as { mesh: { what: string; owner: string }[] };
  assert.ok(mesh.some(({ what, owner }) => what === 'federated root' && owner === 'friend.test'));
  writeFileSync(join(dir, 'mesh.yaml'), manifests(''));
  await program.until(async () => (await meet(theirs)) === '', 'it is refused again');
});

test('another issuer that is brought, below another root, is gone over to: who is of the one before is refused then', async () => {
  const nextRoot = makeCertificate({ kind: 'ca', subject: 'Next root' });
  const nextIssuer = makeCertificate({ kind: 'ca', subject: 'Next issuer', issuer: nextRoot });
  writeFileSync(join(dir, 'chain.pem'), nextIssuer.certificatePem + nextRoot.leafPem);
  writeFileSync(join(dir, 'key.pem'), nextIssuer.privateKeyPem);
  const phase = async (): Promise<unknown> =>
    (JSON.parse(await program.adminText('/mesh/rotation')) as { phase: unknown }).phase;
  await program.stop();
  program = await startControl();
  const hurry = await fetch(`${program.admin}/mesh/rotate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'root', pace: 'at-once' }),
  });
  assert.equal(hurry.status, 200);
  // Those who have only joined, in the tests before, are waited for until they are denied: nobody knows that they are gone.
  for (const account of ['web', 'thief']) {
    await fetch(`${program.admin}/mesh/deny`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ identity: idOf(account) }),
    });
  }
  await program.until(async () => (await phase()) === 'rest', 'it is over');
  assert.equal(await meet(own('bank', { issuer: nextIssuer }), nextRoot), 'orders');
  assert.equal(await meet(own('bank'), nextRoot), '');
});

const target = (): Parameters<typeof joinMesh>[0] => ({ address: meshAt, server: CONTROL, clock: systemClock });

function ask(token: string, csrDer: Uint8Array, account: string): Promise<Issued | Fault> {
  const read = readToken(token);
  assert.ok('root' in read);
  const facts = { identity: idOf(account), instance: `${account}-1` };
  return joinMesh(target(), { trust: { kind: 'root-hash', sha256: read.root }, token, csrDer, facts });
}

async function joined(account: string): Promise<{ readonly credentials: Credentials }> {
  const { csrDer, privateKeyPem } = makeRequest(idOf(account));
  const issued = await ask(await tokenFor(program, `${account}.shop`), csrDer, account);
  assert.ok(!(issued instanceof Fault));
  const { chainPem, trust } = issued;
  return { credentials: { chainPem, keyPem: privateKeyPem, trustPem: trust.roots.join('\n') } };
}

/** A proxy of its own making. */
function attack(
  credentials: Credentials,
  self: { readonly identity: string; readonly instance: string },
): AsyncDisposable & { readonly plans: readonly string[] } {
  const plans: string[] = [];
  const client = new PushClient({
    connect: new GrpcConnector({ credentials, server: CONTROL, clock: systemClock }).connect,
    addresses: [meshAt],
    self: { ...self, software: '1.0.0', role: 'sidecar', zone: '' },
    async apply({ bundle }) {
      plans.push(bundle.plan.version);
      return { kind: 'ack', version: bundle.plan.version, ports: {} };
    },
    keep: () => undefined,
    events: {
      onUnknown: () => undefined,
      onTrust: () => undefined,
      onWish: () => undefined,
      askTo: () => () => undefined,
    },
    clock: systemClock,
    random: systemRandom(),
    log: silentLog,
  });
  client.start();
  return { plans, [Symbol.asyncDispose]: async () => client.close() };
}
