import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { TimerWheel } from '../base/timers.ts';
import { makeCertificate } from './testing/certificates.ts';
import { TicketKeys } from './ticket-keys.ts';
import type { TlsListener } from './tls-contexts.ts';
import { PortTls, type PortTlsPlan, type SecureFacts } from './tls-server.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'fourways-tls-'));
const wheel = new TimerWheel(systemClock);
after(() => {
  wheel.close();
  rmSync(folder, { recursive: true });
});

const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const shop = makeCertificate({ hosts: ['shop.test'], issuer: root });
const PLAIN_TLS: TlsListener['tls'] = { versionMin: 'TLSv1.2', ciphers: '' };
const listener = (hostname: string, ...secrets: TlsListener['secrets']): TlsListener => ({
  hostname,
  tls: PLAIN_TLS,
  secrets,
});

/** What the port did, in order: `secure shop.test`, `full`, `failed timeout`. */
class TestPort {
  readonly events: string[] = [];
  readonly facts: SecureFacts[] = [];
  readonly details: string[] = [];
  readonly tls: PortTls;
  readonly server: net.Server;
  port = 0;
  #changed = (): void => undefined;

  constructor(ticketKeys = new TicketKeys(randomBytes(48)), handshakesMax = 100) {
    this.tls = new PortTls({
      handshakesMax,
      wheel,
      log: silentLog,
      ticketKeys,
      metrics: {
        handshakesFull: { add: () => this.events.push('full') },
        handshakesResumed: { add: () => this.events.push('resumed') },
        handshakeFailed: (failure) => this.events.push(`counted ${failure}`),
      },
    });
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.tls.accept(socket, {
        onSecure: (secured, facts) => {
          this.facts.push(facts);
          this.#push(`secure ${facts.serverName}`);
          secured.on('error', () => undefined);
          secured.on('data', (bytes: Buffer) => secured.end(`echo ${bytes.toString()}`));
        },
        onFailed: (failure, detail) => {
          this.details.push(detail);
          this.#push(`failed ${failure}`);
        },
      });
    });
  }

  async listen(plan: Partial<PortTlsPlan>, ...listeners: TlsListener[]): Promise<this> {
    this.tls.update({ timeouts: { handshakeMs: 5_000 }, ...plan }, listeners);
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as net.AddressInfo).port;
    return this;
  }

  /** Resolves when `event` has been seen. */
  async saw(event: string): Promise<void> {
    while (!this.events.includes(event)) await new Promise<void>((resolve) => (this.#changed = resolve));
  }

  [Symbol.dispose](): void {
    this.server.close();
  }

  #push(event: string): void {
    this.events.push(event);
    this.#changed();
  }
}

interface Answer {
  readonly text: string;
  /** Subject alternative names of the server's certificate. */
  readonly names: string;
  readonly keyType: string | undefined;
  readonly cipher: string;
  readonly alpn: string | false | null;
  readonly reused: boolean;
  readonly session: Buffer | undefined;
}

/** Connects, says hello, and reads to the end. Rejects when the handshake fails or the connection breaks. */
async function ask(port: number, options: tls.ConnectionOptions): Promise<Answer> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    ca: root.leafPem,
    checkServerIdentity: () => undefined,
    ...options,
  });
  let session: Buffer | undefined;
  let text = '';
  let secured: Omit<Answer, 'text' | 'session'> | undefined;
  socket.on('session', (ticket) => (session = ticket));
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      secured = {
        names: certificate?.subjectAltName ?? '',
        keyType: certificate?.publicKey.asymmetricKeyType,
        cipher: socket.getCipher().standardName,
        alpn: socket.alpnProtocol,
        reused: socket.isSessionReused(),
      };
      socket.write('hello');
    });
    socket.on('close', () => (text === '' ? reject(new Error('closed without an answer')) : resolve()));
  });
  return { text, session, ...secured! };
}

