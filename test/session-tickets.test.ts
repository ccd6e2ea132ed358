/** TLS sessions over all workers of the real program, while its keys are replaced every second. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
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

test('a session resumes on every worker, across one rotation and not across two, and no handshake fails', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-tickets-'));
  const port = await freePort(DOOR_HOST);
  const { certificatePem: certificate, privateKeyPem: key } = shop;
  writeManifests(dir, 'all.yaml', [
    gatewayClass(),
    gateway({ port, tlsSecret: 'shop', hostname: 'shop.test' }),
    tlsSecret('shop', { certificate, key }),
  ]);
  try {
    await using _running = await Fourways.start({ config: dir, workers: 2, ticketKeys: `${PERIOD_MS}ms` });
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
    const lastedMs = performance.now() - startMs;
    // The kernel spreads connections over both workers: with one of them apart, this many would not all resume.
    assert.ok(handshakes > 10 * CLIENTS, `${handshakes} handshakes`);
    assert.ok(lastedMs > PERIOD_MS, `it resumed for ${Math.round(lastedMs)} ms only`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
