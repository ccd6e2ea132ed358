/** Two ends of a real handshake of TLS 1.3: who is taken by whom, with attacks that a mesh must withstand. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { makeCertificate } from '../net/testing/certificates.ts';
import type { Authority } from './authority.ts';
import { readForeignRoots } from './brought.ts';
import { makeRequest } from './request.ts';
import { Rotor } from './rotor.ts';
import { controlId } from './spiffe.ts';
import { DAY_MS, Home, HOUR_MS, idOf, Member, TRUST_DOMAIN } from './testing/home.ts';
import { OpenSsl } from './testing/openssl.ts';
import { makeIssuer, makeLeaf, makeRoot, openSigner, readRequest, type Signer } from './x509.ts';

const home = await Home.open();
const openssl = new OpenSsl();
after(async () => {
  openssl[Symbol.dispose]();
  await home[Symbol.asyncDispose]();
});
const authority = await home.authority();
const orders = await Member.join(authority, 'orders');
const nowMs = home.clock.wallMs();

/** What somebody shows in a handshake. */
interface Shown {
  readonly chainPem: string;
  readonly privateKeyPem: string;
}

const shownBy = ({ issued, privateKeyPem }: Member): Shown => ({ chainPem: issued.chainPem, privateKeyPem });

/** A certificate that an issuer signs without asking anybody. */
async function forged(
  identity: string,
  signer: Signer,
  chain: string,
  more: { atMs?: number; lifeMs?: number } = {},
): Promise<Shown> {
  const { csr, privateKeyPem } = makeRequest(identity);
  const request = await readRequest(csr);
  assert.ok(!('flaw' in request));
  const { atMs = nowMs, lifeMs = DAY_MS } = more;
  const leaf = await makeLeaf({ identity, publicKey: request.publicKey, nowMs: atMs, lifeMs }, signer);
  return { chainPem: leaf.pem + chain, privateKeyPem };
}

/** A root and an issuer like ours, for some trust domain, in somebody's own hands. */
async function imitation(
  trustDomain: string,
): Promise<{ signer: Signer; issuerPem: string; rootPem: string; rootSigner: Signer }> {
  const root = await makeRoot({ trustDomain, nowMs, lifeMs: DAY_MS * 30 });
  const rootSigner = await openSigner(root.certificate.pem, root.privateKeyPem);
  const issuer = await makeIssuer({ trustDomain, nowMs, lifeMs: DAY_MS * 20 }, rootSigner);
  const signer = await openSigner(issuer.certificate.pem, issuer.privateKeyPem);
  return { signer, rootSigner, issuerPem: issuer.certificate.pem, rootPem: root.certificate.pem };
}

/** The signer that the authority itself has: for what only a defect or a thief could issue. */
async function ownSigner(): Promise<Signer> {
  const { issuer, issuerChainPem } = authority.current;
  const key = await home.store.privateKey(issuer.id);
  return openSigner(issuerChainPem, key!);
}

