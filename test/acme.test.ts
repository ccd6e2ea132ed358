/** Certificates from Pebble through a real `fourways up`, by each challenge, kept over a restart, renewed under load. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import {
  conditionOf,
  type Doors,
  freeDoors,
  handshake,
  loadOn,
  reportOf,
  type Site,
  untilCertificates,
  writeSite,
} from './client/acme.ts';
import { DOOR_HOST, Fourways } from './client/fourways.ts';
import { answering, ok, type Origin, startOrigin } from './client/origin.ts';
import { Pebble } from './client/pebble.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fourways-acme-'));
let origin: Origin;

before(async () => {
  origin = await startOrigin(answering(() => ok('here')));
});

after(async () => {
  await origin.close();
  rmSync(scratch, { recursive: true, force: true });
});

test('by each challenge, whatever is routed; kept over a restart with the account', async () => {
  const doors = await freeDoors();
  await using pebble = await startPebble(doors, { nonceReject: 20 });
  const site: Site = {
    dir: join(scratch, 'each'),
    doors,
    pebble,
    origin,
    redirect: true,
    ordered: [
      { hostname: 'http.test', issuer: 'by-http' },
      { hostname: 'alpn.test', issuer: 'by-alpn', secret: 'named' },
    ],
    issuers: {
      'by-http': { challenges: ['http-01'], email: 'ops@http.test' },
      'by-alpn': { challenges: ['tls-alpn-01'], keyType: 'ecdsa-p384' },
    },
  };
  writeSite(site);
  const data = join(scratch, 'each-data');
  const options = { config: site.dir, workers: 2, data };
  const first = await Fourways.start(options);
  let serials: readonly (string | undefined)[];
  try {
    const rows = await untilCertificates(first, ({ state }) => state === 'valid', 'both certificates');
    serials = rows.map(({ serial }) => serial);
    assert.deepEqual(
      rows.map(({ secret, names, source }) => ({ secret, names, source })),
      [
        {
          secret: 'default/acme-by-http-http.test',
          names: ['http.test'],
          source: { acme: 'AcmeIssuer default/by-http' },
        },
        { secret: 'default/named', names: ['alpn.test'], source: { acme: 'AcmeIssuer default/by-alpn' } },
      ],
    );
    const root = await pebble.root();
    const [http, alpn] = [
      await handshake(doors.https, 'http.test', root),
      await handshake(doors.https, 'alpn.test', root),
    ];
    assert.deepEqual([http.serialNumber, alpn.serialNumber], serials);
    assert.equal(alpn.publicKey.asymmetricKeyDetails?.namedCurve, 'secp384r1');
    assert.match(await conditionOf(first, 'https-0', 'Programmed'), /^True Programmed/);
    assert.match(
      await conditionOf(first, 'https-1', 'fourways.io/CertificateValid'),
      /^True Valid: Valid until .*; renewed at /,
    );
    // Only while the order ran: now the path is routed as any other.
    const challenge = await plain(doors.http, 'http.test', '/.well-known/acme-challenge/some-token');
    assert.deepEqual(challenge, { status: 301, location: `https://http.test/.well-known/acme-challenge/some-token` });
    const plan = await first.adminText('/plan');
    assert.ok(!plan.includes('AcmeChallenge'));
    assert.ok(!(plan + first.output()).includes('PRIVATE KEY'));
  } finally {
    await first.stop('SIGTERM');
  }
  assertSealed(join(data, 'state'));

  const orders = pebble.count('POST /order-plz');
  const accounts = pebble.count('accounts in memory');
  assert.equal(accounts, 2, 'one for each issuer');
  const again = await Fourways.start(options);
  try {
    // Served from the first moment on, before the database is open.
    const root = await pebble.root();
    assert.equal((await handshake(doors.https, 'http.test', root)).serialNumber, serials[0]);
    await again.until(async () => (await again.adminText('/metrics')).includes('fourways_acme_leader 1'), 'the store');
    writeSite({ ...site, ordered: [...site.ordered, { hostname: 'third.test', issuer: 'by-http' }] });
    await again.until(async () => (await reportOf(again)).certificates.length === 3, 'the third listener');
    const rows = await untilCertificates(again, ({ state }) => state === 'valid', 'a third certificate');
    assert.deepEqual(
      rows.slice(0, 2).map(({ serial }) => serial),
      serials,
      'those that were kept are not ordered again',
    );
    assert.equal(rows.length, 3);
    assert.equal(pebble.count('POST /order-plz') > orders, true);
    assert.equal(pebble.count('accounts in memory'), accounts, 'no other account was made');
  } finally {
    await again.stop('SIGTERM');
  }
});

/** Files of the state are the owner's alone and hold no key in clear. */
function assertSealed(dir: string): void {
  assert.ok(existsSync(join(dir, 'state.key')));
  assert.equal(statSync(join(dir, 'state.key')).mode & 0o777, 0o600);
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((file) => join(dir, file));
  const clear = files.filter((file) => statSync(file).isFile() && readFileSync(file, 'latin1').includes('PRIVATE KEY'));
  assert.deepEqual(clear, []);
}

