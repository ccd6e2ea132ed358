/**
 * A login as a browser has it: Chromium, a real provider (`oidc-provider`), a gateway of two workers. The pages tell what
 * they saw: after the login, after the access token has run out, and after the logout.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CLIENT_ID, CLIENT_SECRET, TestProvider } from '../src/filters/oidc/testing/provider.ts';
import { startGateway } from '../src/main/testing.ts';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { inChromium } from './client/chromium.ts';
import {
  gateway as gatewayManifest,
  gatewayClass,
  type Manifest,
  prefixRule,
  service,
  tlsSecret,
} from './client/manifests.ts';

/** The access token holds so long, and the page waits until it has run out. */
const TOKEN_S = 2;

const PAGE = `<!doctype html><script>
  const ask = async () => (await (await fetch('/api')).json());
  (async () => {
    const { authorization, email } = await ask();
    await new Promise((resolve) => setTimeout(resolve, ${TOKEN_S * 1000 + 300}));
    const later = (await Promise.all(Array.from({ length: 6 }, ask))).map((seen) => seen.authorization);
    const report = { address: location.pathname + location.search, cookie: document.cookie, authorization, email, later };
    await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
    location = '/oauth2/logout';
  })();
</script>`;

const BYE = `<!doctype html><script>
  (async () => {
    const { status } = await fetch('/api');
    await fetch('/report', { method: 'POST', body: JSON.stringify({ status, address: location.pathname }) });
  })();
</script>`;

interface Report {
  readonly address: string;
  readonly cookie?: string;
  readonly authorization?: string;
  readonly email?: string;
  readonly later?: readonly string[];
  readonly status?: number;
}

const manifestsOf = (port: number, issuer: string | undefined): readonly Manifest[] => {
  const { certificatePem, privateKeyPem } = CERTIFICATE;
  const policy = (name: string, spec: object): Manifest => ({
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Policy',
    metadata: { name, namespace: 'default' },
    spec,
  });
  return [
    gatewayClass(),
    gatewayManifest({ name: 'edge', port: 8443, tlsSecret: 'tls' }),
    tlsSecret('tls', { certificate: certificatePem, key: privateKeyPem }),
    // A connection per request of the page, so that both workers meet the session.
    policy('wire', { targetRefs: [{ kind: 'Gateway', name: 'edge' }], listener: { http: { versions: ['http/1.1'] } } }),
    ...service('web', [{ host: '127.0.0.1', port }]),
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        parentRefs: [{ name: 'edge' }],
        rules: [prefixRule('/bye', 'web'), prefixRule('/report', 'web'), prefixRule('/', 'web', { name: 'shop' })],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'oidc', namespace: 'default' },
      stringData: { client: CLIENT_SECRET, cookie: 'a key of cookies that nobody can guess' },
    },
    ...(issuer === undefined
      ? []
      : [
          policy('login', {
            targetRefs: [{ kind: 'HTTPRoute', name: 'web', sectionName: 'shop' }],
            filters: {
              oidc: {
                providers: [
                  {
                    name: 'id',
                    issuer,
                    clientId: CLIENT_ID,
                    clientSecret: { name: 'oidc', key: 'client' },
                    scopes: ['email'],
                    userinfo: 'merge',
                  },
                ],
                keys: [{ name: 'oidc', key: 'cookie' }],
                refreshAhead: '0s',
                accessToken: 'forward',
                claimHeaders: [{ claim: 'email', header: 'X-Email' }],
                logout: { returnTo: '/bye' },
              },
            },
          }),
        ]),
  ];
};

const CERTIFICATE = makeCertificate({ hosts: ['localhost', '127.0.0.1'] });
const yaml = (manifests: readonly Manifest[]): string => manifests.map((one) => JSON.stringify(one)).join('\n---\n');

test('Chromium logs in, gets a new token once for all, and logs out', async () => {
  await using cleanup = new AsyncDisposableStack();
  const reports: Report[] = [];
  const done = Promise.withResolvers<void>();
  const upstream = http.createServer((request, answer) => {
    if (request.url === '/report') {
      let text = '';
      request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      request.on('end', () => {
        reports.push(JSON.parse(text) as Report);
        answer.end();
        if (reports.length === 2) done.resolve();
      });
    } else if (request.url === '/api') {
      const { authorization, 'x-email': email } = request.headers;
      answer.end(JSON.stringify({ authorization, email }));
    } else answer.writeHead(200, { 'content-type': 'text/html' }).end(request.url === '/bye' ? BYE : PAGE);
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  cleanup.defer(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  const { port } = upstream.address() as AddressInfo;

  const gateway = await startGateway({ config: yaml(manifestsOf(port, undefined)), workers: 2 });
  cleanup.use(gateway);
  const origin = gateway.url(8443).replace(/^.*:/, 'https://localhost:');
  const provider = await TestProvider.start({ origins: [origin], accessTokenS: TOKEN_S, login: 'at-once' });
  cleanup.use(provider);
  await gateway.change(yaml(manifestsOf(port, provider.issuer)));
  assert.deepEqual(gateway.problems().problems, []);

  await inChromium(`${origin}/cart?a=1`, done.promise, provider.asked);

  const [page, bye] = reports as [Report, Report];
  assert.equal(page.address, '/cart?a=1');
  assert.equal(page.email, 'ann@shop.test');
  assert.equal(page.cookie, '', 'scripts see no session');
  assert.match(page.authorization!, /^Bearer /);
  assert.equal(new Set(page.later).size, 1);
  assert.notEqual(page.later![0], page.authorization);
  assert.deepEqual(
    provider.asked.filter((line) => line === 'POST /token'),
    ['POST /token', 'POST /token'],
    'the code, and one refresh',
  );
  assert.deepEqual(bye, { status: 401, address: '/bye' });
});
