/** Tunnels that are no WebSockets: their limits, and what a drain means to them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import type { PlanRule } from '../ir/plan.ts';
import { clusterTo, Harness, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';

interface Ends {
  readonly proxy: Harness;
  readonly client: net.Socket;
  readonly server: net.Socket;
  readonly left: Promise<'ended' | 'reset'>;
}

async function switched(rule: Partial<PlanRule>, stack: AsyncDisposableStack): Promise<Ends> {
  const upstream = stack.use(await Upstream.start((_, answer) => answer.end()));
  const proxy = stack.use(new Harness());
  await proxy.start({ routes: { r: routeOf(ruleTo(rule)) }, clusters: { c: clusterTo([upstream.port]) } });
  const upgraded = once(upstream.server, 'upgrade') as Promise<[unknown, net.Socket]>;
  const client = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  stack.defer(() => void client.destroy());
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  const [, server] = await upgraded;
  server.on('error', () => undefined);
  stack.defer(() => void server.destroy());
  server.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  await once(client, 'data');
  const left = new Promise<'ended' | 'reset'>((resolve) => {
    client.on('end', () => resolve('ended'));
    client.on('error', () => resolve('reset'));
  });
  return { proxy, client: client.resume(), server: server.resume(), left };
}

async function faultOf({ proxy }: Ends): Promise<unknown> {
  while (proxy.lines().length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  return proxy.log[0]!['fault'];
}

for (const [rule, tunnel, half, want] of [
  ['silence ends it, and looks like no proper end', { idleMs: 100 }, 'neither', 'tunnel.idle'],
  ['its total limit ends it while bytes flow', { maxMs: 150 }, 'neither', 'tunnel.max'],
  ['the side that is left over may not be silent for long either', { idleMs: 100 }, 'client', 'tunnel.idle'],
] as const) {
  test(`tunnel: ${rule}`, async () => {
    await using stack = new AsyncDisposableStack();
    const ends = await switched({ tunnel }, stack);
    const flow = setInterval(() => {
      if ('maxMs' in tunnel) ends.client.write('.');
    }, 20);
    if (half === 'client') ends.client.end();
    assert.equal(await ends.left, 'reset');
    clearInterval(flow);
    assert.equal(await faultOf(ends), want);
  });
}

test('tunnel: bytes in either direction keep it alive', async () => {
  await using stack = new AsyncDisposableStack();
  const ends = await switched({ tunnel: { idleMs: 150 } }, stack);
  for (let i = 0; i < 8; i++) {
    await new Promise((resolve) => setTimeout(resolve, 60));
    (i % 2 === 0 ? ends.client : ends.server).write('.');
  }
  assert.equal(ends.proxy.node.stats().exchanges, 1);
});

test('tunnel: a drain lets it finish, unasked', async () => {
  await using stack = new AsyncDisposableStack();
  const ends = await switched({}, stack);
  const drained = ends.proxy.node.drain(5_000);
  const heard = once(ends.client, 'data');
  ends.server.write('still');
  assert.equal(String((await heard)[0]), 'still');
  ends.server.end();
  ends.client.end();
  await drained;
  assert.equal(await ends.left, 'ended');
  assert.equal(await faultOf(ends), undefined);
});

test('tunnel: the deadline of a drain cuts it', async () => {
  await using stack = new AsyncDisposableStack();
  const ends = await switched({}, stack);
  const startMs = performance.now();
  await ends.proxy.node.drain(300);
  assert.ok(performance.now() - startMs < 1_500);
  assert.equal(await ends.left, 'reset');
  assert.equal(await faultOf(ends), 'proxy.draining');
});
