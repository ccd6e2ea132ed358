import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { startGateway } from './testing.ts';

let origin: Server;
let to = '';

before(async () => {
  origin = createServer((request, response) => response.end(`${request.headers.host} ${request.url}`));
  await once(origin.listen(0, '127.0.0.1'), 'listening');
  to = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
});

after(() => {
  origin.closeAllConnections();
  origin.close();
});

const shortForm = (path: string): object => ({ listen: 8080, routes: [{ match: { host: 'shop.test', path }, to }] });

test('startGateway: serves a short form on a free port, with any Host', async () => {
  const lines: string[] = [];
  await using gateway = await startGateway({ config: shortForm('/a'), onAccessLog: (line) => lines.push(line) });
  assert.match(gateway.url(), /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.notEqual(gateway.url(8080), 'http://127.0.0.1:8080');
  const answer = await gateway.request('/a/b', { host: 'shop.test' });
  assert.deepEqual([answer.status, answer.body], [200, 'shop.test /a/b']);
  assert.equal((await gateway.request('/a/b')).status, 404);
  assert.equal((await gateway.request('/elsewhere', { host: 'shop.test' })).status, 404);
});

test('startGateway: a change is served when it is said to be', async () => {
  await using gateway = await startGateway({ config: shortForm('/a') });
  assert.equal((await gateway.change(shortForm('/b'))).kind, 'applied');
  assert.equal((await gateway.request('/b', { host: 'shop.test' })).status, 200);
  assert.equal((await gateway.request('/a', { host: 'shop.test' })).status, 404);
  const url = gateway.url();
  await gateway.change(shortForm('/c'));
  assert.equal(gateway.url(), url, 'a change does not move a port');
});

test('startGateway: statuses speak of the ports as configured', async () => {
  const config = ['GatewayClass', 'Gateway', 'HTTPRoute']
    .map((kind) => JSON.stringify(manifests[kind]))
    .join('\n---\n');
  await using gateway = await startGateway({ config });
  const items = gateway.status().items as StatusItem[];
  const programmed = items
    .find(({ kind }) => kind === 'Gateway')!
    .status.conditions!.find(({ type }) => type === 'Programmed');
  assert.equal(programmed?.status, 'True');
  const answer = await gateway.request('/', { port: 80 });
  assert.equal(answer.headers['location'], 'http://127.0.0.1/moved', 'a redirect leads to the port that is configured');
  assert.throws(() => gateway.url(81), /No listener has port 81: the configuration has 80/);
});

test('startGateway: in a worker thread', async () => {
  await using gateway = await startGateway({ config: shortForm('/a'), workers: 1 });
  assert.equal((await gateway.request('/a', { host: 'shop.test' })).status, 200);
});

test('startGateway: what cannot be served at all is an error with its problems', async () => {
  await assert.rejects(
    startGateway({ config: 'kind: HTTPRoute\n  broken: [' }),
    /nothing could be read[^]*gateway\.yaml:\d+:\d+/,
  );
  await assert.rejects(startGateway({ path: '/nowhere/at/all' }), /no such file or directory/);
  await assert.rejects(startGateway({}), /give either path or config/);
});

interface StatusItem {
  readonly kind: string;
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const API = 'gateway.networking.k8s.io/v1';
const manifests: Readonly<Record<string, object>> = {
  GatewayClass: {
    apiVersion: API,
    kind: 'GatewayClass',
    metadata: { name: 'fourways' },
    spec: { controllerName: 'fourways.io/gateway-controller' },
  },
  Gateway: {
    apiVersion: API,
    kind: 'Gateway',
    metadata: { name: 'edge' },
    spec: { gatewayClassName: 'fourways', listeners: [{ name: 'http', protocol: 'HTTP', port: 80 }] },
  },
  HTTPRoute: {
    apiVersion: API,
    kind: 'HTTPRoute',
    metadata: { name: 'moved' },
    spec: {
      parentRefs: [{ name: 'edge' }],
      rules: [
        {
          filters: [
            {
              type: 'RequestRedirect',
              requestRedirect: { path: { type: 'ReplaceFullPath', replaceFullPath: '/moved' } },
            },
          ],
        },
      ],
    },
  },
};
