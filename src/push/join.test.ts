/** Joining and renewing over real gRPC. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import { type LogFields, silentLog } from '../base/log.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { makeRequest } from '../identity/request.ts';
import {
  type MadeAuthority,
  makeCross,
  makeIssuer,
  makeLeaf,
  makeRoot,
  openSigner,
  readRequest,
  type Signer,
} from '../identity/x509.ts';
import { type Certified, makeCertificate } from '../net/testing/certificates.ts';
import { pushFault } from './faults.ts';
import { Hub } from './hub.ts';
import { type FirstTrust, joinMesh, renewCertificate } from './join-client.ts';
import type { Facts, Issued, Joining } from './joining.ts';
import type { Credentials } from './peer.ts';
import { PushServer } from './server.ts';
import { PlainFeeds } from './testing/plain-feeds.ts';

const CONTROL = 'spiffe://cluster.local/ns/fourways/sa/control';
const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';

const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const issuer = makeCertificate({ kind: 'ca', subject: 'Issuer', issuer: root });
const otherRoot = makeCertificate({ kind: 'ca', subject: 'Other root' });
const control = makeCertificate({ kind: 'server', uris: [CONTROL], issuer });
const orders = makeCertificate({ kind: 'client', uris: [ORDERS], issuer });

const hashOfRoot = (certified: Certified): string =>
  createHash('sha256').update(new X509Certificate(certified.leafPem).raw).digest('hex');

function credentials(certified: Certified): Credentials {
  return { chainPem: certified.certificatePem, keyPem: certified.privateKeyPem, trustPem: root.leafPem };
}

const CSR = Buffer.from('a request');
const ISSUED: Issued = {
  chainPem: 'CHAIN',
  trust: { hash: 'h', trustDomain: 'cluster.local', roots: ['ROOT'], federated: [], issuer: 'i' },
};
const WISH = { token: 'fwj_good', csrDer: CSR, facts: { service: 'orders', host: 'größe' } };

/** Takes one token once. */
class OneToken implements Joining {
  readonly asked: unknown[] = [];
  told: readonly string[] = [otherRoot.leafPem, root.leafPem];
  #isUsed = false;

  anchors(): readonly string[] {
    return this.told;
  }

  async join(token: string, csrDer: Buffer, facts: Facts): Promise<Issued | Fault> {
    this.asked.push({ token, csr: csrDer.toString(), facts });
    if (token === 'fwj_broken') throw new Error('the store at db.internal is away');
    if (token !== 'fwj_good') return pushFault('push.join-refused', 'The token is not known');
    if (this.#isUsed) return pushFault('push.join-refused', 'The token was used');
    this.#isUsed = true;
    return ISSUED;
  }

  async renew(identity: string, csrDer: Buffer, facts: Facts): Promise<Issued | Fault> {
    this.asked.push({ identity, csr: csrDer.toString(), facts });
    return ISSUED;
  }
}

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

class Site {
  readonly joining = new OneToken();
  readonly lines: string[] = [];
  readonly hub: Hub;
  server!: PushServer;

  constructor() {
    const say = (message: string, fields?: LogFields): void =>
      void this.lines.push(`${message} ${JSON.stringify(fields)}`);
    const log = { ...silentLog, warn: say, info: say };
    this.hub = new Hub({ feeds: new PlainFeeds(), clock: systemClock, log, software: '1', control: 'c' });
  }

  static start(shown: Certified = control): Promise<Site> {
    return Site.startWith(credentials(shown));
  }

  static async startWith(shown: Credentials): Promise<Site> {
    const site = new Site();
    site.server = await PushServer.listen(
      { host: '127.0.0.1', port: 0 },
      {
        hub: site.hub,
        joining: site.joining,
        credentials: shown,
        trustDomains: ['cluster.local'],
        clock: systemClock,
      },
    );
    cleanups.push(() => site.server.close());
    return site;
  }

