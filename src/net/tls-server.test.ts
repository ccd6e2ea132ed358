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
import { makeCertificate } from './testing/certificates.ts';
import { ask, listener, PLAIN_TLS, root, shop, TestPort } from './testing/tls-port.ts';
import { TicketKeys } from './ticket-keys.ts';
import type { TlsListener } from './tls-contexts.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'fourways-tls-'));
after(() => rmSync(folder, { recursive: true }));

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
      alpn: '',
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

test('a session does not resume at another listener', async () => {
  using port = await new TestPort().listen({}, listener('shop.test', shop), listener('*', shop));
  const { session } = await ask(port.port, { servername: 'shop.test' });
  assert.equal((await ask(port.port, { servername: 'shop.test', session })).reused, true);
  assert.equal((await ask(port.port, { servername: 'other.test', session })).reused, false);
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion}: a session resumes across one rotation of the keys, not across two`, async () => {
    const keys = new TicketKeys(randomBytes(48));
    using port = await new TestPort(keys).listen({}, listener('shop.test', shop));
    const client = { servername: 'shop.test', maxVersion };
    const old = (await ask(port.port, client)).session;
    keys.rotate(randomBytes(48));
    assert.equal((await ask(port.port, { ...client, session: old })).reused, true, 'after one');
    const fresh = (await ask(port.port, client)).session;
    keys.rotate(randomBytes(48));
    assert.equal((await ask(port.port, { ...client, session: old })).reused, false, 'after two');
    assert.equal((await ask(port.port, { ...client, session: fresh })).reused, true, 'the next one after one');
  });

  test(`${maxVersion}: a worker that starts late opens the tickets of the keys before`, async () => {
    const [before, now] = [randomBytes(48), randomBytes(48)];
    using early = await new TestPort(new TicketKeys(before)).listen({}, listener('shop.test', shop));
    using late = await new TestPort(new TicketKeys(now, before)).listen({}, listener('shop.test', shop));
    const client = { servername: 'shop.test', maxVersion };
    const { session } = await ask(early.port, client);
    assert.equal((await ask(late.port, { ...client, session })).reused, true);
  });
}

test('keys of another length are a mistake of ours', () => {
  assert.throws(() => new TicketKeys(randomBytes(80)), /80 bytes: 48 are needed/);
  assert.throws(() => new TicketKeys(randomBytes(48), randomBytes(1)), RangeError);
  assert.throws(() => new TicketKeys(randomBytes(48)).rotate(randomBytes(47)), RangeError);
});

test('versions and ciphers are those of the listener that was named', async () => {
  const strict: TlsListener = {
    ...listener('strict.test', shop),
    tls: { ...PLAIN_TLS, versionMin: 'TLSv1.3' },
  };
  const chacha: TlsListener = {
    ...listener('chacha.test', shop),
    tls: { ...PLAIN_TLS, ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:TLS_CHACHA20_POLY1305_SHA256' },
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

const middle = makeCertificate({ kind: 'ca', subject: 'Middle', issuer: root });
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
  const options = ['-s', '--http1.1', '--http0.9', '--max-time', '5', '--cacert', ca];
  const target = ['--connect-to', `shop.test:443:127.0.0.1:${port.port}`, 'https://shop.test/'];
  const { stdout } = await run('curl', [...options, ...target]);
  assert.match(stdout, /^echo GET \/ HTTP\/1.1/);
});
