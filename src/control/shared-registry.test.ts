/** Control planes that let each other know what their proxies say: on both databases, with time that is moved by hand. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { type Clock, systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { Database } from '../store/database.ts';
import { migrate } from '../store/migrations.ts';
import { openPglite } from '../store/pglite.ts';
import { openPostgres } from '../store/postgres.ts';
import { PostgresServer } from '../store/testing/postgres-server.ts';
import { type Registration, Registry } from './registry.ts';
import { type HeardNote, SharedRegistry, type SharedRegistryOptions } from './shared-registry.ts';
import { SharedStore } from './shared-store.ts';

const SAID: Registration = {
  service: 'orders',
  namespace: 'shop',
  address: '10.0.0.1',
  ports: { http: 8080 },
  proxyPort: 15_008,
  zone: '',
  health: 'ready',
};
const WHO = { instance: 'i1', namespace: 'shop', account: 'orders' };

/** A control plane without streams: what it says, and what it hears. */
class Plane {
  readonly shared: SharedRegistry;
  readonly registry: Registry;
  readonly proxies = new Map<string, string>();
  isOpen = true;

  constructor(database: Database, clock: Clock, options: Partial<SharedRegistryOptions> = {}) {
    this.shared = new SharedRegistry({
      store: new SharedStore(database),
      isOpen: () => this.isOpen,
      isAlone: false,
      id: randomUUID(),
      name: 'here',
      leads: () => false,
      clock,
      log: silentLog,
      hear: (note) => this.#hear(note),
      ...options,
    });
    this.registry = new Registry({
      clock,
      log: silentLog,
      onChange: () => undefined,
      tell: (name, body) => this.shared.tell('workload', name, body === undefined ? undefined : () => body),
    });
  }

  #hear({ kind, control, name, body }: HeardNote): void {
    if (kind === 'workload') this.registry.heard(control, name, body);
    else if (body === undefined) this.proxies.delete(name);
    else this.proxies.set(name, body);
  }

  /** Writes what is due, and reads what there is. */
  async look(): Promise<void> {
    await this.shared.start();
    await this.shared.start();
  }

  get addresses(): string[] {
    return this.registry.workloads.map(({ spec }) => spec.address);
  }

  get others(): string[] {
    return this.shared.controls.slice(1).map(({ state }) => state);
  }
}

/** Beats of all of them, for so long. */
async function pass(clock: ManualClock, ms: number, planes: readonly Plane[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    clock.advance(1_000);
    // oxlint-disable-next-line no-await-in-loop -- time goes on when all of a moment has happened
    for (const plane of planes) await plane.look();
  }
}

const server = await PostgresServer.start();
after(() => server[Symbol.asyncDispose]());

const DATABASES: [name: string, open: () => Database][] = [
  ['PGlite', () => openPglite({ dir: undefined, clock: systemClock })],
  ['PostgreSQL', () => openPostgres(server.url, () => undefined)],
];