test('a handshake gives a secure socket and what is known of the client', async () => {
  using port = await new TestPort().listen({}, listener('shop.test', shop));
  const { text } = await ask(port.port, { servername: 'Shop.TEST' });
  assert.equal(text, 'echo hello');
  const facts = port.facts[0]!;
  assert.deepEqual(
    { ...facts, peerPort: 0 },
    {
      peerIp: '127.0.0.1',
      peerPort: 0,
      scheme: 'https',
      serverName: 'shop.test',
      tlsVersion: 'TLSv1.3',
      tlsCipher: 'TLS_AES_256_GCM_SHA384',
      clientVerified: false,
    },
  );
  assert.deepEqual(port.events, ['full', 'secure shop.test']);
  assert.equal(port.tls.handshakes, 0);
});

test('the listener is chosen by name: exact, then the longest wildcard, then *', async () => {
  const certificates = ['a.x.test', '*.x.test', '*.test', 'all.invalid'].map((host) =>
    makeCertificate({ hosts: [host], issuer: root }),
  );
  const [exact, near, far, all] = certificates;
  using port = await new TestPort().listen(
    {},
    listener('*', all!),
    listener('*.test', far!),
    listener('a.x.test', exact!),
    listener('*.x.test', near!),
  );
  const rows: [serverName: string, want: string][] = [
    ['a.x.test', 'DNS:a.x.test'],
    ['b.x.test', 'DNS:*.x.test'],
    ['c.b.x.test', 'DNS:*.x.test'],
    ['x.test', 'DNS:*.test'],
    ['other.example', 'DNS:all.invalid'],
    ['', 'DNS:all.invalid'],
  ];
  for (const [serverName, want] of rows) {
    const { names } = await ask(port.port, serverName === '' ? {} : { servername: serverName });
    assert.equal(names, want, serverName);
  }
});

