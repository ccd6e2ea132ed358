import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { type Certified, makeCertificate } from './testing/certificates.ts';
import { PLAIN_TLS } from './testing/tls-port.ts';
import type { TlsPolicy } from './tls-contexts.ts';
import { ClientContexts, UpstreamTls, type UpstreamTlsOptions, type UpstreamTlsPlan } from './tls-client.ts';

const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const middle = makeCertificate({ kind: 'ca', subject: 'Middle', issuer: root });
const web = makeCertificate({ hosts: ['web.test'], uris: ['spiffe://test/ns/shop/sa/web'], issuer: middle });
const client = makeCertificate({ kind: 'client', issuer: root });
const contexts = new ClientContexts();

const PLAN: UpstreamTlsPlan = { serverName: 'web.test', cas: [root.leafPem], policy: PLAIN_TLS, subjectAltNames: [] };

class Upstream {
  readonly server: tls.Server;
  readonly serverNames: (string | false | null)[] = [];
  /** Version and cipher suite of each connection. */
  readonly spoken: string[] = [];
  port = 0;

  constructor(certificate: Certified, options: tls.TlsOptions = {}) {
    this.server = tls.createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem, ...options });
    this.server.on('secureConnection', (socket) => {
      this.serverNames.push(socket.servername);
      this.spoken.push(`${socket.getProtocol()} ${socket.getCipher().standardName}`);
      socket.on('error', () => undefined);
      socket.end('hello');
    });
    this.server.on('tlsClientError', () => undefined);
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as net.AddressInfo).port;
    return this;
  }

  [Symbol.dispose](): void {
    this.server.close();
  }
}

const upstreamTls = (options: Partial<UpstreamTlsOptions> = {}): UpstreamTls =>
  new UpstreamTls({ plan: PLAN, clientCertificate: () => undefined, contexts, alpn: ['http/1.1'], ...options });

/** Why it failed, or what the upstream said. The name of the endpoint is `up:1`. */
async function connect(
  port: number,
  using: UpstreamTls,
): Promise<{ said: string; reused: boolean; protocol: string } | string> {
  const raw = net.connect(port, '127.0.0.1');
  await once(raw, 'connect');
  return new Promise((resolve) => {
    using.secure(raw, 'up:1', {
      onFailed: (why) => {
        assert.equal(raw.destroyed, true);
        resolve(why);
      },
      onSecure: (socket, protocol) => {
        const reused = socket.isSessionReused();
        let said = '';
        socket.on('data', (bytes: Buffer) => (said += bytes.toString()));
        socket.on('error', (error) => resolve(`later: ${error.message}`));
        socket.on('close', () => resolve({ said, reused, protocol }));
      },
    });
  });
}

/** From an upstream that knows no ALPN. */
const HELLO = { said: 'hello', reused: false, protocol: '' };

function failed(result: Awaited<ReturnType<typeof connect>>): string {
  assert.ok(typeof result === 'string', 'it did not fail');
  return result;
}

const yesterdayMs = Date.now() - 86_400_000;
const server = (wish: Parameters<typeof makeCertificate>[0]): Certified => makeCertificate({ issuer: root, ...wish });

const workload = (id: string, issuer: Certified): Certified =>
  makeCertificate({ kind: 'workload', uris: [id], issuer });
const west = makeCertificate({ kind: 'ca', subject: 'Root of the west' });
/** The same service in two trust domains. */
const FEDERATED: Partial<UpstreamTlsPlan> = {
  federated: [{ trustDomain: 'west', cas: [west.leafPem] }],
  subjectAltNames: ['test', 'west'].map((domain) => ({ kind: 'uri', value: `spiffe://${domain}/ns/shop/sa/web` })),
};

