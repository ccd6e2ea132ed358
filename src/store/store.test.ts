/** One suite for both databases: the same SQL text, the same answers. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import type { Database } from './database.ts';
import { lockFolder } from './folder-lock.ts';
import { migrate, STEPS } from './migrations.ts';
import { News } from './news.ts';
import { openPglite } from './pglite.ts';
import { openPostgres, openSession, type Session } from './postgres.ts';
import { Seal } from './seal.ts';
import { Store, StoreAway, type StoreOptions, type StoreStatus } from './store.ts';
import { Leadership } from './leadership.ts';
import { PostgresServer } from './testing/postgres-server.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fourways-store-'));
const server = await PostgresServer.start();
const WAIT_MS_MAX = 30_000;

after(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

const key = randomBytes(32);

/** A store that tells what becomes of it. */
class Watched implements AsyncDisposable {
  readonly store: Store;
  readonly said: string[] = [];
  #wake: (() => void)[] = [];

  constructor(place: StoreOptions['place'], seal = new Seal(key)) {
    this.store = new Store({
      place,
      seal,
      clock: systemClock,
      log: silentLog,
      onChange: ({ state, reason }: StoreStatus) => {
        this.said.push(state === 'open' ? state : `${state}: ${reason}`);
        for (const wake of this.#wake.splice(0)) wake();
      },
    });
  }

  async until(holds: (status: StoreStatus) => boolean, what: string): Promise<void> {
    const end = AbortSignal.timeout(WAIT_MS_MAX);
    while (!holds(this.store.status)) {
      if (end.aborted) assert.fail(`Waited in vain for ${what}: ${this.said.join(', ')}`);
      await Promise.race([
        new Promise<void>((resolve) => this.#wake.push(resolve)),
        new Promise((resolve) => systemClock.after(100, () => resolve(undefined))),
      ]);
    }
  }

  open(): Promise<void> {
    return this.until(({ state }) => state === 'open', 'the store to be open');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
  }
}

const DATABASES: [name: string, open: () => Database][] = [
  ['PGlite', () => openPglite({ dir: undefined, clock: systemClock })],
  ['PostgreSQL', () => openPostgres(server.url, () => undefined)],
];

for (const [name, open] of DATABASES) {
  describe(name, () => {
    const database = open();
    after(() => database.close());

    test('values come back as they were given', async () => {
      const text = `quotes ' " and \u{1f600}`;
      const rows = await database.query('select $1::text as a, $2::float8 as b, $3::boolean as c, $4::text as d', [
        text,
        1_790_000_000_123,
        true,
        null,
      ]);
      assert.deepEqual(rows, [{ a: text, b: 1_790_000_000_123, c: true, d: null }]);
    });

    test('a transaction that throws leaves nothing behind', async () => {
      await database.query('create table try_out (n integer)');
      const failing = database.transaction(async (inside) => {
        await inside.query('insert into try_out (n) values (1)');
        throw new Error('no');
      });
      await assert.rejects(failing, /^Error: no$/);
      await database.transaction((inside) => inside.query('insert into try_out (n) values (2)'));
      assert.deepEqual(await database.query('select n from try_out'), [{ n: 2 }]);
    });

    test('a statement inside a transaction waits for nobody, one beside it is not part of it', async () => {
      const inside = Promise.withResolvers<void>();
      const running = database.transaction(async (queries) => {
        await queries.query('insert into try_out (n) values (3)');
        inside.resolve();
        throw new Error('back');
      });
      const caught = assert.rejects(running, /back/);
      await inside.promise;
      await database.query('insert into try_out (n) values (4)');
      await caught;
      assert.deepEqual(await database.query('select n from try_out where n > 2'), [{ n: 4 }]);
    });

    test('migrations run once, whoever comes first', async () => {
      await Promise.all([migrate(database), migrate(database), migrate(database)]);
      assert.deepEqual(
        await database.query('select step from fourways_migration'),
        STEPS.map((_, i) => ({ step: i + 1 })),
      );
    });

    test('a step that was added later is taken, one of a newer program is refused', async () => {
      const more = [...STEPS, ['create table later (n integer)']];
      await migrate(database, more);
      assert.deepEqual(await database.query('select n from later'), []);
      await assert.rejects(
        migrate(database),
        new RegExp(`of a newer Fourways \\(step ${STEPS.length + 1}, this one knows ${STEPS.length}\\)`),
      );
      await database.query('drop table later');
      await database.query('delete from fourways_migration where step = $1', [STEPS.length + 1]);
    });

    test('a step that fails is not taken in part', async () => {
      const broken = [...STEPS, ['create table half (n integer)', 'create nonsense']];
      await assert.rejects(migrate(database, broken));
      await assert.rejects(database.query('select n from half'));
    });
  });
}

test('PGlite keeps on disk what was written, and its folder has one user', async () => {
  const place = { kind: 'embedded', dir: join(scratch, 'one') } as const;
  await using first = new Watched(place);
  await first.open();
  await first.store.query("insert into acme_progress (name, progress) values ('a', 'b')");

  await using second = new Watched(place);
  await second.until(({ reason }) => reason.includes('another Fourways'), 'the folder to be in use');
  await assert.rejects(second.store.query('select 1'), StoreAway);

  await first.store.close();
  await second.open();
  assert.deepEqual(await second.store.query('select name, progress from acme_progress'), [
    { name: 'a', progress: 'b' },
  ]);
});

test('a store that is closed while it opens lets its folder go', async () => {
  const dir = join(scratch, 'early');
  const { store, said } = new Watched({ kind: 'embedded', dir });
  await store.close();
  assert.deepEqual(said, []);
  const lock = await lockFolder(dir);
  assert.ok(lock !== undefined);
  await lock.release();
});

test('another state key does not open the state', async () => {
  const place = { kind: 'postgres', url: server.url } as const;
  await using first = new Watched(place);
  await first.open();
  await using second = new Watched(place, new Seal(randomBytes(32)));
  await second.until(({ reason }) => reason.includes('another state key'), 'the key to be refused');
  await assert.rejects(second.store.query('select 1'), StoreAway);
});

test('PostgreSQL that is killed is away and says so; back, it is open and one of two leads again', async () => {
  const place = { kind: 'postgres', url: server.url } as const;
  await using one = new Watched(place);
  await using two = new Watched(place);
  await Promise.all([one.open(), two.open()]);
  const leads = [false, false];
  const leaderships = [one, two].map(
    ({ store }, i) =>
      new Leadership({ store, clock: systemClock, log: silentLog, onChange: (now) => (leads[i] = now) }),
  );
  const until = async (count: number): Promise<void> => {
    const end = AbortSignal.timeout(WAIT_MS_MAX);
    while (leads.filter(Boolean).length !== count) {
      if (end.aborted) assert.fail(`Waited in vain for ${count} leaders`);
      await new Promise((resolve) => systemClock.after(20, () => resolve(undefined)));
    }
  };
  await until(1);
  const first = leads.indexOf(true);

  await server.kill();
  await until(0);
  await one.until(({ state }) => state === 'away', 'the loss to be seen');
  await assert.rejects(one.store.query('select 1'), StoreAway);
  await server.resume();
  await Promise.all([one.open(), two.open()]);
  await until(1);

  await leaderships[leads.indexOf(true)]!.close();
  await until(1);
  assert.ok(first >= 0);
  for (const leadership of leaderships) await leadership.close();
  assert.deepEqual(leads, [false, false]);
});

test('a server that takes no more connections makes no leader; with room again it does', async () => {
  await using watched = new Watched({ kind: 'postgres', url: server.url });
  await watched.open();
  const others: Session[] = [];
  const ends: string[] = [];
  const refusal = await (async () => {
    // More than it was started with.
    for (let i = 0; i < 50; i++) others.push(await openSession(server.url, (why) => ends.push(why)));
  })().catch((error: unknown) => error);
  assert.equal((refusal as { code?: string }).code, '53300');
  assert.deepEqual(ends, [], 'a session that did not begin does not end');

  const changes: boolean[] = [];
  const led = Promise.withResolvers<void>();
  const onChange = (leads: boolean): void => {
    changes.push(leads);
    if (leads) led.resolve();
  };
  const leadership = new Leadership({ store: watched.store, clock: systemClock, log: silentLog, onChange });
  await new Promise((resolve) => systemClock.after(200, () => resolve(undefined)));
  assert.deepEqual(changes, []);
  await Promise.all(others.map((session) => session.close()));
  await led.promise;
  await leadership.close();
  assert.deepEqual(changes, [true, false]);
});

test('a statement that is wrong is an error of its own: the store stays open', async () => {
  await using watched = new Watched({ kind: 'postgres', url: server.url });
  await watched.open();
  await assert.rejects(watched.store.query('select nonsense'), (error) => !(error instanceof StoreAway));
  assert.equal(watched.store.status.state, 'open');
  assert.match(watched.store.status.name, /^PostgreSQL at 127\.0\.0\.1:\d+\/postgres$/);
});

test('what one process tells is news to the others at once, and after a loss they are told to look', async () => {
  const place = { kind: 'postgres', url: server.url } as const;
  await using one = new Watched(place);
  await using other = new Watched(place);
  await Promise.all([one.open(), other.open()]);
  const heard: string[] = [];
  const news = new News({
    store: other.store,
    clock: systemClock,
    hear: { fourways_a: (payload) => heard.push(`a ${payload}`), fourways_b: (payload) => heard.push(`b ${payload}`) },
  });
  const until = (count: number): Promise<void> => other.until(() => heard.length >= count, `${count} news`);
  await until(2);
  await one.store.query("select pg_notify('fourways_a', 'one'), pg_notify('fourways_c', 'nobody')");
  await until(3);
  assert.deepEqual(heard, ['a ', 'b ', 'a one']);
  await server.kill('SIGKILL');
  await other.until(({ state }) => state === 'away', 'the loss');
  await server.resume();
  await other.open();
  await until(5);
  await one.open();
  await one.store.query("select pg_notify('fourways_b', 'two')");
  await until(6);
  assert.deepEqual(heard.slice(3), ['a ', 'b ', 'b two']);
  await news.close();
});
