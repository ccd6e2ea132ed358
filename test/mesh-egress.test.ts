/** Hosts outside of a mesh of real programs: called through the gateway that its Mesh names, those that its routes name. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { DOOR_HOST, Fourways, type FourwaysOptions, freePort } from './client/fourways.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-egress-'));
const caFile = join(dir, 'outside.pem');
const root = makeCertificate({ kind: 'ca', subject: 'Outside' });
const outsideCertificate = makeCertificate({ hosts: ['api.partner.test', 'code.partner.test'], issuer: root });

/** Says what it was asked, as a service somewhere on the Internet. */
const answer: http.RequestListener = ({ url, headers }, response) =>
  void response.end(JSON.stringify({ url, host: headers.host, fields: Object.keys(headers) }));
const secure = https.createServer(
  { cert: outsideCertificate.certificatePem, key: outsideCertificate.privateKeyPem },
  answer,
);
const plain = http.createServer(answer);

const WEB = 'spiffe://cluster.local/ns/shop/sa/web';
const DESK = 'spiffe://cluster.local/ns/shop/sa/desk';

let ports: { readonly http: number; readonly tls: number };
let meshAt: string;
let control: Fourways;
let gateway: Fourways;
let web: Sidecar;
let desk: Sidecar;

before(async () => {
  for (const server of [secure, plain]) {
    server.listen(0, '127.0.0.1');
    // oxlint-disable-next-line no-await-in-loop -- there are two
    await once(server, 'listening');
  }
  writeFileSync(caFile, root.certificatePem);
  ports = { http: await freePort(DOOR_HOST), tls: await freePort(DOOR_HOST) };
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  const config = join(dir, 'mesh.yaml');
  writeFileSync(config, manifests());
  control = await Fourways.start({ command: 'control', config, mesh: meshAt, data: join(dir, 'data') });
  gateway = await Fourways.start(gatewayOptions(await tokenFor(control, 'egress.out')));
  web = await startSidecar('web.shop');
  desk = await startSidecar('desk.shop');
});

after(async () => {
  for (const sidecar of [web, desk]) await sidecar?.stop();
  for (const program of [gateway, control]) await program?.stop('SIGKILL');
  for (const server of [secure, plain]) server.close();
  rmSync(dir, { recursive: true, force: true });
});

/** @param token  absent for one that has a certificate */
function gatewayOptions(token?: string): FourwaysOptions {
  const tokenFile = join(dir, 'gateway.token');
  if (token !== undefined) writeFileSync(tokenFile, token, { mode: 0o600 });
  const joining = token === undefined ? [] : ['--token-file', tokenFile];
  const args = ['--name', 'out/egress', '--control', meshAt, ...joining];
  return { command: 'gateway', config: '', args, workers: 1, data: join(dir, 'gateway'), drain: '1s' };
}

async function startSidecar(service: string): Promise<Sidecar> {
  return Sidecar.start({ service, dir, control: meshAt, token: await tokenFor(control, service) });
}

function portOf(server: http.Server | https.Server): number {
  return (server.address() as AddressInfo).port;
}

function manifests(): string {
  const backend = (name: string, port: number, more = ''): string => `
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: ${name}, namespace: out }
spec: { endpoints: [{ address: 127.0.0.1, port: ${port} }]${more} }
---`;
  const route = (kind: 'HTTPRoute' | 'TLSRoute', name: string, listener: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: out }
spec:
  parentRefs: [{ name: egress, sectionName: ${listener} }]
  hostnames: [${name}.partner.test]
  rules: [{ backendRefs: [{ group: fourways.io, kind: Backend, name: ${name} }] }]
---`;
  const trust = ', tls: { serverName: api.partner.test, caCertificateRefs: [{ name: outside }] }';
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { egress: { gateway: { name: egress, namespace: out } } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: egress, namespace: out }
spec:
  gatewayClassName: fourways
  addresses: [{ value: ${DOOR_HOST} }]
  listeners:
    - { name: http, port: ${ports.http}, protocol: HTTP }
    - { name: tls, port: ${ports.tls}, protocol: TLS, tls: { mode: Passthrough } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: outside, namespace: out }
data: { ca.crt: ${JSON.stringify(root.certificatePem)} }
---${backend('api', portOf(secure), trust)}${backend('old', portOf(plain))}${backend('code', portOf(secure))}${route('HTTPRoute', 'api', 'http')}${route('HTTPRoute', 'old', 'http')}${route('TLSRoute', 'code', 'tls')}
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: who-api, namespace: out }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: api }]
  filters: { authorize: { rules: [{ workloads: ['${WEB}'] }] } }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: who-tls, namespace: out }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: egress, sectionName: tls }]
  filters: { authorize: { rules: [{ workloads: ['${DESK}'] }] } }
`;
}

const run = promisify(execFile);

/** @returns the body, and behind it the status of the answer and, of a tunnel, that to CONNECT */
async function curl(from: Sidecar, ...args: string[]): Promise<{ body: string; status: string; tunnel: string }> {
  const words = ['-sS', '-m', '20', '-w', '\n%{http_code} %{http_connect}', '-x', from.proxy, ...args];
  const { stdout } = await run('curl', words).catch((error: unknown) => error as { stdout: string });
  const [status = '', tunnel = ''] = stdout.slice(stdout.lastIndexOf('\n') + 1).split(' ');
  return { body: stdout.slice(0, stdout.lastIndexOf('\n')), status, tunnel };
}