/** What a server that trusts `trusted` says of a client: `taken`, why the handshake failed, or why it was refused after it. */
async function judged(by: Authority, shown: Shown, trusted: readonly string[]): Promise<string> {
  const server = createServer({
    cert: orders.issued.chainPem,
    key: orders.privateKeyPem,
    ca: [...trusted],
    requestCert: true,
    // The verdict of the engine is asked for below: with `true`, Node cuts the connection and does not say why.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  });
  const { promise, resolve } = Promise.withResolvers<string>();
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.authorized) {
      const peer = by.peer(socket.getPeerX509Certificate()!.raw);
      resolve('refused' in peer ? `${peer.refused}: ${peer.reason}` : `taken: ${peer.identity}`);
    } else resolve(String(socket.authorizationError));
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // Whom the client takes is not what is asked here.
  const client = connect({
    port,
    host: '127.0.0.1',
    cert: shown.chainPem,
    key: shown.privateKeyPem,
    rejectUnauthorized: false,
  });
  client.on('error', () => undefined);
  try {
    return await promise;
  } finally {
    client.destroy();
    await once(server.close(), 'close');
  }
}

const evil = await imitation(TRUST_DOMAIN);
const other = await imitation('other.test');
const own = await ownSigner();
const ownChain = authority.current.issuerChainPem;
const twoUris = makeCertificate({
  kind: 'client',
  uris: [idOf('orders'), idOf('payments')],
});
const alone = makeCertificate({ kind: 'client', uris: [idOf('orders')] });
const payments = await Member.join(authority, 'payments');

const ROWS: [rule: string, shown: Shown, want: RegExp, trusted?: readonly string[]][] = [
  ['a workload of the mesh', shownBy(payments), /^taken: spiffe:\/\/cluster.local\/ns\/shop\/sa\/payments$/],
  [
    'one that signed itself',
    { chainPem: alone.certificatePem, privateKeyPem: alone.privateKeyPem },
    /^DEPTH_ZERO_SELF_SIGNED_CERT$/,
  ],
  [
    'an issuer of the same trust domain that is not ours',
    await forged(idOf('orders'), evil.signer, evil.issuerPem),
    /^UNABLE_TO_GET_ISSUER_CERT/,
  ],
  [
    'the same with its root sent along',
    await forged(idOf('orders'), evil.signer, evil.issuerPem + evil.rootPem),
    /^SELF_SIGNED_CERT_IN_CHAIN$/,
  ],
  [
    'another trust domain',
    await forged('spiffe://other.test/ns/shop/sa/orders', other.signer, other.issuerPem),
    /^UNABLE_TO_GET_ISSUER_CERT/,
  ],
  [
    'our own issuer for another trust domain',
    await forged('spiffe://other.test/ns/shop/sa/orders', own, ownChain),
    /^UNSPECIFIED$/,
  ],
  [
    'one that has ended',
    await forged(idOf('orders'), own, ownChain, { atMs: nowMs - 2 * DAY_MS }),
    /^CERT_HAS_EXPIRED$/,
  ],
  [
    'one that is not good yet',
    await forged(idOf('orders'), own, ownChain, { atMs: nowMs + HOUR_MS }),
    /^CERT_NOT_YET_VALID$/,
  ],
  [
    'a workload that signs workloads',
    await forged(
      idOf('payments'),
      await openSigner(orders.issued.chainPem, orders.privateKeyPem),
      orders.issued.chainPem,
    ),
    /^UNSPECIFIED$/,
  ],
  [
    'two URIs, of an authority that is trusted',
    { chainPem: twoUris.certificatePem, privateKeyPem: twoUris.privateKeyPem },
    /^certificate.malformed: The certificate has 2 URIs/,
    [twoUris.certificatePem],
  ],
  [
    'the ID of a trust domain',
    await forged(`spiffe://${TRUST_DOMAIN}`, own, ownChain),
    /^certificate.malformed: The certificate is of a trust domain/,
  ],
  ['an ID of another form', await forged(`spiffe://${TRUST_DOMAIN}/orders`, own, ownChain), /^identity.foreign/],
  [
    'an ID that is none',
    await forged(`spiffe://${TRUST_DOMAIN}/ns/shop/../sa/orders`, own, ownChain),
    /^certificate.malformed: Each part of the path/,
  ],
];

for (const [rule, shown, want, trusted] of ROWS) {
  test(`a handshake with ${rule}`, async () => {
    assert.match(await judged(authority, shown, trusted ?? orders.trusted), want);
  });
}

// Node has no names for these two.
const NAMELESS: [rule: string, shown: Shown, want: RegExp][] = [
  [
    'our own issuer for another trust domain',
    await forged('spiffe://other.test/ns/shop/sa/orders', own, ownChain),
    /^permitted subtree violation$/,
  ],
  [
    'a workload that signs workloads',
    await forged(
      idOf('payments'),
      await openSigner(orders.issued.chainPem, orders.privateKeyPem),
      orders.issued.chainPem,
    ),
    /^(?:Issuer name empty|invalid CA certificate)$/,
  ],
];

for (const [rule, { chainPem }, want] of NAMELESS) {
  test(`openssl on ${rule}`, () => {
    assert.match(openssl.verify({ chainPem, trusted: orders.trusted, atMs: nowMs }), want);
  });
}

test('a workload of another trust domain is taken when it is federated, for its own identities only', async () => {
  const foreign = 'spiffe://other.test/ns/bank/sa/ledger';
  const at = { file: 'roots.pem', line: 1, column: 1 };
  const wish = { trustDomain: 'other.test', ownTrustDomain: TRUST_DOMAIN, nowMs };
  // A root that may issue for anybody: nothing in it keeps it to its trust domain.
  const loose = makeCertificate({ kind: 'ca', subject: 'Loose root' });
  const looseSigner = await openSigner(loose.leafPem, loose.privateKeyPem);
  const read = readForeignRoots({ text: other.rootPem + loose.leafPem, at, field: '' }, wish);
  assert.ok('pems' in read);
  const trustedBefore = authority.bundle.hash;
  await authority.federate('other.test', read.pems);
  assert.notEqual(authority.bundle.hash, trustedBefore, 'proxies are asked to say that they trust it');
  await orders.trust(authority);
  const verify = (chainPem: string): string => openssl.verify({ chainPem, trusted: orders.trusted, atMs: nowMs });
  const good = await forged(foreign, other.signer, other.issuerPem);
  assert.equal(verify(good.chainPem), 'OK');
  assert.equal(verify((await forged(foreign, looseSigner, '')).chainPem), 'OK');
  for (const identity of [idOf('orders'), controlId(TRUST_DOMAIN), 'spiffe://third.test/ns/a/sa/b']) {
    assert.match(verify((await forged(identity, looseSigner, '')).chainPem), /permitted subtree/, identity);
  }
  assert.match(verify((await forged(idOf('orders'), other.signer, other.issuerPem)).chainPem), /permitted subtree/);
  // By TLS too: taken by the engine, and known to be of elsewhere.
  assert.match(await judged(authority, good, orders.trusted), /^identity.foreign/);
  assert.doesNotMatch(await judged(authority, await forged(idOf('orders'), looseSigner, ''), orders.trusted), /^taken/);
  assert.equal(await authority.unfederate('other.test'), true);
  await orders.trust(authority);
  assert.notEqual(verify(good.chainPem), 'OK');
});

test('connections go on being made through every phase of a rotation of the root', async () => {
  const rotor = new Rotor(authority);
  const members = [orders, payments];
  const all = async (when: string): Promise<void> => {
    for (const member of members) {
      for (const by of members) assert.match(await judged(authority, shownBy(member), by.trusted), /^taken/, when);
    }
  };
  await rotor.ask('root');
  await rotor.step();
  await all('asked');
  await orders.trust(authority);
  await all('one trusts the new root');
  await payments.trust(authority);
  await rotor.step();
  await all('the new one issues');
  await orders.renew(authority);
  await all('one is renewed');
  await payments.renew(authority);
  await rotor.step();
  await all('the old one is retired');
  for (const member of members) await member.trust(authority);
  await all('the new root alone');
  assert.equal((await rotor.step()).move.does, 'rest');
});
