/** TLS sessions over all workers, while the keys of their tickets are replaced every second. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { silentLog } from '../src/base/log.ts';
import { up } from '../src/main/up.ts';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { gateway, gatewayClass, tlsSecret, writeManifests } from './client/manifests.ts';

const PERIOD_MS = 1_000;
/** Of how late a busy machine may be. */
const SLACK_MS = 5_000;
const CLIENTS = 4;

const shop = makeCertificate({ hosts: ['shop.test'] });

async function handshake(port: number, session?: Buffer): Promise<{ reused: boolean; session: Buffer }> {
  // In TLS 1.2 the ticket is part of the handshake.
  const options = { ca: shop.leafPem, servername: 'shop.test', maxVersion: 'TLSv1.2' } as const;
  const socket = tls.connect({ host: DOOR_HOST, port, ...options, ...(session === undefined ? {} : { session }) });
  await once(socket, 'secureConnect');
  const result = { reused: socket.isSessionReused(), session: socket.getSession()! };
  socket.destroy();
  return result;
}

interface Gateway extends AsyncDisposable {
  readonly port: number;
}

/** The real program with two workers. */
async function program(config: string, port: number): Promise<Gateway> {
  const running = await Fourways.start({ config, workers: 2, ticketKeys: `${PERIOD_MS}ms` });
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

/** The one proxy of the main thread. */
async function mainThread(config: string, port: number): Promise<Gateway> {
  const running = await up({
    path: config,
    bind: DOOR_HOST,
    admin: undefined,
    workers: 0,
    ticketKeysMs: PERIOD_MS,
    drainMs: 0,
    dataDir: undefined,
    ports: 'alone',
    log: silentLog,
    logLevel: 'error',
    writeLines: () => Promise.resolve(),
  });
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

for (const [where, start] of [
  ['on every worker', program],
  ['in the main thread', mainThread],
] as const) {
  test(`a session resumes ${where}, across one rotation and not across two, and no handshake fails`, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'fourways-tickets-'));
    const { certificatePem: certificate, privateKeyPem: key } = shop;
    const free = await freePort(DOOR_HOST);
    writeManifests(dir, 'all.yaml', [
      gatewayClass(),
      gateway({ port: free, tlsSecret: 'shop', hostname: 'shop.test' }),
      tlsSecret('shop', { certificate, key }),
    ]);
    try {
      await using running = await start(dir, free);
      const { handshakes, lastedMs } = await resumeUntilRefused(running.port);
      // The kernel spreads connections over both workers: with one of them apart, this many would not all resume.
      assert.ok(handshakes > 10 * CLIENTS, `${handshakes} handshakes`);
      assert.ok(lastedMs > PERIOD_MS, `it resumed for ${Math.round(lastedMs)} ms only`);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
}

/** Clients come with one and the same session until it does not resume. Rejects when a handshake fails. */
async function resumeUntilRefused(port: number): Promise<{ handshakes: number; lastedMs: number }> {
  const { session } = await handshake(port);
  const startMs = performance.now();
  let handshakes = 0;
  for (let resumed = true; resumed;) {
    const results = await Promise.all(Array.from({ length: CLIENTS }, () => handshake(port, session)));
    handshakes += results.length;
    // Workers hear of new keys one after the other, so the last round may be mixed.
    resumed = results.every(({ reused }) => reused);
    assert.ok(performance.now() - startMs < 2 * PERIOD_MS + SLACK_MS, 'it resumes for ever');
  }
  return { handshakes, lastedMs: performance.now() - startMs };
}