const ROWS: [rule: string, certificate: Certified, plan: Partial<UpstreamTlsPlan>, want: RegExp | 'hello'][] = [
  ['the name, by a chain to the root', web, {}, 'hello'],
  ['the name in any case', web, { serverName: 'WEB.test' }, 'hello'],
  ['a wildcard for one label', server({ hosts: ['*.test'] }), {}, 'hello'],
  ['a wildcard right below the top', server({ hosts: ['*.org'] }), { serverName: 'example.org' }, 'hello'],
  [
    'no wildcard for two labels',
    server({ hosts: ['*.test'] }),
    { serverName: 'a.web.test' },
    /^The certificate of up:1 is for \*\.test, not for a\.web\.test$/,
  ],
  [
    'another name',
    web,
    { serverName: 'api.test' },
    /^The certificate of up:1 is for web\.test, spiffe:\/\/test\/ns\/shop\/sa\/web, not for api\.test$/,
  ],
  ['the common name does not count', server({ subject: 'web.test' }), {}, /is for no name at all, not for web\.test$/],
  [
    'one of the alternative names, by DNS',
    web,
    {
      serverName: 'sni.test',
      subjectAltNames: [
        { kind: 'dns', value: 'x.test' },
        { kind: 'dns', value: 'web.test' },
      ],
    },
    'hello',
  ],
  [
    'one of the alternative names, by URI',
    web,
    { serverName: 'sni.test', subjectAltNames: [{ kind: 'uri', value: 'spiffe://test/ns/shop/sa/web' }] },
    'hello',
  ],
  [
    'none of the alternative names, though the server name is',
    web,
    { subjectAltNames: [{ kind: 'uri', value: 'spiffe://test/ns/shop/sa/api' }] },
    /not for spiffe:\/\/test\/ns\/shop\/sa\/api$/,
  ],
  [
    'an expected wildcard is the same wildcard',
    server({ hosts: ['*.a.test'] }),
    { subjectAltNames: [{ kind: 'dns', value: '*.a.test' }] },
    'hello',
  ],
  [
    'a workload of another trust domain, by its own root',
    workload('spiffe://west/ns/shop/sa/web', west),
    FEDERATED,
    'hello',
  ],
  ['a workload of our own beside it', workload('spiffe://test/ns/shop/sa/web', root), FEDERATED, 'hello'],
  [
    'a root of another trust domain says nothing of ours',
    workload('spiffe://test/ns/shop/sa/web', west),
    FEDERATED,
    /is not to be believed: spiffe:\/\/test\/ns\/shop\/sa\/web: not issued by a root of "test"$/,
  ],
  [
    'nor ours of that',
    workload('spiffe://west/ns/shop/sa/web', root),
    FEDERATED,
    /is not to be believed: spiffe:\/\/west\/ns\/shop\/sa\/web: not issued by a root of "west"$/,
  ],
  [
    'another workload of the other trust domain',
    workload('spiffe://west/ns/shop/sa/api', west),
    FEDERATED,
    /is for spiffe:\/\/west\/ns\/shop\/sa\/api, not for /,
  ],
  ['an address', server({ hosts: ['127.0.0.1'] }), { serverName: '127.0.0.1' }, 'hello'],
  [
    'an address that is only written as a name',
    server({ hosts: ['*.0.0.1'] }),
    { serverName: '127.0.0.1' },
    /not for 127\.0\.0\.1$/,
  ],
  ['an intermediate as the anchor', web, { cas: [middle.leafPem] }, 'hello'],
  ['the certificate itself as the anchor', web, { cas: [web.leafPem] }, 'hello'],
  [
    'another root',
    web,
    { cas: [client.leafPem] },
    /^The certificate of up:1 was issued by "CN=Middle", which is not among the trusted ones/,
  ],
  ['the roots of the system do not know ours', web, { cas: [] }, /not among the trusted ones/],
  ['signed by itself', makeCertificate({ hosts: ['web.test'] }), {}, /is signed by itself/],
  [
    'expired',
    server({ hosts: ['web.test'], notBeforeMs: 0, notAfterMs: yesterdayMs }),
    {},
    /^The certificate of up:1 or of one of its issuers has expired; its own is valid until /,
  ],
  [
    'not valid yet',
    server({ hosts: ['web.test'], notBeforeMs: Date.now() + 3_600_000 }),
    {},
    /is not valid yet; its own is valid from /,
  ],
  ['not for servers', server({ hosts: ['web.test'], kind: 'client' }), {}, /is not meant for servers$/],
  [
    'a bundle that cannot be read trusts nobody',
    web,
    { cas: ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'] },
    /not among the trusted ones/,
  ],
];
for (const [rule, certificate, plan, want] of ROWS) {
  test(`upstream certificate: ${rule}`, async () => {
    using upstream = await new Upstream(certificate).listen();
    const got = await connect(upstream.port, upstreamTls({ plan: { ...PLAN, ...plan } }));
    if (want === 'hello') assert.deepEqual(got, HELLO);
    else assert.match(failed(got), want);
  });
}

test('SNI is the server name; an address is not sent', async () => {
  using upstream = await new Upstream(server({ hosts: ['web.test', '127.0.0.1'] })).listen();
  await connect(upstream.port, upstreamTls());
  await connect(upstream.port, upstreamTls({ plan: { ...PLAN, serverName: '127.0.0.1' } }));
  assert.deepEqual(upstream.serverNames, ['web.test', false]);
});

test("ALPN: what was agreed on is reported; the choice is the upstream's", async () => {
  const both = ['h2', 'http/1.1'];
  const rows: [rule: string, offer: string[], upstream: string[], want: string | RegExp][] = [
    ['both know both', both, both, 'h2'],
    ['the upstream likes HTTP/1.1 better', both, ['http/1.1', 'h2'], 'http/1.1'],
    ['the upstream has HTTP/1.1 alone', both, ['http/1.1'], 'http/1.1'],
    ['HTTP/1.1 is offered alone', ['http/1.1'], both, 'http/1.1'],
    ['nothing in common', ['h2'], ['http/1.1'], /^up:1 refused the TLS handshake: no application protocol$/],
  ];
  for (const [rule, alpn, ALPNProtocols, want] of rows) {
    using upstream = await new Upstream(web, { ALPNProtocols }).listen();
    const result = await connect(upstream.port, upstreamTls({ alpn }));
    if (typeof want === 'string') assert.deepEqual(result, { ...HELLO, protocol: want }, rule);
    else assert.match(failed(result), want, rule);
  }
});

test('our own certificate is shown to those who ask', async () => {
  const asks = { requestCert: true, rejectUnauthorized: true, ca: root.leafPem };
  using upstream = await new Upstream(web, asks).listen();
  assert.deepEqual(await connect(upstream.port, upstreamTls({ clientCertificate: () => client })), {
    said: 'hello',
    reused: false,
    protocol: '',
  });
  assert.match(failed(await connect(upstream.port, upstreamTls())), /^later: .*certificate required/);
  using old = await new Upstream(web, { ...asks, maxVersion: 'TLSv1.2' }).listen();
  assert.match(failed(await connect(old.port, upstreamTls())), /^up:1 refused the TLS handshake: handshake failure$/);
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion} sessions resume, and only where they were begun`, async () => {
    using upstream = await new Upstream(web, { maxVersion }).listen();
    const mine = upstreamTls();
    assert.deepEqual(await connect(upstream.port, mine), HELLO);
    assert.deepEqual(await connect(upstream.port, mine), { ...HELLO, reused: true });
    assert.deepEqual(await connect(upstream.port, upstreamTls()), HELLO);
  });
}

test('an upstream without TLS, one that hangs up, and one that is too old', async () => {
  for (const [reply, want] of [
    ['HTTP/1.1 400 Bad Request\r\n\r\n', /^up:1 does not speak TLS$/],
    ['', /^up:1 closed the connection during the TLS handshake$/],
  ] as const) {
    const plain = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(reply));
    });
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    assert.match(failed(await connect((plain.address() as net.AddressInfo).port, upstreamTls())), want);
    plain.close();
  }
  using old = await new Upstream(web, {
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  }).listen();
  assert.match(failed(await connect(old.port, upstreamTls())), /^up:1 refused the TLS handshake: protocol version$/);
});

test('whoever gives up closes the socket, and hears of it once', async () => {
  const silent = net.createServer((socket) => void socket.resume().on('error', () => undefined));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const raw = net.connect((silent.address() as net.AddressInfo).port, '127.0.0.1');
  await once(raw, 'connect');
  const failures: string[] = [];
  await new Promise<void>((resolve) => {
    upstreamTls().secure(raw, 'up:1', {
      onSecure: () => assert.fail('secure'),
      onFailed: (why) => {
        failures.push(why);
        resolve();
      },
    });
    raw.destroy();
  });
  assert.deepEqual(failures, ['up:1 closed the connection during the TLS handshake']);
  silent.close();
});

test('contexts are shared by what they hold', () => {
  const system = { ...PLAN, cas: [] };
  const a = contexts.get(PLAN, undefined);
  assert.equal(contexts.get({ ...PLAN }, undefined), a);
  assert.notEqual(contexts.get(PLAN, client), a);
  assert.notEqual(contexts.get({ ...PLAN, policy: { ...PLAIN_TLS, versionMin: 'TLSv1.3' } }, undefined), a);
  assert.equal(contexts.get(system, undefined), contexts.get(system, undefined));
});

test('versions, cipher suites and groups are those of the plan', async () => {
  const rows: [rule: string, policy: Partial<TlsPolicy>, upstream: tls.TlsOptions, want: RegExp][] = [
    ['the newest version', { versionMax: 'TLSv1.2' }, {}, /^TLSv1.2 /],
    [
      'the oldest version',
      { versionMin: 'TLSv1.3' },
      { maxVersion: 'TLSv1.2' },
      /protocol version|UNSUPPORTED_PROTOCOL/,
    ],
    ['suites of TLS 1.3', { ciphers: 'TLS_AES_128_GCM_SHA256' }, {}, / TLS_AES_128_GCM_SHA256$/],
    [
      'suites of TLS 1.2',
      { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' },
      { maxVersion: 'TLSv1.2' },
      /^TLSv1.2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256$/,
    ],
    ['a group that both have', { curves: 'P-384' }, { ecdhCurve: 'P-256:P-384' }, /^TLSv1.3 /],
    ['no group in common', { curves: 'P-384' }, { ecdhCurve: 'P-256' }, /refused the TLS handshake: handshake failure/],
  ];
  for (const [rule, policy, options, want] of rows) {
    using upstream = await new Upstream(web, options).listen();
    const mine = upstreamTls({ plan: { ...PLAN, policy: { ...PLAIN_TLS, ...policy } } });
    const result = await connect(upstream.port, mine);
    assert.match(typeof result === 'string' ? result : upstream.spoken.at(-1)!, want, rule);
  }
});
