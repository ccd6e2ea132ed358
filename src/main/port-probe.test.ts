import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { portOwner } from './port-owner.ts';
import { probePort } from './port-probe.ts';

function listen(options: { host: string; port?: number; reusePort?: boolean }): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port: 0, ...options }, () => resolve(server));
  });
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

test('probePort: a free port is free, and still free afterwards', async () => {
  const server = await listen({ host: '127.0.0.1' });
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await probePort('127.0.0.1', port), undefined);
  assert.equal(await probePort('127.0.0.1', port), undefined);
});

for (const reusePort of [false, true]) {
  test(`probePort: a port that is taken ${reusePort ? 'to be shared' : 'alone'} is not free`, async (t) => {
    const server = await listen({ host: '127.0.0.1', reusePort });
    t.after(() => server.close());
    const port = portOf(server);
    const failure = await probePort('127.0.0.1', port);
    const by = process.platform === 'linux' ? ` by process ${process.pid} \\(.+\\)` : '.*';
    assert.equal(failure?.error, 'EADDRINUSE');
    assert.match(failure.message, new RegExp(`^Cannot bind 127\\.0\\.0\\.1:${port}: address in use${by}$`));
    assert.deepEqual([failure.address, failure.port], ['127.0.0.1', port]);
  });
}

test('probePort: an address of another machine is said to be one', async () => {
  const failure = await probePort('192.0.2.1', 8080);
  assert.equal(failure?.message, 'Cannot bind 192.0.2.1:8080: the address is not of this machine');
});

test('portOwner: nobody listens', async () => {
  const server = await listen({ host: '127.0.0.1' });
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(portOwner(port), undefined);
});
