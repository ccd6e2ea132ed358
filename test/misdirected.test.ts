/** Requests for a host that the connection was not made for (RFC 9110 section 15.5.20), in every version of HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import { Agent, request as httpsRequest } from 'node:https';
import { test } from 'node:test';
import { startGateway, type TestGateway } from '../src/main/testing.ts';
import { makeCertificate } from '../src/net/testing/certificates.ts';

/** Covers every host here: only the listeners tell them apart. */
const shop = makeCertificate({ hosts: ['*.shop.test'] });

function manifests(hostnames: readonly string[]): string {
  const meta = (name: string): object => ({ name, namespace: 'default' });
  const listeners = hostnames.map((hostname, i) => ({
    name: `l${i}`,
    port: 8443,
    protocol: 'HTTPS',
    hostname,
    tls: { certificateRefs: [{ name: 'shop' }] },
  }));
  return [
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: meta('edge'),
      spec: { gatewayClassName: 'fourways', listeners },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: meta('shop'),
      stringData: { 'tls.crt': shop.certificatePem, 'tls.key': shop.privateKeyPem },
    },
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: meta('all'),
      spec: { parentRefs: [{ name: 'edge' }], rules: [{ name: 'only' }] },
    },
    {
      apiVersion: 'fourways.io/v1alpha1',
      kind: 'Policy',
      metadata: meta('answer'),
      spec: {
        targetRefs: [{ kind: 'HTTPRoute', name: 'all' }],
        filters: { directResponse: { status: 200, body: 'here' } },
      },
    },
  ]
    .map((manifest) => JSON.stringify(manifest))
    .join('\n---\n');
}

/** One connection that was made for `serverName`. */
interface Client extends Disposable {
  /** Status and body for a request of that host. */
  get(host: string): Promise<[status: number, body: string]>;
}

function overHttp1(gateway: TestGateway, servername: string): Client {
  const { hostname, port } = new URL(gateway.url(8443));
  const agent = new Agent({ keepAlive: true, maxSockets: 1, servername, ALPNProtocols: ['http/1.1'] });
  return {
    async get(host) {
      const request = httpsRequest({ agent, hostname, port, headers: { host }, rejectUnauthorized: false, servername });
      const [response] = (await once(request.end(), 'response')) as [IncomingMessage];
      let body = '';
      for await (const bytes of response) body += String(bytes);
      return [response.statusCode!, body];
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

function overHttp2(gateway: TestGateway, servername: string): Client {
  const session = http2.connect(gateway.url(8443).replace('http:', 'https:'), {
    servername,
    rejectUnauthorized: false,
  });
  return {
    async get(host) {
      const stream = session.request({ ':authority': host, ':path': '/' });
      const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & { ':status': number }];
      let body = '';
      for await (const bytes of stream) body += String(bytes);
      return [headers[':status'], body];
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}

const HOSTNAMES = ['a.shop.test', 'b.shop.test', '*.shop.test'];

const ROWS: [rule: string, serverName: string, host: string, want: number][] = [
  ['the host of the handshake', 'a.shop.test', 'a.shop.test', 200],
  ['in any case, with a port', 'a.shop.test', 'A.Shop.Test:8443', 200],
  ['another listener', 'a.shop.test', 'b.shop.test', 421],
  ['the listener of the wildcard', 'a.shop.test', 'c.shop.test', 421],
  ['a more specific listener', 'c.shop.test', 'a.shop.test', 421],
  ['another host of one listener', 'c.shop.test', 'd.shop.test', 200],
  ['a host of no listener', 'a.shop.test', 'other.test', 421],
];

for (const [version, connect] of [
  ['http/1.1', overHttp1],
  ['h2', overHttp2],
] as const) {
  test(`${version}: a request for another listener is misdirected, and the connection goes on`, async () => {
    await using gateway = await startGateway({ config: manifests(HOSTNAMES) });
    for (const [rule, serverName, host, want] of ROWS) {
      using client = connect(gateway, serverName);
      const [status, body] = await client.get(host);
      assert.equal(status, want, rule);
      if (want === 421) assert.equal((JSON.parse(body) as { code: string }).code, 'request.misdirected', rule);
      else assert.equal(body, 'here', rule);
      assert.deepEqual(await client.get(serverName), [200, 'here'], `${rule}: afterwards`);
    }
  });

  test(`${version}: a listener that is added takes its host away from open connections`, async () => {
    await using gateway = await startGateway({ config: manifests(HOSTNAMES) });
    using client = connect(gateway, 'c.shop.test');
    assert.equal((await client.get('d.shop.test'))[0], 200);
    await gateway.change(manifests([...HOSTNAMES, 'd.shop.test']));
    assert.equal((await client.get('d.shop.test'))[0], 421);
    assert.equal((await client.get('c.shop.test'))[0], 200);
  });
}

test('h2: a request that says it came in clear text does not ride on TLS (RFC 9113 section 8.3.1)', async () => {
  await using gateway = await startGateway({ config: manifests(HOSTNAMES) });
  const session = http2.connect(gateway.url(8443).replace('http:', 'https:'), {
    servername: 'a.shop.test',
    rejectUnauthorized: false,
  });
  const statusOf = async (scheme: string): Promise<number> => {
    const stream = session.request({ ':scheme': scheme, ':authority': 'a.shop.test', ':path': '/' });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & { ':status': number }];
    stream.resume();
    return headers[':status'];
  };
  assert.equal(await statusOf('http'), 421);
  assert.equal(await statusOf('https'), 200);
  session.destroy();
});
