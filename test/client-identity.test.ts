/** The identity of a verified client on its way upstream, and every way we know to forge one. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { startGateway, type TestGateway } from '../src/main/testing.ts';
import { type Certified, makeCertificate } from '../src/net/testing/certificates.ts';

const root = makeCertificate({ kind: 'ca', subject: 'Clients' });
const shop = makeCertificate({ hosts: ['*.test'] });
const CLIENTS = {
  verified: makeCertificate({ kind: 'client', subject: 'alice', uris: ['spiffe://shop/alice'], issuer: root }),
  stranger: makeCertificate({ kind: 'client', subject: 'alice', issuer: makeCertificate({ kind: 'ca' }) }),
  none: undefined,
} as const;
const fingerprint = (shown: Certified): string =>
  new X509Certificate(shown.leafPem).fingerprint256.replaceAll(':', '').toLowerCase();

/** Spellings of the three names that some server reads as one of them. */
const FORGED = [
  'Client-Cert',
  'client-cert',
  'CLIENT-CERT',
  'Client_Cert',
  'Client-Cert-Chain',
  'client_cert-chain',
  'X-Forwarded-Client-Cert',
  'x-forwarded-client-cert',
  'X_FORWARDED_CLIENT_CERT',
  'x-forwarded_client-cert',
];
const isIdentity = (name: string): boolean =>
  /^(?:client-cert(?:-chain)?|x-forwarded-client-cert)$/.test(name.toLowerCase().replaceAll('_', '-'));

/** `name: value` of what the upstream was told, trailers included. */
let told: string[] = [];
let otherTrailers: string[] = [];
const lines: string[] = [];
let heard = (): void => undefined;
let sent = 0;
let origin: http.Server;
let gateway: TestGateway;

before(async () => {
  origin = http.createServer((request, response) => {
    request.resume().on('end', () => {
      const pairs = (raw: string[]): string[][] => raw.flatMap((_, i) => (i % 2 === 0 ? [raw.slice(i, i + 2)] : []));
      const all = [...pairs(request.rawHeaders), ...pairs(request.rawTrailers)];
      told = all.filter(([name]) => isIdentity(name!)).map((pair) => pair.join(': '));
      otherTrailers = pairs(request.rawTrailers).map((pair) => pair.join(': '));
      response.end('ok');
    });
  });
  await once(origin.listen(0, '127.0.0.1'), 'listening');
  gateway = await startGateway({
    config: manifests((origin.address() as AddressInfo).port),
    onAccessLog: (line) => {
      lines.push(line);
      heard();
    },
  });
});

after(async () => {
  await gateway.close();
  origin.closeAllConnections();
  origin.close();
});

const HOSTS = ['none', 'cc', 'xfcc', 'trusted'] as const;

function manifests(originPort: number): string {
  const meta = (name: string): object => ({ name, namespace: 'default' });
  const listener = (host: string): object => ({
    name: host,
    port: 8443,
    protocol: 'HTTPS',
    hostname: `${host}.test`,
    tls: { certificateRefs: [{ name: 'shop' }] },
  });
  const policy = (host: string, settings: object): object => ({
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Policy',
    metadata: meta(host),
    spec: { targetRefs: [{ kind: 'Gateway', name: 'edge', sectionName: host }], listener: settings },
  });
  const validation = {
    caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }],
    mode: 'AllowInsecureFallback',
  };
  const API = 'gateway.networking.k8s.io/v1';
  return [
    {
      apiVersion: API,
      kind: 'Gateway',
      metadata: meta('edge'),
      spec: {
        gatewayClassName: 'fourways',
        listeners: [{ name: 'clear', port: 8080, protocol: 'HTTP' }, ...HOSTS.map(listener)],
        tls: { frontend: { default: { validation } } },
      },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta('ca'), data: { 'ca.crt': root.leafPem } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: meta('shop'),
      stringData: { 'tls.crt': shop.certificatePem, 'tls.key': shop.privateKeyPem },
    },
    policy('clear', { clientCertificate: 'xfcc' }),
    policy('cc', { clientCertificate: 'client-cert' }),
    policy('xfcc', { clientCertificate: 'xfcc' }),
    policy('trusted', { clientCertificate: 'client-cert', trustedHops: { count: 1 } }),
    {
      apiVersion: 'fourways.io/v1alpha1',
      kind: 'Backend',
      metadata: meta('origin'),
      spec: { endpoints: [{ address: '127.0.0.1', port: originPort }] },
    },
    {
      apiVersion: API,
      kind: 'HTTPRoute',
      metadata: meta('all'),
      spec: {
        parentRefs: [{ name: 'edge' }],
        rules: [{ backendRefs: [{ group: 'fourways.io', kind: 'Backend', name: 'origin' }] }],
      },
    },
  ]
    .map((manifest) => JSON.stringify(manifest))
    .join('\n---\n');
}

