/** What becomes of a connection before anything is read of it: by server name, and with the PROXY protocol in front. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import { Duplex } from 'node:stream';
import test from 'node:test';
import tls from 'node:tls';
import type { PlanDelta, PlanListener, PlanPort } from '../ir/plan.ts';
import { hashSecret } from '../ir/version.ts';
import { readProxyHeader, writeProxyHeader } from '../net/proxy-protocol.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { PLAIN_TLS, root } from '../net/testing/tls-port.ts';
import { Harness, LISTENER, routeOf, ruleTo } from './testing/node-harness.ts';
import { connect, listen, readAll, streamCluster, streamTo, TCP_LISTENER } from './testing/streams.ts';

/** Ended without a word: by FIN or, where bytes were left unread, by RST. */
const CLOSED = /^(?:ECONNRESET)?$/;

const inside = makeCertificate({ hosts: ['*.pass.test'], issuer: root });
const here = makeCertificate({ hosts: ['end.test', 'web.test'], issuer: root });
const certificates = [{ secret: 's', hash: hashSecret(here) }];

const on = (hostname: string, more: Partial<PlanListener>): PlanListener => ({ ...LISTENER, hostname, ...more });
const PASS = on('*.pass.test', { stream: { kind: 'tls' } });
const END = on('end.test', { stream: { kind: 'tls' }, tls: { ...PLAIN_TLS, certificates } });
const WEB = on('web.test', { tls: { ...PLAIN_TLS, certificates } });

/** A port with three ways of TLS on it: passed on, ended and passed on, ended for HTTP. */
async function mixed(
  { sealed, plain }: { readonly sealed: number; readonly plain: number },
  port: Partial<PlanPort> = {},
): Promise<Harness> {
  const harness = new Harness();
  const set: Partial<PlanDelta['set']> = {
    listeners: { pass: PASS, end: END, web: WEB },
    routes: {
      web: {
        ...routeOf(ruleTo({ backends: [{ target: { kind: 'cluster', cluster: 'web' }, weight: 1, filters: [] }] })),
        attach: [{ listener: 'web', hosts: ['web.test'] }],
      },
    },
    streams: {
      pass: streamTo('sealed', { attach: [{ listener: 'pass', hosts: ['a.pass.test'] }] }),
      end: streamTo('plain', { attach: [{ listener: 'end', hosts: ['end.test'] }] }),
    },
    clusters: {
      sealed: streamCluster([sealed], { stream: 'tls' }),
      plain: streamCluster([plain]),
      web: { ...streamCluster([plain]), stream: undefined } as never,
    },
    secrets: { s: here },
  };
  await harness.start(set, { protocol: 'tls', ...port });
  return harness;
}

interface Asked {
  readonly client?: { readonly certificatePem: string; readonly privateKeyPem: string };
  readonly port: number;
  readonly servername: string;
  readonly preface?: Buffer;
  readonly alpn?: readonly string[];
}

