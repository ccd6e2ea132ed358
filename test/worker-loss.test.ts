/** A worker that dies takes its own connections along, and nothing else; it is replaced, and that is said. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { TICKET_KEYS_MS } from '../src/base/limits.ts';
import { up } from '../src/main/up.ts';
import { DOOR_HOST, freePort, pause } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { gateway, gatewayClass, httpRoute, prefixRule, service, writeManifests } from './client/manifests.ts';
import { answering, ok, startOrigin } from './client/origin.ts';

const CONNECTIONS = 16;
const HOST = 'shop.test';
const REPLACE_MS_MAX = 20_000;

test('a worker that is killed under load', async () => {
  const threads: Worker[] = [];
  const note = (thread: Worker): void => void threads.push(thread);
  process.on('worker', note);
  const dir = mkdtempSync(join(tmpdir(), 'fourways-worker-loss-'));
  await using origin = await startOrigin(answering(() => ok('.')));
  const port = await freePort(DOOR_HOST);
  writeManifests(dir, 'all.yaml', [
    gatewayClass(),
    gateway({ port }),
    httpRoute({ name: 'shop', hostnames: [HOST], rules: [prefixRule('/', 'shop')] }),
    ...service('shop', [origin]),
  ]);
  const said: string[] = [];
  const log = (level: string) => (message: string) => void said.push(`${level} ${message}`);
  await using running = await up({
    path: dir,
    bind: DOOR_HOST,
    admin: undefined,
    workers: 2,
    ticketKeysMs: TICKET_KEYS_MS,
    dataDir: undefined,
    ports: 'alone',
    drainMs: 1_000,
    log: { debug: () => undefined, info: () => undefined, warn: log('warn'), error: log('error') },
    logLevel: 'warn',
    writeLines: () => Promise.resolve(),
  });
  const load = new Load({
    target: { host: DOOR_HOST, port },
    host: HOST,
    path: '/',
    connections: CONNECTIONS,
    gapMs: 2,
    renewEvery: 100,
  });
  try {
    await load.more(200);
    assert.deepEqual(load.failures, []);
    const before = threads.length;
    load.expectLosses(true);
    await threads[0]!.terminate();
    await untilReplaced(threads, before);
    await load.more(200);
    load.expectLosses(false);
    await load.more(400);
    await load.stop();
    assert.deepEqual(load.failures, []);
    // One request of each connection of that worker at most, and who just knocked at its door.
    assert.ok(load.losses <= CONNECTIONS, `${load.losses} requests were lost`);
    assert.ok(
      said.some((line) => /worker/i.test(line)),
      `Nothing was said of the worker: ${said.join('; ')}`,
    );
    assert.equal(running.status().items.length > 0, true);
  } finally {
    process.off('worker', note);
    rmSync(dir, { recursive: true, force: true });
  }
});

async function untilReplaced(threads: readonly Worker[], before: number): Promise<void> {
  const endMs = performance.now() + REPLACE_MS_MAX;
  while (threads.length === before) {
    if (performance.now() > endMs) throw new Error(`No new worker in ${REPLACE_MS_MAX} ms`);
    await pause(5);
  }
}