for (const [name, open] of DATABASES) {
  describe(name, () => {
    const database = open();
    after(() => database.close());

    /** Two of them, and nobody else. */
    async function two(): Promise<{ clock: ManualClock; a: Plane; b: Plane }> {
      await migrate(database);
      await database.query('delete from mesh_control');
      await database.query('delete from mesh_note');
      const clock = new ManualClock();
      const [a, b] = [new Plane(database, clock, { leads: () => true }), new Plane(database, clock)];
      for (const plane of [a, b, a]) await plane.look();
      return { clock, a, b };
    }

    test('what registers at one is a Workload at the other, as long as it is there', async () => {
      const { clock, a, b } = await two();
      a.registry.register(WHO, SAID);
      await a.look();
      await b.look();
      assert.deepEqual(b.addresses, ['10.0.0.1']);
      const known = b.registry.workloads;
      a.registry.register(WHO, SAID);
      await a.look();
      await b.look();
      assert.equal(b.registry.workloads, known, 'the same said again changes nothing');
      a.registry.register(WHO, { ...SAID, address: '10.0.0.2' });
      await a.look();
      await b.look();
      assert.deepEqual(b.addresses, ['10.0.0.2']);
      a.registry.left('i1', 'cut');
      await pass(clock, 14_000, [a, b]);
      assert.deepEqual(b.addresses, ['10.0.0.2'], 'it may come back');
      await pass(clock, 2_000, [a, b]);
      assert.deepEqual([a.addresses, b.addresses], [[], []]);
    });

    test('a proxy that goes to another control plane is an endpoint all the while, and ends where it is', async () => {
      const { clock, a, b } = await two();
      a.registry.register(WHO, SAID);
      await a.look();
      await b.look();
      const known = b.registry.workloads;
      a.registry.left('i1', 'cut');
      b.registry.register(WHO, SAID);
      for (const plane of [b, a]) await plane.look();
      await pass(clock, 20_000, [a, b]);
      assert.deepEqual([a.addresses, b.addresses], [['10.0.0.1'], ['10.0.0.1']]);
      assert.equal(b.registry.workloads, known);
      b.registry.left('i1', 'farewell');
      for (const plane of [b, a]) await plane.look();
      assert.deepEqual([a.addresses, b.addresses], [[], []]);
    });

    test('one that has ended where it came last does not come back by what is known of it from before', async () => {
      const { clock, a, b } = await two();
      a.registry.register(WHO, SAID);
      for (const plane of [a, b]) await plane.look();
      // The stream of A is dead, and A does not know it.
      b.registry.register(WHO, { ...SAID, health: 'draining' });
      b.registry.left('i1', 'farewell');
      for (const plane of [b, a]) await plane.look();
      assert.deepEqual([a.addresses, b.addresses], [[], []]);
      await pass(clock, 5_000, [a, b]);
      a.registry.register(WHO, SAID);
      for (const plane of [a, b]) await plane.look();
      assert.deepEqual([a.addresses, b.addresses], [['10.0.0.1'], ['10.0.0.1']], 'it has come again');
    });

    test('a control plane that is lost has no proxies; its workloads stay until they had the time to come elsewhere', async () => {
      const { clock, a, b } = await two();
      b.registry.register(WHO, SAID);
      b.registry.register({ ...WHO, instance: 'i2' }, { ...SAID, address: '10.0.0.2' });
      b.shared.tell('proxy', 'i1', () => '{"a":1}');
      for (const plane of [b, a]) await plane.look();
      assert.deepEqual([...a.proxies], [['i1', '{"a":1}']]);
      b.isOpen = false;
      await pass(clock, 4_000, [a]);
      assert.deepEqual([a.others, a.proxies.size], [['live'], 1]);
      await pass(clock, 2_000, [a]);
      assert.deepEqual([a.others, a.proxies.size, a.addresses], [['lost'], 0, ['10.0.0.1', '10.0.0.2']]);
      a.registry.register(WHO, SAID);
      await pass(clock, 55_000, [a]);
      assert.deepEqual(a.addresses, ['10.0.0.1', '10.0.0.2']);
      await pass(clock, 10_000, [a]);
      assert.deepEqual([a.addresses, a.others], [['10.0.0.1'], []]);
      assert.equal((await database.query('select id from mesh_control')).length, 1, 'the leader has cleared up');
      // It was only cut off: it says all of it again.
      b.isOpen = true;
      for (const plane of [b, a]) await plane.look();
      assert.deepEqual([a.addresses, a.others, a.proxies.size], [['10.0.0.1', '10.0.0.2'], ['live'], 1]);
    });

    test('a control plane that had many proxies is remembered until all of them had the time to be let in', async () => {
      const { clock, a, b } = await two();
      b.registry.register(WHO, SAID);
      for (let i = 0; i < 7_000; i++) b.shared.tell('proxy', `p${i}`, () => '1');
      for (const plane of [b, a]) await plane.look();
      b.isOpen = false;
      await pass(clock, 70_000, [a]);
      assert.deepEqual([a.others, a.proxies.size, a.addresses], [['lost'], 0, ['10.0.0.1']]);
      await pass(clock, 10_000, [a]);
      assert.deepEqual([a.others, a.addresses], [[], []]);
    });

    test('one that is back before it is forgotten is as it was', async () => {
      const { clock, a, b } = await two();
      b.registry.register(WHO, SAID);
      b.shared.tell('proxy', 'i1', () => '1');
      for (const plane of [b, a]) await plane.look();
      b.isOpen = false;
      await pass(clock, 10_000, [a]);
      assert.deepEqual([a.others, a.proxies.size], [['lost'], 0]);
      b.isOpen = true;
      b.shared.tell('proxy', 'i2', () => '2');
      for (const plane of [b, a]) await plane.look();
      assert.deepEqual([a.others, [...a.proxies.keys()], a.addresses], [['live'], ['i1', 'i2'], ['10.0.0.1']]);
    });

    test('one that ends in good order is lost at once, and its workloads stay as long', async () => {
      const { a, b } = await two();
      b.registry.register(WHO, SAID);
      b.shared.tell('proxy', 'i1', () => '1');
      for (const plane of [b, a]) await plane.look();
      b.registry.register({ ...WHO, instance: 'i2' }, { ...SAID, address: '10.0.0.2' });
      await b.shared.close();
      await a.look();
      assert.deepEqual([a.others, a.proxies.size, a.addresses], [['lost'], 0, ['10.0.0.1', '10.0.0.2']]);
    });

    test('while the store is away everything stays, and what came meanwhile is said when it is back', async () => {
      const { clock, a, b } = await two();
      b.registry.register(WHO, SAID);
      for (const plane of [b, a]) await plane.look();
      a.isOpen = false;
      b.isOpen = false;
      a.registry.register({ ...WHO, instance: 'i2' }, { ...SAID, address: '10.0.0.2' });
      await pass(clock, 100_000, [a, b]);
      assert.deepEqual([a.addresses, b.addresses, a.others], [['10.0.0.1', '10.0.0.2'], ['10.0.0.1'], ['live']]);
      a.isOpen = true;
      b.isOpen = true;
      for (const plane of [a, b, a]) await plane.look();
      assert.deepEqual(
        [a.addresses, b.addresses],
        [
          ['10.0.0.1', '10.0.0.2'],
          ['10.0.0.1', '10.0.0.2'],
        ],
      );
      assert.deepEqual([a.others, b.others], [['live'], ['live']]);
    });

    test('who was away for so long that it missed what was taken back reads everything', async () => {
      const { clock, a, b } = await two();
      for (const proxy of ['p1', 'p2', 'p3']) b.shared.tell('proxy', proxy, () => proxy);
      for (const plane of [b, a]) await plane.look();
      assert.equal(a.proxies.size, 3);
      a.isOpen = false;
      b.shared.tell('proxy', 'p1', undefined);
      await pass(clock, 310_000, [b]);
      b.shared.tell('proxy', 'p2', undefined);
      b.shared.tell('proxy', 'p4', () => 'p4');
      await b.look();
      const left = await database.query("select name from mesh_note where kind = 'proxy' and body is null");
      assert.deepEqual(left, [{ name: 'p2' }], 'what everybody has heard is not kept');
      a.isOpen = true;
      await a.look();
      assert.deepEqual([...a.proxies.keys()].toSorted(), ['p3', 'p4']);
    });

    test('more than fits one statement is written and read whole', async () => {
      const { a, b } = await two();
      for (let i = 0; i < 4_500; i++) a.shared.tell('proxy', `p${i}`, () => String(i));
      for (const plane of [a, b]) await plane.look();
      assert.deepEqual([b.proxies.size, b.proxies.get('p4499')], [4_500, '4499']);
    });

    test('a name that no database takes keeps nobody from being heard', async () => {
      const { a, b } = await two();
      a.shared.tell('proxy', 'bad\0', () => '1');
      a.shared.tell('proxy', 'good \u{1f600} \'"\\', () => '2');
      for (const plane of [a, b]) await plane.look();
      assert.deepEqual([...b.proxies], [['good \u{1f600} \'"\\', '2']]);
    });

    test('the next process on an embedded store begins with the workloads of the one before, and lets them go', async () => {
      const { a } = await two();
      a.registry.register(WHO, SAID);
      a.registry.register({ ...WHO, instance: 'i2' }, { ...SAID, address: '10.0.0.2' });
      a.shared.tell('proxy', 'i1', () => '1');
      await a.look();
      const clock = new ManualClock();
      await database.query('delete from mesh_control where id <> $1', [a.shared.controls[0]!.id]);
      const next = new Plane(database, clock, { isAlone: true });
      await next.shared.start();
      assert.deepEqual([next.addresses, next.proxies.size, next.others], [['10.0.0.1', '10.0.0.2'], 0, []]);
      next.registry.register(WHO, SAID);
      next.shared.tell('proxy', 'i1', () => '1');
      await pass(clock, 65_000, [next]);
      assert.deepEqual(next.addresses, ['10.0.0.1']);
      assert.deepEqual(await database.query('select kind, name from mesh_note'), [
        { kind: 'workload', name: 'shop/orders i1' },
      ]);
    });
  });
}
