/** Our own certificate for upstreams: shown, replaced, turned down. For every version of HTTP. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type tls from 'node:tls';
import { startGateway, type TestGateway } from '../src/main/testing.ts';
import { type Certified, makeCertificate } from '../src/net/testing/certificates.ts';

const root = makeCertificate({ kind: 'ca', subject: 'Clients' });
const web = makeCertificate({ hosts: ['web.test'] });
const one = makeCertificate({ kind: 'client', subject: 'one', issuer: root });
const two = makeCertificate({ kind: 'client', subject: 'two', issuer: root });
const stranger = makeCertificate({ kind: 'client', subject: 'stranger', issuer: makeCertificate({ kind: 'ca' }) });

type Version = 'http1' | 'h2';
const VERSIONS: readonly Version[] = ['http1', 'h2'];

/** Answers with the name of the certificate that it was shown; lets nobody in who shows none. */
class Upstream implements AsyncDisposable {
  readonly server: tls.Server;
  readonly sockets: tls.TLSSocket[] = [];

  constructor(version: Version) {
    const options = {
      cert: web.certificatePem,
      key: web.privateKeyPem,
      ca: root.leafPem,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    } as const;
    const nameOf = (socket: unknown): string => String((socket as tls.TLSSocket).getPeerCertificate().subject.CN);
    this.server =
      version === 'http1'
        ? https.createServer(options, (request, response) => response.end(nameOf(request.socket)))
        : http2.createSecureServer(options, (request, response) => {
            response.end(nameOf(request.stream.session!.socket));
          });
    this.server.on('secureConnection', (socket) => this.sockets.push(socket));
    this.server.on('tlsClientError', () => undefined);
  }

  async listen(): Promise<number> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

interface Wish {
  readonly version: Version;
  readonly port: number;
  readonly certificate: Certified | undefined;
}

function manifests({ version, port, certificate }: Wish): string {
  const meta = (name: string): object => ({ name, namespace: 'default' });
  const secret = (pair: Certified): object => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: meta('own'),
    stringData: { 'tls.crt': pair.certificatePem, 'tls.key': pair.privateKeyPem },
  });
  const own = certificate === undefined ? {} : { clientCertificateRef: { name: 'own' } };
  return [
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: meta('edge'),
      spec: { gatewayClassName: 'fourways', listeners: [{ name: 'http', port: 8080, protocol: 'HTTP' }] },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta('ca'), data: { 'ca.crt': web.leafPem } },
    ...(certificate === undefined ? [] : [secret(certificate)]),
    {
      apiVersion: 'fourways.io/v1alpha1',
      kind: 'Backend',
      metadata: meta('web'),
      spec: {
        endpoints: [{ address: '127.0.0.1', port }],
        protocol: version,
        tls: { serverName: 'web.test', caCertificateRefs: [{ name: 'ca' }], ...own },
      },
    },
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: meta('web'),
      spec: {
        parentRefs: [{ name: 'edge' }],
        rules: [{ backendRefs: [{ group: 'fourways.io', kind: 'Backend', name: 'web' }] }],
      },
    },
  ]
    .map((manifest) => JSON.stringify(manifest))
    .join('\n---\n');
}

for (const version of VERSIONS) {
  test(`${version}: our certificate is shown; another Secret is shown on new connections, and old ones go`, async () => {
    await using upstream = new Upstream(version);
    const port = await upstream.listen();
    await using gateway: TestGateway = await startGateway({ config: manifests({ version, port, certificate: one }) });
    assert.equal((await gateway.request('/')).body, 'one');
    assert.equal((await gateway.request('/')).body, 'one');
    assert.equal(upstream.sockets.length, 1, 'the connection is kept');
    const gone = once(upstream.sockets[0]!, 'close');
    await gateway.change(manifests({ version, port, certificate: two }));
    assert.equal((await gateway.request('/')).body, 'two');
    await gone;
    assert.equal(upstream.sockets.length, 2);
  });

  test(`${version}: that we have no certificate is told from a lost connection`, async () => {
    await using upstream = new Upstream(version);
    const line = await refused({ version, port: await upstream.listen(), certificate: undefined });
    assert.match(line, /^127\.0\.0\.1:\d+ refused us, who have no certificate: certificate required$/);
  });
}

test('that our certificate is of an unknown issuer is told from a lost connection', { timeout: 20_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-upstream-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const trust = ['-CAfile', file('ca.pem', root.leafPem), '-Verify', '1', '-verify_return_error', '-tls1_3'];
  const own = ['-cert', file('web.pem', web.certificatePem), '-key', file('web.key', web.privateKeyPem)];
  const server = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', '-www', ...own, ...trust]);
  try {
    let said = '';
    let port: string | undefined;
    while (port === undefined) {
      said += String((await once(server.stdout, 'data'))[0]);
      port = /^ACCEPT .*:(\d+)\n/m.exec(said)?.[1];
    }
    const line = await refused({ version: 'http1', port: Number(port), certificate: stranger });
    assert.match(line, /^127\.0\.0\.1:\d+ refused our certificate: unknown ca$/);
  } finally {
    server.kill();
    rmSync(dir, { recursive: true });
  }
});

/** The detail of the log line. */
async function refused(wish: Wish): Promise<string> {
  const { promise: line, resolve } = Promise.withResolvers<string>();
  await using gateway = await startGateway({ config: manifests(wish), onAccessLog: resolve });
  const answer = await gateway.request('/');
  assert.match(answer.body, /upstream\.tls-failed/);
  assert.equal(answer.status, 502);
  const { fault, detail } = JSON.parse(await line) as { fault: string; detail: string };
  assert.equal(fault, 'upstream.tls-failed');
  return detail;
}