test('renewed under load without a failed request; with the authority away the old one stays and says its end', async () => {
  const doors = await freeDoors();
  await using pebble = await startPebble(doors, { lifeSeconds: 16 });
  const site: Site = {
    dir: join(scratch, 'renew'),
    doors,
    pebble,
    origin,
    ordered: [{ hostname: 'shop.test', issuer: 'pebble' }],
    issuers: { pebble: { challenges: ['tls-alpn-01'] } },
  };
  writeSite(site);
  await using program = await Fourways.start({ config: site.dir, workers: 2 });
  await untilCertificates(program, ({ state }) => state !== 'awaited', 'the first certificate');
  const seen = new Set<string>();
  const load = loadOn(doors.https, (client) => {
    seen.add((client.socket as TLSSocket).getPeerX509Certificate()!.serialNumber);
    return undefined;
  });
  await program.until(() => seen.size >= 3 || load.failures.length > 0, 'two renewals');
  await pebble.stop();
  const say = (): Promise<string> => conditionOf(program, 'https-0', 'fourways.io/CertificateValid');
  await program.until(async () => (await say()).includes('RenewalFailed'), 'a renewal to fail');
  assert.match(await say(), /RenewalFailed: Valid until \S+; it could not be renewed: .*; next attempt at /);
  const metrics = await program.adminText('/metrics');
  assert.match(metrics, /^fourways_acme_orders_total\{issuer="AcmeIssuer\/default\/pebble",result="failed"\} [1-9]/m);
  assert.match(
    metrics,
    /^fourways_certificate_expiry_timestamp_seconds\{secret="default\/acme-pebble-shop.test"\} \d+$/m,
  );
  // Nothing is edited: that it has ended is said because the time has come.
  await program.until(
    async () => (await say()).startsWith('False RenewalFailed: Expired at'),
    'the end of the certificate',
  );
  const problems = await program.adminText('/problems');
  assert.match(problems, /certificate\.expiry/);
  await load.more(50);
  await load.stop();
  assert.deepEqual(load.failures, []);

  // Back, without the account that it knew: whoever edits the issuer is not kept waiting.
  await pebble.resume();
  writeSite({ ...site, issuers: { pebble: { challenges: ['tls-alpn-01', 'http-01'] } } });
  await program.until(
    async () => (await say()).startsWith('True Valid'),
    'a certificate from the authority that is back',
  );
});

function startPebble(doors: Doors, more: Partial<Parameters<typeof Pebble.start>[0]> = {}): Promise<Pebble> {
  return Pebble.start({ names: DOOR_HOST, httpPort: doors.http, tlsPort: doors.https, ...more });
}

function plain(port: number, host: string, path: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  get({ host: DOOR_HOST, port, path, headers: { host }, agent: false }, (answer) => {
    answer.resume();
    resolve({ status: answer.statusCode, location: answer.headers.location });
  }).on('error', reject);
  return promise;
}