  get target(): { readonly address: string; readonly server: string; readonly clock: typeof systemClock } {
    return { address: `127.0.0.1:${this.server.port}`, server: CONTROL, clock: systemClock };
  }
}

const TRUSTS: [rule: string, trust: FirstTrust][] = [
  ['roots that it was given', { kind: 'roots', pem: root.leafPem }],
  ['the hash of the root', { kind: 'root-hash', sha256: hashOfRoot(root) }],
  ['the hash of the root in upper case', { kind: 'root-hash', sha256: hashOfRoot(root).toUpperCase() }],
];

for (const [rule, trust] of TRUSTS) {
  test(`join: a proxy verifies the control plane by ${rule}, and joins`, async () => {
    const site = await Site.start();
    assert.deepEqual(await joinMesh(site.target, { ...WISH, trust }), ISSUED);
    assert.deepEqual(site.joining.asked, [{ token: 'fwj_good', csr: 'a request', facts: WISH.facts }]);
  });
}

const IMPOSTORS: [rule: string, shown: Certified, trust: FirstTrust][] = [
  [
    'of another root, verified by given roots',
    makeCertificate({ kind: 'server', uris: [CONTROL], issuer: otherRoot }),
    { kind: 'roots', pem: root.leafPem },
  ],
  [
    'of another root, verified by a hash',
    makeCertificate({ kind: 'server', uris: [CONTROL], issuer: otherRoot }),
    { kind: 'root-hash', sha256: hashOfRoot(root) },
  ],
  [
    'that is a workload of the same root',
    makeCertificate({ kind: 'server', uris: [ORDERS], issuer }),
    { kind: 'root-hash', sha256: hashOfRoot(root) },
  ],
  ['whose own certificate has the hash', control, { kind: 'root-hash', sha256: hashOfRoot(control) }],
];

for (const [rule, shown, trust] of IMPOSTORS) {
  test(`join: a control plane ${rule} gets no token`, async () => {
    const site = await Site.start(shown);
    const answer = await joinMesh(site.target, { ...WISH, trust });
    assert.ok(answer instanceof Fault);
    assert.equal(answer.code, 'push.away');
    assert.deepEqual(site.joining.asked, []);
  });
}

test('join: a token that names a former root is good by what leads from there to the root of now', async () => {
  const wish = { trustDomain: 'cluster.local', nowMs: systemClock.wallMs(), lifeMs: 86_400_000 };
  const signerOf = ({ certificate, privateKeyPem }: MadeAuthority): Promise<Signer> =>
    openSigner(certificate.pem, privateKeyPem);
  const [former, now] = [await makeRoot(wish), await makeRoot(wish)];
  const issues = await makeIssuer(wish, await signerOf(now));
  const { csr, privateKeyPem } = makeRequest(CONTROL);
  const asked = await readRequest(csr);
  assert.ok(!('flaw' in asked));
  const leaf = await makeLeaf({ ...wish, identity: CONTROL, publicKey: asked.publicKey }, await signerOf(issues));
  const site = await Site.startWith({
    chainPem: `${leaf.pem}\n${issues.certificate.pem}`,
    keyPem: privateKeyPem,
    trustPem: now.certificate.pem,
  });
  const der = new X509Certificate(former.certificate.pem).raw;
  const trust: FirstTrust = { kind: 'root-hash', sha256: createHash('sha256').update(der).digest('hex') };
  site.joining.told = [former.certificate.pem, now.certificate.pem];
  const alone = await joinMesh(site.target, { ...WISH, trust });
  assert.ok(alone instanceof Fault, 'that one stands beside the other is no reason');
  assert.deepEqual(site.joining.asked, []);
  const cross = await makeCross(wish, now.certificate.pem, await signerOf(former));
  site.joining.told = [now.certificate.pem, cross.pem, former.certificate.pem];
  assert.deepEqual(await joinMesh(site.target, { ...WISH, trust }), ISSUED);
});

test('join: a token that is used twice, or not known, is refused, logged and counted', async () => {
  const site = await Site.start();
  const wish = { ...WISH, trust: TRUSTS[0]![1] };
  assert.deepEqual(await joinMesh(site.target, wish), ISSUED);
  const again = await joinMesh(site.target, wish);
  assert.ok(again instanceof Fault);
  assert.deepEqual([again.code, again.detail], ['push.join-refused', 'The token was used']);
  const unknown = await joinMesh(site.target, { ...wish, token: 'fwj_x' });
  assert.ok(unknown instanceof Fault);
  assert.equal(site.hub.ended.get('push.join-refused'), 2);
  assert.equal(site.lines.length, 2);
  assert.equal(site.lines.join().includes('fwj_'), false);
});

test('join: what fails inside the control plane is not told outside', async () => {
  const site = await Site.start();
  const answer = await joinMesh(site.target, { ...WISH, token: 'fwj_broken', trust: TRUSTS[0]![1] });
  assert.ok(answer instanceof Fault);
  assert.equal(answer.detail, 'The control plane cannot issue a certificate now');
  assert.match(site.lines[0]!, /db\.internal is away/);
});

test('join: a request that is too large is refused', async () => {
  const site = await Site.start();
  const answer = await joinMesh(site.target, { ...WISH, csrDer: Buffer.alloc(20_000), trust: TRUSTS[0]![1] });
  assert.ok(answer instanceof Fault);
  assert.equal(answer.code, 'push.too-large');
  assert.deepEqual(site.joining.asked, []);
});

test('renew: by the certificate that is to be replaced, for its identity', async () => {
  const site = await Site.start();
  assert.deepEqual(await renewCertificate(site.target, credentials(orders), WISH), ISSUED);
  assert.deepEqual(site.joining.asked, [{ identity: ORDERS, csr: 'a request', facts: WISH.facts }]);
});

const NOT_RENEWED: [rule: string, shown: Partial<Credentials> & Pick<Credentials, 'trustPem'>][] = [
  ['no certificate', { trustPem: root.leafPem }],
  ['one of another root', credentials(makeCertificate({ kind: 'client', uris: [ORDERS], issuer: otherRoot }))],
  [
    'an expired one',
    credentials(makeCertificate({ kind: 'client', uris: [ORDERS], issuer, notAfterMs: systemClock.wallMs() - 1_000 })),
  ],
  [
    'one of another trust domain',
    credentials(makeCertificate({ kind: 'client', uris: ['spiffe://b.test/x'], issuer })),
  ],
];

for (const [rule, shown] of NOT_RENEWED) {
  test(`renew: with ${rule} nothing is renewed, and it is counted`, async () => {
    const site = await Site.start();
    const answer = await renewCertificate(site.target, shown as Credentials, WISH);
    assert.ok(answer instanceof Fault);
    assert.equal(site.hub.ended.get('push.unauthenticated'), 1);
    assert.deepEqual(site.joining.asked, []);
  });
}

test('join: a server that accepts and says nothing is given up, and its socket closed', async () => {
  await using silent = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(silent, 'listening');
  const clock = new ManualClock();
  const closed = Promise.withResolvers<void>();
  silent.on('connection', (socket) => {
    socket.once('data', () => clock.advance(15_000));
    socket.on('error', () => undefined);
    socket.once('close', () => closed.resolve());
  });
  const { port } = silent.address() as AddressInfo;
  const target = { address: `127.0.0.1:${port}`, server: CONTROL, clock };
  const answer = await joinMesh(target, { ...WISH, trust: { kind: 'root-hash', sha256: hashOfRoot(root) } });
  assert.ok(answer instanceof Fault);
  assert.match(answer.code, /^push\.(?:away|silent)$/);
  await closed.promise;
});