/** One request with these lines, and in its trailers the same once more. Resolves with its path, which no other has. */
async function send(
  host: (typeof HOSTS)[number] | 'clear',
  shown: Certified | undefined,
  fields: string[],
): Promise<string> {
  const path = `/${++sent}`;
  const { hostname, port } = new URL(gateway.url(host === 'clear' ? 8080 : 8443));
  const options = { host: hostname, port: Number(port) };
  const identity = shown === undefined ? {} : { cert: shown.certificatePem, key: shown.privateKeyPem };
  const socket =
    host === 'clear'
      ? net.connect(options)
      : tls.connect({ ...options, servername: `${host}.test`, rejectUnauthorized: false, ...identity });
  const head = [
    `POST ${path} HTTP/1.1`,
    `Host: ${host}.test`,
    'Transfer-Encoding: chunked',
    ...fields,
    'Connection: close',
  ];
  socket.write(
    `${head.join('\r\n')}\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n${fields.map((line) => `${line}\r\n`).join('')}\r\n`,
  );
  let answer = '';
  for await (const bytes of socket) answer += String(bytes);
  assert.match(answer, /^HTTP\/1\.1 200 /);
  return path;
}

const FIELDS = FORGED.map((name) => `${name}: forged`);
/** Nominated fields end at this hop: that must not take ours out either (RFC 9110 section 7.6.1). */
const NOMINATED = [...FIELDS, 'Connection: client-cert, x-forwarded-client-cert, client-cert-chain'];

for (const fields of [FIELDS, NOMINATED]) {
  for (const host of ['clear', 'none', 'cc', 'xfcc'] as const) {
    for (const [who, shown] of Object.entries(CLIENTS)) {
      test(`client ${who} at listener ${host} cannot forge${fields === NOMINATED ? ', nominating too' : ''}`, async () => {
        await send(host, shown, fields);
        assert.deepEqual(otherTrailers, ['X-Sum: 1'], 'trailers arrive, and these alone');
        if (who !== 'verified' || host === 'clear' || host === 'none') return assert.deepEqual(told, []);
        assert.equal(told.length, 1);
        const [name, value] = told[0]!.split(': ');
        if (host === 'cc') {
          assert.equal(name, 'client-cert');
          assert.deepEqual(Buffer.from(value!.slice(1, -1), 'base64'), new X509Certificate(shown!.leafPem).raw);
        } else {
          assert.equal(name, 'x-forwarded-client-cert');
          assert.equal(value, `Hash=${fingerprint(shown!)};Subject="CN=alice";URI=spiffe://shop/alice`);
        }
        return undefined;
      });
    }
  }
}

for (const host of ['none', 'cc', 'xfcc'] as const) {
  test(`client verified at listener ${host} cannot forge over HTTP/2`, async () => {
    const { certificatePem: cert, privateKeyPem: key } = CLIENTS.verified;
    const url = gateway.url(8443).replace('http:', 'https:');
    const session = http2.connect(url, { servername: `${host}.test`, rejectUnauthorized: false, cert, key });
    const forged = Object.fromEntries(FORGED.map((name) => [name.toLowerCase(), 'forged']));
    const head = { ':method': 'POST', ':path': '/', ':authority': `${host}.test`, ...forged };
    const stream = session.request(head, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1', ...forged }));
    stream.end('hi');
    const [{ ':status': status }] = (await once(stream, 'response')) as [{ ':status': number }];
    session.destroy();
    assert.equal(status, 200);
    assert.deepEqual(otherTrailers, ['x-sum: 1']);
    const want = { none: /^$/, cc: /^client-cert: :[^ ]+:$/, xfcc: /^x-forwarded-client-cert: Hash=[^ ]+$/ }[host];
    assert.match(told.join(' & '), want);
  });
}

test('a proxy of ours speaks for its client, whatever certificate it has itself', async () => {
  const said = ['Client-Cert: :YQ==:', 'X-Forwarded-Client-Cert: Hash=a'];
  for (const shown of Object.values(CLIENTS)) {
    await send('trusted', shown, [...said, 'Client_Cert: forged']);
    assert.deepEqual(told, said);
    await send('trusted', shown, []);
    assert.deepEqual(told, [], 'nothing was said');
  }
});

test('one connection for several requests: each is marked', async () => {
  const { hostname, port } = new URL(gateway.url(8443));
  const { certificatePem: cert, privateKeyPem: key } = CLIENTS.verified;
  const agent = { host: hostname, port: Number(port), servername: 'xfcc.test', rejectUnauthorized: false, cert, key };
  const socket = tls.connect(agent);
  for (const forged of ['', 'X-Forwarded-Client-Cert: Hash=0\r\n', '']) {
    socket.write(`GET / HTTP/1.1\r\nHost: xfcc.test\r\n${forged}\r\n`);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    assert.match(String(bytes), /^HTTP\/1\.1 200 /);
    assert.deepEqual(
      told.map((line) => line.slice(0, 'x-forwarded-client-cert: Hash='.length + 64)),
      [`x-forwarded-client-cert: Hash=${fingerprint(CLIENTS.verified)}`],
    );
  }
  socket.destroy();
});

test('the access log names the verified client, and nobody else', async () => {
  const paths = [await send('cc', CLIENTS.verified, []), await send('cc', CLIENTS.stranger, [])];
  const found = (): { path: string; client_cert?: unknown }[] =>
    lines.map((line) => JSON.parse(line) as { path: string }).filter(({ path }) => paths.includes(path));
  while (found().length < 2) await new Promise<void>((resolve) => (heard = resolve));
  const [first, second] = found().map((line) => line.client_cert);
  const san = ['spiffe://shop/alice'];
  assert.deepEqual(first, { subject: 'CN=alice', san, fingerprint: fingerprint(CLIENTS.verified) });
  assert.equal(second, undefined);
});
