import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { healthRequest, readHealthResponse } from '../http/grpc/health.ts';
import type { PlanListener } from '../ir/plan.ts';
import { type Ask, call, message } from './testing/grpc-client.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo } from './testing/node-harness.ts';

const HEALTHY: PlanListener = { ...LISTENER, settings: { ...LISTENER.settings, grpcHealth: true } };
const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';

/** A listener with a route for `shop.Cart` (one endpoint) and one for `shop.Gone` (none). */
async function started(listener = HEALTHY, endpoint = 1): Promise<Harness> {
  const proxy = new Harness();
  const grpc = { requestMessageBytesMax: 0, answerMessageBytesMax: 0, services: ['shop.Cart'] };
  const backends = [{ target: { kind: 'cluster', cluster: 'gone' }, weight: 1, filters: [] }] as const;
  await proxy.start({
    listeners: { l: listener },
    routes: {
      r: routeOf(
        ruleTo({ grpc }),
        ruleTo({ name: 'GRPCRoute/d/r/1', grpc: { ...grpc, services: ['shop.Gone'] }, backends }),
      ),
    },
    clusters: { c: clusterTo([endpoint]), gone: clusterTo([]) },
  });
  return proxy;
}

const ROWS: readonly (readonly [rule: string, ask: Ask, want: { grpc: string; status?: number }])[] = [
  ['the listener serves', { path: CHECK, body: healthRequest('') }, { grpc: '0', status: 1 }],
  ['a service with an endpoint serves', { path: CHECK, body: healthRequest('shop.Cart') }, { grpc: '0', status: 1 }],
  ['a service without one does not', { path: CHECK, body: healthRequest('shop.Gone') }, { grpc: '0', status: 2 }],
  ['a service that no route names is not found', { path: CHECK, body: healthRequest('shop.Other') }, { grpc: '5' }],
  [
    'another method is not implemented',
    { path: '/grpc.health.v1.Health/List', body: healthRequest('') },
    { grpc: '12' },
  ],
  ['a request that is none', { path: CHECK, body: message('\x0b') }, { grpc: '13' }],
  ['a request that is too long', { path: CHECK, body: healthRequest('x'.repeat(5_000)) }, { grpc: '8' }],
  ['a request that never ends in a whole message', { path: CHECK, body: Buffer.from([0, 0]) }, { grpc: '13' }],
];
for (const [rule, ask, { grpc, status }] of ROWS) {
  test(`grpc.health.v1: ${rule}`, async () => {
    await using proxy = await started();
    const got = await call(proxy.port, ask);
    assert.equal(got.grpc, grpc);
    assert.equal(status === undefined ? got.body.length : readHealthResponse(got.body), status ?? 0);
  });
}

test('grpc.health.v1: in gRPC-Web, too', async () => {
  await using proxy = await started();
  const got = await call(proxy.port, {
    path: CHECK,
    body: healthRequest(''),
    headers: { 'content-type': 'application/grpc-web' },
  });
  assert.equal(readHealthResponse(got.body.subarray(0, 7)), 1);
  assert.match(got.body.toString('latin1', 12), /^grpc-status: 0/);
});

test('grpc.health.v1: a listener that was not asked to answer sends it to its routes', async () => {
  await using proxy = await started(LISTENER);
  assert.equal((await call(proxy.port, { path: CHECK, body: healthRequest('') })).grpc, '14');
});

test('grpc.health.v1: a watch tells of changes, and ends when the gateway does', async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await using proxy = await started(HEALTHY, port);
  const told: (number | undefined)[] = [];
  const watched = http.request({
    host: '127.0.0.1',
    port: proxy.port,
    method: 'POST',
    path: WATCH,
    agent: false,
    headers: { 'content-type': 'application/grpc', te: 'trailers', connection: 'te' },
  });
  watched.end(healthRequest('shop.Cart'));
  const ended = new Promise<string | undefined>((resolve) => {
    watched.on('response', (answer) => {
      answer.on('data', (bytes: Buffer) => {
        told.push(readHealthResponse(bytes));
        if (told.length === 1) void proxy.change({ clusters: { c: clusterTo([]) } });
        if (told.length === 2) void proxy.change({}, { routes: ['r'] });
        if (told.length === 3) void proxy.node.drain(5_000);
      });
      answer.on('end', () => resolve(answer.trailers['grpc-status']));
    });
  });
  assert.equal(await ended, '14');
  assert.deepEqual(told.slice(0, 3), [1, 2, 3]);
  server.close();
});