test('a name without a listener is refused with the alert for it', async () => {
  using port = await new TestPort().listen({}, listener('shop.test', shop));
  await assert.rejects(ask(port.port, { servername: 'other.test' }), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  await assert.rejects(ask(port.port, {}), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  assert.deepEqual(port.events, Array(2).fill(['counted unknown-name', 'failed unknown-name']).flat());
  assert.deepEqual(port.details, ['other.test', 'no server name']);
});

test('RSA and ECDSA for one name: the client gets what it can verify', async () => {
  const rsaRoot = makeCertificate({ kind: 'ca', keyKind: 'rsa' });
  const rsa = makeCertificate({ hosts: ['shop.test'], issuer: rsaRoot, keyKind: 'rsa' });
  using port = await new TestPort().listen({}, listener('shop.test', rsa, shop));
  const rows: [sigalgs: string, want: string][] = [
    ['ecdsa_secp256r1_sha256', 'ec'],
    ['rsa_pss_rsae_sha256:RSA+SHA256', 'rsa'],
    ['ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256:RSA+SHA256', 'ec'],
  ];
  for (const [sigalgs, want] of rows) {
    const { keyType } = await ask(port.port, { servername: 'shop.test', sigalgs, rejectUnauthorized: false });
    assert.equal(keyType, want, sigalgs);
  }
});

test('several certificates of one listener are chosen by their names', async () => {
  const a = makeCertificate({ hosts: ['a.test'], issuer: root });
  const b = makeCertificate({ hosts: ['*.b.test'], issuer: root });
  using port = await new TestPort().listen({}, listener('*', a, b));
  for (const [serverName, want] of [
    ['a.test', 'DNS:a.test'],
    ['x.b.test', 'DNS:*.b.test'],
    ['unknown.test', 'DNS:a.test'],
  ]) {
    assert.equal((await ask(port.port, { servername: serverName! })).names, want);
  }
});

test('a rotated certificate is served from the next handshake on; open connections stay', async () => {
  using port = await new TestPort().listen({}, listener('shop.test', shop));
  const open = tls.connect({ port: port.port, host: '127.0.0.1', ca: root.leafPem, servername: 'shop.test' });
  await once(open, 'secureConnect');
  const next = makeCertificate({ hosts: ['shop.test', 'next.test'], issuer: root });
  port.tls.update({ timeouts: { handshakeMs: 5_000 } }, [listener('shop.test', next)]);
  assert.equal((await ask(port.port, { servername: 'shop.test' })).names, 'DNS:shop.test, DNS:next.test');
  open.write('still here');
  assert.equal(String((await once(open, 'data'))[0]), 'echo still here');
  open.destroy();
});

test('a broken secret is left out and takes no neighbour along', async () => {
  const broken = { certificatePem: 'nonsense', privateKeyPem: 'nonsense' };
  const stolen = { certificatePem: root.certificatePem, privateKeyPem: shop.privateKeyPem };
  using port = await new TestPort().listen({}, listener('a.test', broken), listener('shop.test', broken, stolen, shop));
  await ask(port.port, { servername: 'shop.test' });
  await assert.rejects(ask(port.port, { servername: 'a.test' }), { code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' });
  assert.ok(port.events.includes('failed no-certificate'));
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion} sessions resume on another worker that has the same keys`, async () => {
    const keys = randomBytes(48);
    using one = await new TestPort(new TicketKeys(keys)).listen({}, listener('shop.test', shop));
    using two = await new TestPort(new TicketKeys(keys)).listen({}, listener('shop.test', { ...shop }));
    const { session } = await ask(one.port, { servername: 'shop.test', maxVersion });
    const again = await ask(two.port, { servername: 'shop.test', maxVersion, session });
    assert.equal(again.reused, true);
    assert.deepEqual(two.events, ['resumed', 'secure shop.test']);
  });
}

test('a session does not resume after the keys were rotated, nor at another listener', async () => {
  const keys = new TicketKeys(randomBytes(48));
  using port = await new TestPort(keys).listen({}, listener('shop.test', shop), listener('*', shop));
  const { session } = await ask(port.port, { servername: 'shop.test' });
  assert.equal((await ask(port.port, { servername: 'shop.test', session })).reused, true);
  assert.equal((await ask(port.port, { servername: 'other.test', session })).reused, false);
  keys.rotate(randomBytes(48));
  assert.equal((await ask(port.port, { servername: 'shop.test', session })).reused, false);
});

test('versions and ciphers are those of the listener that was named', async () => {
  const strict: TlsListener = { hostname: 'strict.test', tls: { versionMin: 'TLSv1.3', ciphers: '' }, secrets: [shop] };
  const chacha: TlsListener = {
    hostname: 'chacha.test',
    tls: { versionMin: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:TLS_CHACHA20_POLY1305_SHA256' },
    secrets: [shop],
  };
  using port = await new TestPort().listen({}, listener('*', shop), strict, chacha);
  await ask(port.port, { servername: 'any.test', maxVersion: 'TLSv1.2' });
  await assert.rejects(ask(port.port, { servername: 'strict.test', maxVersion: 'TLSv1.2' }), /protocol version/);
  assert.ok(port.events.includes('failed version'));
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { cipher } = await ask(port.port, { servername: 'chacha.test', maxVersion });
    assert.match(cipher, /CHACHA20/);
  }
});

test('ALPN: http/1.1 is agreed on; a client that wants only something else is refused', async () => {
  using port = await new TestPort().listen({}, listener('*', shop));
  const { alpn } = await ask(port.port, { ALPNProtocols: ['h2', 'http/1.1'] });
  assert.equal(alpn, 'http/1.1');
  await assert.rejects(ask(port.port, { ALPNProtocols: ['h2'] }), /no application protocol/);
  assert.ok(port.events.includes('failed alpn'));
});

const FIRST_BYTES: [rule: string, bytes: string | Buffer, want: string][] = [
  ['plain HTTP', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'not-tls'],
  ['a broken ClientHello', Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 0]), 'malformed'],
  [
    'a ClientHello the engine refuses',
    Buffer.concat([Buffer.from([22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3]), Buffer.alloc(41)]),
    'unknown-name',
  ],
];
for (const [rule, bytes, want] of FIRST_BYTES) {
  test(`first bytes: ${rule} ends as ${want}`, async () => {
    using port = await new TestPort().listen({}, listener('shop.test', shop));
    const socket = net.connect(port.port, '127.0.0.1').on('error', () => undefined);
    socket.end(bytes);
    socket.resume();
    await port.saw(`failed ${want}`);
    assert.equal(port.tls.handshakes, 0);
    socket.destroy();
  });
}

test('a client that goes away or says nothing is let go', async () => {
  using port = await new TestPort().listen({ timeouts: { handshakeMs: 60 } }, listener('shop.test', shop));
  net.connect(port.port, '127.0.0.1').end();
  await port.saw('failed aborted');
  const silent = net.connect(port.port, '127.0.0.1').on('error', () => undefined);
  await port.saw('failed timeout');
  await once(silent, 'close');
  assert.equal(port.tls.handshakes, 0);
});

test('beyond the bound the newest client is closed, and others are served again when there is room', async () => {
  using port = await new TestPort(undefined, 2).listen({}, listener('shop.test', shop));
  const silent = [1, 2, 3].map(() => net.connect(port.port, '127.0.0.1').on('error', () => undefined));
  await port.saw('failed overloaded');
  assert.equal(port.tls.handshakes, 2);
  for (const socket of silent) socket.destroy();
  await port.saw('failed aborted');
  assert.equal((await ask(port.port, { servername: 'shop.test' })).text, 'echo hello');
});

test('a storm of clients is served a few in a turn, all of them', async () => {
  using port = await new TestPort().listen({}, listener('shop.test', shop));
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(port.port, { servername: 'shop.test' })));
  assert.equal(answers.filter(({ text }) => text === 'echo hello').length, 40);
  assert.equal(port.tls.handshakes, 0);
});

test('a client that stops in the middle of its handshake is let go', async () => {
  using port = await new TestPort().listen({ timeouts: { handshakeMs: 100 } }, listener('shop.test', shop));
  // A relay that passes on the ClientHello and nothing more.
  const relay = net.createServer((near) => {
    const far = net.connect(port.port, '127.0.0.1');
    near.once('data', (bytes: Buffer) => far.write(bytes));
    far.resume();
    near.on('error', () => undefined);
    far.on('error', () => undefined);
    far.on('close', () => near.destroy());
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  await assert.rejects(ask((relay.address() as net.AddressInfo).port, { servername: 'shop.test' }));
  await port.saw('failed timeout');
  relay.close();
});

test('a ClientHello that drips in is read all the same', async () => {
  using port = await new TestPort().listen({}, listener('shop.test', shop));
  const relay = net.createServer((near) => {
    const far = net.connect(port.port, '127.0.0.1').setNoDelay();
    far.pipe(near);
    near.once('data', (bytes: Buffer) => {
      near.pause();
      let at = 0;
      const drip = (): void => {
        if (at >= bytes.length) return void near.pipe(far);
        far.write(bytes.subarray(at, at + 40), () => setImmediate(drip));
        at += 40;
      };
      drip();
    });
    near.on('error', () => undefined);
    far.on('error', () => undefined);
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const { text } = await ask((relay.address() as net.AddressInfo).port, { servername: 'shop.test' });
  assert.equal(text, 'echo hello');
  relay.close();
});

// Client certificates: what the port trusts, what the client shows, and what becomes of it.
const middle = makeCertificate({ kind: 'ca', subject: 'Middle', issuer: root });
const otherRoot = makeCertificate({ kind: 'ca', subject: 'Other root' });
const client = makeCertificate({ kind: 'client', issuer: middle });
const stranger = makeCertificate({ kind: 'client', issuer: otherRoot });
const expired = makeCertificate({ kind: 'client', issuer: root, notAfterMs: Date.now() - 86_400_000, notBeforeMs: 0 });
const selfSigned = makeCertificate({ kind: 'client' });
const notForClients = makeCertificate({ kind: 'server', issuer: root });

const CLIENTS: [
  rule: string,
  cas: string[],
  shows: typeof client | undefined,
  want: 'verified' | 'missing' | 'invalid',
][] = [
  ['a chain to the root', [root.leafPem], client, 'verified'],
  ['one of several bundles', [otherRoot.leafPem, root.leafPem], client, 'verified'],
  ['an intermediate as the anchor', [middle.leafPem], client, 'verified'],
  ['the certificate itself as the anchor', [client.leafPem], client, 'verified'],
  ['a self-signed certificate as its own anchor', [selfSigned.leafPem], selfSigned, 'verified'],
  ['no certificate', [root.leafPem], undefined, 'missing'],
  ['another issuer', [root.leafPem], stranger, 'invalid'],
  ['a root that is not in the bundle', [otherRoot.leafPem], client, 'invalid'],
  ['expired', [root.leafPem], expired, 'invalid'],
  ['self-signed', [root.leafPem], selfSigned, 'invalid'],
  ['a certificate for servers', [root.leafPem], notForClients, 'invalid'],
];
for (const [rule, cas, shows, want] of CLIENTS) {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`client certificate, ${maxVersion}, required: ${rule} is ${want}`, async () => {
      using port = await new TestPort().listen({ clientValidation: { cas, mode: 'required' } }, listener('*', shop));
      const certificate = shows === undefined ? {} : { cert: shows.certificatePem, key: shows.privateKeyPem };
      const answer = ask(port.port, { ...certificate, maxVersion });
      if (want === 'verified') {
        assert.equal((await answer).text, 'echo hello');
        assert.equal(port.facts[0]!.clientVerified, true);
      } else {
        await assert.rejects(answer);
        await port.saw(`failed client-certificate-${want}`);
        assert.equal(port.facts.length, 0);
      }
    });
  }
  test(`client certificate, optional: ${rule} is let in, as ${want}`, async () => {
    using port = await new TestPort().listen({ clientValidation: { cas, mode: 'optional' } }, listener('*', shop));
    const certificate = shows === undefined ? {} : { cert: shows.certificatePem, key: shows.privateKeyPem };
    assert.equal((await ask(port.port, certificate)).text, 'echo hello');
    assert.equal(port.facts[0]!.clientVerified, want === 'verified');
  });
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion}: a session from before a certificate was required does not get around it`, async () => {
    using port = await new TestPort().listen(
      { clientValidation: { cas: [root.leafPem], mode: 'optional' } },
      listener('*', shop),
    );
    const { session } = await ask(port.port, { maxVersion });
    port.tls.update({ timeouts: { handshakeMs: 5_000 }, clientValidation: { cas: [root.leafPem], mode: 'required' } }, [
      listener('*', shop),
    ]);
    await assert.rejects(ask(port.port, { maxVersion, session }));
    await port.saw('failed client-certificate-missing');
  });

  test(`${maxVersion}: a verified client is still verified when its session resumes`, async () => {
    using port = await new TestPort().listen(
      { clientValidation: { cas: [root.leafPem], mode: 'required' } },
      listener('*', shop),
    );
    const shows = { cert: client.certificatePem, key: client.privateKeyPem, maxVersion };
    const { session } = await ask(port.port, shows);
    const again = await ask(port.port, { ...shows, session });
    assert.equal(again.reused, true);
    assert.equal(port.facts[1]!.clientVerified, true);
  });
}

test('openssl s_client: the chain verifies, and its session resumes', async () => {
  using port = await new TestPort().listen(
    {},
    listener('shop.test', makeCertificate({ hosts: ['shop.test'], issuer: middle })),
  );
  const ca = join(folder, 'root.pem');
  const session = join(folder, 'session.pem');
  writeFileSync(ca, root.leafPem);
  const client = (...args: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const base = ['s_client', '-connect', `127.0.0.1:${port.port}`, '-servername', 'shop.test', '-CAfile', ca];
      const child = execFile(
        'openssl',
        [...base, '-verify_hostname', 'shop.test', '-verify_return_error', ...args],
        (error, out) => (error === null ? resolve(out) : reject(error)),
      );
      // Its input stays open until the answer is here: a ticket of TLS 1.3 comes after the handshake.
      child.stdin!.write('hello\n');
    });
  const first = await client('-sess_out', session);
  assert.match(first, /Verify return code: 0 \(ok\)/);
  assert.match(first, /New, TLSv1.3/);
  assert.match(await client('-sess_in', session), /Reused, TLSv1.3/);
});

test('curl speaks with the port', async () => {
  using port = await new TestPort().listen({}, listener('shop.test', shop));
  const ca = join(folder, 'curl-root.pem');
  writeFileSync(ca, root.leafPem);
  const options = ['-s', '--http0.9', '--max-time', '5', '--cacert', ca];
  const target = ['--connect-to', `shop.test:443:127.0.0.1:${port.port}`, 'https://shop.test/'];
  const { stdout } = await run('curl', [...options, ...target]);
  assert.match(stdout, /^echo GET \/ HTTP\/1.1/);
});