/** What a TLS client hears: the certificate's names and what comes back, or why it was refused. */
async function ask({ port, servername, preface, alpn = [], client }: Asked, text: string): Promise<string> {
  const socket = connect(port);
  if (preface !== undefined) socket.write(preface);
  const secured = tls.connect({
    socket,
    servername,
    ca: root.certificatePem,
    ALPNProtocols: [...alpn],
    ...(client === undefined ? {} : { cert: client.certificatePem, key: client.privateKeyPem }),
  });
  return new Promise((resolve) => {
    let got = '';
    secured.on('secureConnect', () => {
      got = `${secured.getPeerX509Certificate()!.subjectAltName!} | `;
      secured.write(text);
    });
    secured.on('data', (bytes: Buffer) => (got += bytes.toString()));
    secured.on('end', () => {
      secured.end();
      resolve(got);
    });
    secured.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** Answers one piece with its name and the first line of it. */
const say = (name: string) => (socket: net.Socket) =>
  socket.once('data', (bytes) => {
    const [line] = String(bytes).split('\r\n');
    socket.end(
      line!.startsWith('GET')
        ? 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nweb'
        : `${name} ${line}`,
    );
  });

async function sealedServer(): Promise<AsyncDisposable & { readonly port: number }> {
  const context = tls.createSecureContext({ cert: inside.certificatePem, key: inside.privateKeyPem });
  return listen((socket) => {
    const secured = new tls.TLSSocket(socket, { isServer: true, secureContext: context });
    secured.on('error', () => undefined);
    secured.once('data', (bytes) => secured.end(`sealed ${String(bytes)}`));
  });
}

test('one TLS port passes on, ends, and serves HTTPS, by server name', async () => {
  await using sealed = await sealedServer();
  await using plain = await listen(say('plain'));
  await using harness = await mixed({ sealed: sealed.port, plain: plain.port });
  const { port } = harness;
  const rows: readonly (readonly [rule: string, asked: Omit<Asked, 'port'>, text: string, want: string | RegExp])[] = [
    ['passed on unread', { servername: 'a.pass.test' }, 'hi', 'DNS:*.pass.test | sealed hi'],
    ['passed on with ALPN of any kind', { servername: 'a.pass.test', alpn: ['acme/1'] }, 'hi', /sealed hi/],
    ['ended here, plain behind', { servername: 'end.test' }, 'hi', 'DNS:end.test, DNS:web.test | plain hi'],
    ['ended here, whatever ALPN the client offers', { servername: 'end.test', alpn: ['mqtt'] }, 'hi', /plain hi/],
    ['HTTPS', { servername: 'web.test' }, 'GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n', /200 OK/],
    ['a listener without a route for the name: closed without a word', { servername: 'b.pass.test' }, '', CLOSED],
    [
      'no listener for the name: an alert, for somebody ends TLS here',
      { servername: 'x.test' },
      '',
      /UNRECOGNIZED_NAME/,
    ],
  ];
  for (const [rule, asked, text, want] of rows) {
    const got = await ask({ port, ...asked }, text);
    if (typeof want === 'string') assert.equal(got, want, rule);
    else assert.match(got, want, rule);
  }
  const lines = harness.lines().filter((line) => line['protocol'] === 'tls');
  assert.deepEqual(
    lines.map((line) => line['server_name']),
    ['a.pass.test', 'a.pass.test', 'end.test', 'end.test'],
  );
});

test('a ClientHello that comes byte by byte is passed on as it came', async () => {
  await using sealed = await sealedServer();
  await using plain = await listen(say('plain'));
  await using harness = await mixed({ sealed: sealed.port, plain: plain.port });
  const socket = connect(harness.port);
  const pieces = new Duplex({
    read: () => undefined,
    write(bytes: Buffer, _, done) {
      for (const byte of bytes) socket.write(Buffer.from([byte]));
      done();
    },
  });
  socket.setNoDelay(true);
  socket.on('data', (bytes) => pieces.push(bytes));
  const secured = tls.connect({ socket: pieces, servername: 'a.pass.test', ca: root.certificatePem });
  secured.on('secureConnect', () => secured.write('slowly'));
  const [bytes] = (await once(secured, 'data')) as [Buffer];
  assert.equal(String(bytes), 'sealed slowly');
  socket.destroy();
});

const SAID = writeProxyHeader(
  {
    source: { ip: '192.0.2.7', port: 4_711 },
    destination: { ip: '192.0.2.1', port: 443 },
    alpn: '',
    authority: '',
    uniqueId: undefined,
    tls: undefined,
  },
  'v2',
);

test('the PROXY protocol in front of TLS that is passed on, ended, and of HTTPS', async () => {
  await using sealed = await sealedServer();
  await using plain = await listen(say('plain'));
  const proxyProtocol = { mode: 'required', trustedPeers: ['127.0.0.0/8'] } as const;
  await using harness = await mixed({ sealed: sealed.port, plain: plain.port }, { proxyProtocol });
  const { port } = harness;
  const web = 'GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n';
  assert.match(await ask({ port, servername: 'a.pass.test', preface: SAID }, 'hi'), /sealed hi/);
  assert.match(await ask({ port, servername: 'end.test', preface: SAID }, 'hi'), /plain hi/);
  assert.match(await ask({ port, servername: 'web.test', preface: SAID }, web), /200 OK/);
  const lines = harness.lines();
  assert.deepEqual(
    lines.map((line) => line['client_ip']),
    ['192.0.2.7', '192.0.2.7', '192.0.2.7'],
  );
  assert.deepEqual(
    lines.map((line) => line['proxy_ip']),
    ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
  );
});

test('a header that may come in front of TLS, and does not', async () => {
  await using sealed = await sealedServer();
  await using plain = await listen(say('plain'));
  const proxyProtocol = { mode: 'optional', trustedPeers: ['127.0.0.0/8'] } as const;
  await using harness = await mixed({ sealed: sealed.port, plain: plain.port }, { proxyProtocol });
  const { port } = harness;
  assert.match(await ask({ port, servername: 'a.pass.test' }, 'hi'), /sealed hi/);
  assert.match(await ask({ port, servername: 'end.test' }, 'hi'), /plain hi/);
  assert.match(await ask({ port, servername: 'end.test', preface: SAID }, 'hi'), /plain hi/);
});

type Row = readonly [
  rule: string,
  plan: NonNullable<PlanPort['proxyProtocol']>,
  bytes: Buffer | string,
  want: string | RegExp,
];

const TRUSTED = { mode: 'required', trustedPeers: ['127.0.0.1'] } as const;
const OPTIONAL = { mode: 'optional', trustedPeers: ['127.0.0.1'] } as const;
const STRANGER = { mode: 'optional', trustedPeers: ['10.0.0.0/8'] } as const;

const ROWS: readonly Row[] = [
  ['version 1', TRUSTED, 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\nhello', 'up hello from 192.0.2.7'],
  ['version 2', TRUSTED, Buffer.concat([SAID, Buffer.from('hello')]), 'up hello from 192.0.2.7'],
  ['a health check of the proxy in front', TRUSTED, 'PROXY UNKNOWN\r\nhello', 'up hello from 127.0.0.1'],
  ['none where one is required', TRUSTED, 'hello', CLOSED],
  ['none where one may come', OPTIONAL, 'hello', 'up hello from 127.0.0.1'],
  ['one that may come', OPTIONAL, 'PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\nhello', 'up hello from 192.0.2.7'],
  ['one of a stranger', STRANGER, 'PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\nhello', CLOSED],
  ['none of a stranger', STRANGER, 'hello', 'up hello from 127.0.0.1'],
  ['one with a mistake', TRUSTED, 'PROXY TCP4 192.0.2.7 192.0.2.1 1 99999\r\nhello', CLOSED],
  ['the longest word that is none', TRUSTED, `PROXY ${'x'.repeat(200)}`, CLOSED],
];

test('the PROXY protocol in front of TCP, and of HTTP', async () => {
  await using upstream = await listen((socket) => {
    let got = '';
    socket.on('data', (bytes) => {
      got += bytes.toString();
      if (got.includes('hello')) socket.end('up hello');
      else if (got.includes('\r\n\r\n')) {
        const from = /^x-forwarded-for: (.*)\r$/im.exec(got)?.[1] ?? '';
        const text = `up hello from ${from}`;
        socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`);
      }
    });
  });
  for (const [rule, proxyProtocol, bytes, want] of ROWS) {
    await using harness = new Harness();
    await harness.start(
      {
        listeners: { l: TCP_LISTENER },
        streams: { s: streamTo('c') },
        clusters: { c: streamCluster([upstream.port]) },
      },
      { protocol: 'tcp', proxyProtocol },
    );
    const client = connect(harness.port);
    client.write(bytes);
    const got = await readAll(client);
    client.end();
    if (typeof want !== 'string') assert.match(got, want, `TCP: ${rule}`);
    else {
      while (harness.lines().length === 0) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(`${got} from ${String(harness.lines()[0]!['client_ip'])}`, want, `TCP: ${rule}`);
    }

    await using web = new Harness();
    const clusters = { c: { ...streamCluster([upstream.port]), stream: undefined } as never };
    await web.start({ routes: { r: routeOf(ruleTo()) }, clusters }, { proxyProtocol });
    const asking = connect(web.port);
    const request = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
    asking.write(Buffer.from(String(Buffer.from(bytes).toString('latin1')).replace('hello', request), 'latin1'));
    const answer = await readAll(asking);
    asking.end();
    if (typeof want === 'string') assert.ok(answer.endsWith(want), `HTTP: ${rule}: ${answer}`);
    else assert.match(answer, want, `HTTP: ${rule}`);
  }
});

test('a header that does not come in time, or in pieces', async () => {
  await using upstream = await listen((socket) => socket.end('up'));
  await using harness = new Harness();
  const timeouts = { headMs: 150 } as PlanPort['timeouts'];
  const set = {
    listeners: { l: TCP_LISTENER },
    streams: { s: streamTo('c') },
    clusters: { c: streamCluster([upstream.port]) },
  };
  await harness.start(set, { protocol: 'tcp', proxyProtocol: TRUSTED, timeouts });
  const silent = connect(harness.port);
  silent.write('PROXY TCP4 ');
  assert.match(await readAll(silent), CLOSED);
  silent.destroy();
  const slow = connect(harness.port);
  slow.setNoDelay(true);
  for (const byte of SAID) {
    slow.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await readAll(slow), 'up');
  slow.end();
});

test('the PROXY protocol tells an upstream who a client of TLS is, and whether that was verified', async () => {
  const client = makeCertificate({ subject: 'worker', issuer: root, kind: 'client' });
  const ROWS = [
    ['a verified client', client, { commonName: 'worker', verified: true }],
    ['a client without a certificate', undefined, { commonName: '', verified: false }],
  ] as const;
  for (const [rule, certificate, want] of ROWS) {
    const heard = Promise.withResolvers<Buffer>();
    await using upstream = await listen((socket) =>
      socket.once('data', (bytes) => {
        heard.resolve(Buffer.from(bytes));
        socket.end('bye');
      }),
    );
    await using harness = new Harness();
    const listeners = { end: END };
    const streams = { end: streamTo('plain', { attach: [{ listener: 'end', hosts: ['end.test'] }] }) };
    const clusters = { plain: streamCluster([upstream.port], { proxyProtocol: 'v2' }) };
    const clientValidation = { cas: [root.certificatePem], mode: 'optional' } as const;
    await harness.start({ listeners, streams, clusters, secrets: { s: here } }, { protocol: 'tls', clientValidation });
    const asked = { port: harness.port, servername: 'end.test' };
    await ask(certificate === undefined ? asked : { ...asked, client: certificate }, 'hi');
    const read = readProxyHeader(await heard.promise);
    assert.ok(read.kind === 'header', rule);
    const { commonName, verified, version } = read.header.tls!;
    assert.deepEqual({ commonName, verified }, want, rule);
    assert.equal(version, 'TLSv1.3');
  }
});

test('port-intake: a drain takes what the kernel has queued, waits for handshakes, and serves what they bring', async () => {
  await using web = await listen(say('web'));
  await using proxy = await mixed({ sealed: web.port, plain: web.port });
  const socket = connect(proxy.port);
  await once(socket, 'connect');
  const drained = proxy.node.drain(5_000);
  const secured = tls.connect({ socket, servername: 'web.test', ca: root.certificatePem });
  await once(secured, 'secureConnect');
  secured.write('GET / HTTP/1.1\r\nHost: web.test\r\n\r\n');
  const [bytes] = (await once(secured, 'data')) as [Buffer];
  assert.match(bytes.toString(), /^HTTP\/1\.1 200 OK\r\n[^]*connection: close[^]*web$/i);
  secured.end();
  await drained;
});

test('port-intake: a drain takes all that the kernel has queued', async () => {
  const asked = 40;
  await using web = await listen(say('web'));
  await using proxy = await mixed({ sealed: web.port, plain: web.port });
  const sockets = Array.from({ length: asked }, () => connect(proxy.port));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const drained = proxy.node.drain(20_000);
  const answers = sockets.map(async (socket) => {
    const secured = tls.connect({ socket, servername: 'web.test', ca: root.certificatePem });
    // Not its end: one that comes late after a request is of a client that went away.
    secured.write('GET / HTTP/1.1\r\nHost: web.test\r\n\r\n');
    const [bytes] = (await Promise.race([once(secured, 'data'), once(secured, 'close')])) as [Buffer | boolean];
    secured.end();
    return typeof bytes === 'boolean' ? 'closed' : bytes.toString('latin1', 0, 15);
  });
  assert.deepEqual(await Promise.all(answers), Array(asked).fill('HTTP/1.1 200 OK'));
  await drained;
});
