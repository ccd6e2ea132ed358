/** Control planes that share one PostgreSQL: one orders, all serve; and what happens while it is away. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openPostgres } from '../src/store/postgres.ts';
import { PostgresServer } from '../src/store/testing/postgres-server.ts';
import {
  conditionOf,
  freeDoors,
  handshake,
  loadOn,
  reportOf,
  type Site,
  untilCertificates,
  writeSite,
} from './client/acme.ts';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { answering, ok, type Origin, startOrigin } from './client/origin.ts';
import { Pebble } from './client/pebble.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fourways-acme-pg-'));
const STATE_KEY = Buffer.alloc(32, 3).toString('base64');
let origin: Origin;
let postgres: PostgresServer;

before(async () => {
  origin = await startOrigin(answering(() => ok('here')));
  postgres = await PostgresServer.start();
});

after(async () => {
  await origin.close();
  await postgres[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

function start(config: string, workers = 1): Promise<Fourways> {
  return Fourways.start({ config, workers, env: { DATABASE_URL: postgres.url, FOURWAYS_STATE_KEY: STATE_KEY } });
}

test('two control planes: one orders, the other answers and serves; PostgreSQL may go; the other takes over', async () => {
  const [near, far] = [await freeDoors(), await freeDoors()];
  // It validates at the doors of the one process only, which is to be the one that does not order.
  await using pebble = await Pebble.start({ names: DOOR_HOST, httpPort: near.http, tlsPort: near.https });
  const common = {
    pebble,
    origin,
    ordered: [{ hostname: 'shop.test', issuer: 'pebble' }],
    issuers: { pebble: { challenges: ['http-01'] } },
  };
  const nearSite: Site = { ...common, dir: join(scratch, 'near'), doors: near };
  const farSite: Site = { ...common, dir: join(scratch, 'far'), doors: far };
  const dead = { pebble: { directory: `https://${DOOR_HOST}:${await freePort(DOOR_HOST)}/dir` } };
  writeSite({ ...farSite, issuers: dead });
  writeSite(nearSite);

  await using leader = await start(farSite.dir);
  await leader.until(async () => (await leader.adminText('/metrics')).includes('fourways_acme_leader 1'), 'a leader');
  await leader.until(
    async () => (await conditionOf(leader, 'https-0', 'fourways.io/CertificateValid')).includes('OrderFailed'),
    'no authority',
  );
  await using follower = await start(nearSite.dir, 2);
  await follower.until(async () => (await reportOf(follower)).store?.state === 'open', 'the store of the follower');
  assert.equal((await reportOf(follower)).orders, false);
  // A process is waited for from its first report on.
  const database = openPostgres(postgres.url, () => undefined);
  await follower.until(
    async () => (await database.query('select id from acme_replica')).length === 2,
    'both to report',
  );
  await database.close();

  writeSite(farSite);
  const [ordered] = await untilCertificates(leader, ({ state }) => state === 'valid', 'the certificate');
  const [taken] = await untilCertificates(
    follower,
    ({ state }) => state === 'valid',
    'the certificate of the follower',
  );
  assert.equal(taken!.serial, ordered!.serial);
  const root = await pebble.root();
  assert.equal((await handshake(near.https, 'shop.test', root)).serialNumber, ordered!.serial);
  assert.equal((await handshake(far.https, 'shop.test', root)).serialNumber, ordered!.serial);
  assert.equal(pebble.count('orders in the db'), 1, `exactly one ordered:\n${leader.output()}`);

  await withoutPostgres([leader, follower], near.https);

  // The leader ends without a word; what the other one wants next, it orders itself.
  await leader.until(
    async () => (await Promise.all([leader, follower].map(reportOf))).filter(({ orders }) => orders).length === 1,
    'one leader again',
  );
  await leader.stop('SIGKILL');
  await follower.until(async () => (await reportOf(follower)).orders, 'the other one to lead');
  writeSite({ ...nearSite, issuers: { pebble: { challenges: ['http-01'], keyType: 'rsa-2048' } } });
  await follower.until(
    async () => (await handshake(near.https, 'shop.test', root)).publicKey.asymmetricKeyType === 'rsa',
    'a new key',
  );
  assert.equal(pebble.count('orders in the db'), 2);
});

/** PostgreSQL is killed and comes back, with load on one of them. */
async function withoutPostgres(programs: readonly Fourways[], port: number): Promise<void> {
  const load = loadOn(port);
  await load.more(20);
  await postgres.kill();
  for (const program of programs) {
    await program.until(async () => (await reportOf(program)).store?.state === 'away', 'the loss to be said');
    assert.equal((await reportOf(program)).orders, false);
    assert.match(await program.adminText('/metrics'), /^fourways_store_open 0$/m);
    assert.match(program.output(), /The store is away: .*; what was known before goes on being served/);
    assert.equal((await fetch(`${program.admin}/readyz`)).status, 200);
  }
  await load.more(100);
  await postgres.resume();
  for (const program of programs) {
    await program.until(async () => (await reportOf(program)).store?.state === 'open', 'the store to be back');
  }
  await load.more(50);
  await load.stop();
  assert.deepEqual(load.failures, []);
}

test('terms, external accounts, several names, and another challenge where the first one fails', async () => {
  const doors = await freeDoors();
  const macKey = Buffer.alloc(32, 9).toString('base64url');
  // Nobody answers where it validates http-01.
  const httpPort = await freePort(DOOR_HOST);
  await using pebble = await Pebble.start({
    names: DOOR_HOST,
    httpPort,
    tlsPort: doors.https,
    externalAccounts: { 'kid-1': macKey },
  });
  const binding = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'binding', namespace: 'default' },
    stringData: { key: macKey },
  };
  const issuer = {
    challenges: ['http-01', 'tls-alpn-01'],
    externalAccount: { keyId: 'kid-1', secretRef: { name: 'binding' } },
  };
  const site: Site = {
    dir: join(scratch, 'terms'),
    doors,
    pebble,
    origin,
    ordered: ['one.test', 'two.test'].map((hostname) => ({ hostname, issuer: 'bound', secret: 'both' })),
    issuers: { bound: { ...issuer, termsAgreed: false } },
    more: [binding],
  };
  writeSite(site);
  await using program = await start(site.dir);
  const say = (): Promise<string> => conditionOf(program, 'https-0', 'fourways.io/CertificateValid');
  await program.until(async () => (await say()).includes('OrderFailed'), 'the terms to be asked for');
  assert.match(await say(), /has terms of service: read \S+ and set termsAgreed of the AcmeIssuer/);
  assert.match(
    await conditionOf(program, 'https-0', 'Programmed'),
    /^False Pending: Secret default\/both with the certificate/,
  );

  writeSite({ ...site, issuers: { bound: issuer } });
  const rows = await untilCertificates(program, ({ state }) => state === 'valid', 'the certificate');
  assert.deepEqual(
    rows.map(({ names }) => names),
    [
      ['one.test', 'two.test'],
      ['one.test', 'two.test'],
    ],
  );
  assert.match(program.output(), /http-01 for \\"(?:one|two)\.test\\" failed/);
  const root = await pebble.root();
  for (const name of ['one.test', 'two.test']) await handshake(doors.https, name, root);
});