function codeOf({ body }: { readonly body: string }): string {
  return (JSON.parse(body) as { code: string }).code;
}

/** Lines of the gateway's access log about a host. */
function logged(host: string): string[] {
  return gateway
    .output()
    .split('\n')
    .filter((line) => line.includes(host));
}

test('a host that is named is called in clear text: the gateway knows who calls, and does the TLS', async () => {
  const { status, body } = await curl(web, '-H', 'x-fourways-attempt: 2', 'http://api.partner.test/a?b');
  assert.equal(status, '200', body);
  const seen = JSON.parse(body) as { url: string; host: string; fields: string[] };
  assert.deepEqual([seen.url, seen.host], ['/a?b', 'api.partner.test']);
  // What proxies of a mesh tell each other is nobody else's business.
  assert.deepEqual(
    seen.fields.filter((name) => name.startsWith('x-fourways-')),
    [],
  );
  await gateway.until(() => logged('api.partner.test').some((line) => line.includes(WEB)), 'it says who called');

  // In clear text all the way, and at the port that the listener has.
  assert.match((await curl(desk, `http://old.partner.test:${ports.http}/`)).body, /"url":"\/"/);
});

test('TLS of the application stays its own from end to end', async () => {
  const { status, body, tunnel } = await curl(desk, '--cacert', caFile, 'https://code.partner.test/');
  assert.deepEqual([status, tunnel], ['200', '200'], body);
  assert.match(body, /"host":"code.partner.test"/);
  await gateway.until(() => logged('code.partner.test').some((line) => line.includes(DESK)), 'it says who called');
});

test('who may call a host is for policies at the gateway to say', async () => {
  const refused = await curl(desk, 'http://api.partner.test/');
  assert.deepEqual([refused.status, codeOf(refused)], ['403', 'authorize.denied']);
  await gateway.until(
    () => logged('api.partner.test').some((line) => line.includes(DESK) && line.includes('authorize.denied')),
    'it says who was refused',
  );

  // Of what is not read the connection is closed: it is not said why but in the log.
  const cut = await curl(web, '--cacert', caFile, 'https://code.partner.test/');
  assert.deepEqual([cut.status, cut.tunnel], ['000', '200']);
  await gateway.until(
    () => logged('code.partner.test').some((line) => line.includes(WEB) && line.includes('stream.denied')),
    'it says who was cut off',
  );
});

test('what no route names is refused beside the application, and asked of nobody', async () => {
  for (const url of ['http://api.other.test/', 'http://api.partner.test:8081/', 'http://x.api.partner.test/']) {
    const refused = await curl(web, url);
    assert.deepEqual([refused.status, codeOf(refused)], ['403', 'mesh.egress-denied'], url);
  }
  for (const url of ['https://api.other.test/', 'https://api.partner.test/', 'https://code.partner.test:444/']) {
    const refused = await curl(web, '--cacert', caFile, url);
    assert.deepEqual([refused.status, refused.tunnel], ['000', '403'], url);
  }
  const address = await curl(web, `http://127.0.0.1:${portOf(plain)}/`);
  assert.equal(codeOf(address), 'mesh.egress-denied');
  assert.deepEqual(logged('other.test'), []);
});

test('the list is edited while all of it runs', async () => {
  const config = join(dir, 'mesh.yaml');
  const status = async (): Promise<string> => (await curl(web, 'http://more.partner.test/')).status;
  assert.equal(await status(), '403');
  writeFileSync(config, manifests().replace('[old.partner.test]', '[old.partner.test, "*.partner.test"]'));
  await control.until(async () => (await status()) === '200', 'it may be called');
  // The closest name counts: this one is still read by nobody on its way.
  assert.equal((await curl(desk, '--cacert', caFile, 'https://code.partner.test/')).status, '200');
  writeFileSync(config, manifests());
  await control.until(async () => (await status()) === '403', 'it may not be called any more');
});

test('nobody but workloads gets through the gateway', async () => {
  const straight = await fetch(`http://${DOOR_HOST}:${ports.http}/`, { headers: { host: 'old.partner.test' } }).catch(
    () => 'cut off',
  );
  assert.equal(straight, 'cut off');
  for (const [port, servername] of [
    [ports.http, 'any-host'],
    [ports.tls, 'code.partner.test'],
  ] as const) {
    const socket = tls.connect({ host: DOOR_HOST, port, servername, rejectUnauthorized: false });
    // In TLS 1.3 the client hears of it with the first bytes that it reads.
    const [error] = (await once(socket, 'close', { signal: AbortSignal.timeout(20_000) }).then(
      () => [new Error('closed')],
      (why: unknown) => [why],
    )) as [NodeJS.ErrnoException];
    socket.destroy();
    assert.match(`${error.code} ${error.message}`, /CERTIFICATE_REQUIRED|closed|ECONNRESET|alert/i);
  }
  await gateway.until(() => gateway.output().includes('client-certificate-missing'), 'it says that somebody tried');
});

test('without the gateway nothing goes out, and it is said why', async () => {
  await gateway.stop('SIGKILL');
  const refused = await curl(web, 'http://old.partner.test/');
  assert.deepEqual([refused.status, codeOf(refused)], ['503', 'upstream.connect-refused']);
  const { tunnel } = await curl(web, '--cacert', caFile, 'https://code.partner.test/');
  assert.equal(tunnel, '503');
  gateway = await Fourways.start(gatewayOptions());
  await gateway.until(
    async () => (await curl(web, 'http://old.partner.test/')).status === '200',
    'it is reached again once it is back',
  );
});
