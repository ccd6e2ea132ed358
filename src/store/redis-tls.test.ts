/** In a process of its own: which authorities are trusted is a setting of the process. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { systemClock } from '../base/clock.ts';
import { forwardingLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { RedisStore } from './redis.ts';
import { RedisServer } from './testing/redis-server.ts';

const PASSWORD = 'planted-secret';
const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const own = makeCertificate({ hosts: ['localhost'], issuer: root });
const folder = mkdtempSync(join(tmpdir(), 'fourways-redis-tls-'));
let server: RedisServer;

before(async () => {
  const [certificate, key] = [join(folder, 'redis.crt'), join(folder, 'redis.key')];
  writeFileSync(certificate, own.certificatePem);
  writeFileSync(key, own.privateKeyPem);
  server = await RedisServer.start({ password: PASSWORD, tls: { certificate, key } });
});
after(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** The first that a store says of its connection. */
async function firstSaid(url: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const log = forwardingLog('debug', (_, message, fields) => resolve(`${message} ${JSON.stringify(fields)}`));
  const store = new RedisStore({ url, clock: systemClock, random: systemRandom(), log });
  try {
    const said = await promise;
    assert.equal(store.isUp, said.startsWith('Redis is there'));
    if (store.isUp) assert.equal(await store.command('PING'), 'PONG');
    return said;
  } finally {
    store.close();
  }
}

const ROWS: [rule: string, trusted: string[], url: () => string, want: RegExp][] = [
  ['an authority that is trusted', [root.leafPem], named, /^Redis is there/],
  ['an authority that is not', [], named, /^Redis is away.*verify/],
  ['a certificate for another name', [root.leafPem], () => server.url, /^Redis is away.*127\.0\.0\.1.*cert/],
  ['without TLS', [root.leafPem], () => named().replace('rediss:', 'redis:'), /^Redis is away/],
];

function named(): string {
  return server.url.replace('127.0.0.1', 'localhost');
}

for (const [rule, trusted, url, want] of ROWS) {
  test(`redis with TLS: ${rule}`, async () => {
    tls.setDefaultCACertificates([...tls.rootCertificates, ...trusted]);
    const said = await firstSaid(url());
    assert.match(said, want);
    assert.doesNotMatch(said, /planted/);
  });
}
