import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Log, type LogFields, silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { Resolver, type ResolverOptions } from './dns.ts';
import { parseHosts } from './hosts-file.ts';
import { DnsServer } from './testing/dns-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'fourways-dns-'));
after(() => rmSync(folder, { recursive: true }));
const NO_HOSTS = join(folder, 'none');

/** What a watcher was told, in order, and a way to wait for it. */
class Told {
  readonly list: string[] = [];
  #changed = (): void => undefined;

  readonly hear = (addresses: readonly string[]): void => {
    this.list.push(addresses.join(' '));
    this.#changed();
  };

  async times(count: number): Promise<string> {
    while (this.list.length < count) await new Promise<void>((resolve) => (this.#changed = resolve));
    return this.list[count - 1]!;
  }
}

class World {
  readonly clock = new ManualClock();
  readonly server: DnsServer;
  readonly resolver: Resolver;
  readonly results: string[] = [];
  readonly lines: string[] = [];
  #heard = (): void => undefined;

  private constructor(server: DnsServer, options: Partial<ResolverOptions>) {
    this.server = server;
    const write = (message: string, fields?: LogFields): void =>
      void this.lines.push(`${message} ${JSON.stringify(fields)}`);
    const log: Log = { ...silentLog, warn: write, info: write };
    this.resolver = new Resolver({
      clock: this.clock,
      random: seededRandom(1, 2, 3, 4),
      log,
      servers: [server.address],
      timeoutMs: 100,
      hostsFile: NO_HOSTS,
      onLookUp: (result) => {
        this.results.push(result);
        this.#heard();
      },
      ...options,
    });
  }

  static async make(options: Partial<ResolverOptions> = {}): Promise<World> {
    return new World(await new DnsServer().listen(), options);
  }

  /** Resolves when `count` lookups have ended in all. */
  async lookUps(count: number): Promise<void> {
    while (this.results.length < count) await new Promise<void>((resolve) => (this.#heard = resolve));
  }

  [Symbol.dispose](): void {
    this.resolver.close();
    this.server[Symbol.dispose]();
  }
}

test('addresses come in the background: IPv4 before IPv6, sorted', async () => {
  using world = await World.make();
  world.server.set('shop.test', { addresses: ['10.0.0.9', '10.0.0.1', '2001:db8::2', '2001:db8::1'], ttl: 60 });
  const told = new Told();
  world.resolver.watch('Shop.TEST', told.hear);
  assert.deepEqual(told.list, []);
  assert.equal(await told.times(1), '10.0.0.1 10.0.0.9 2001:db8::1 2001:db8::2');
  assert.deepEqual(world.resolver.state('shop.test'), {
    found: ['10.0.0.1', '10.0.0.9', '2001:db8::1', '2001:db8::2'],
    resolvedMs: 0,
    failure: undefined,
  });
});

test('one family alone is enough', async () => {
  using world = await World.make();
  world.server.set('six.test', { addresses: ['2001:db8::1'], ttl: 60 });
  const told = new Told();
  world.resolver.watch('six.test', told.hear);
  assert.equal(await told.times(1), '2001:db8::1');
});

const TTLS: [rule: string, ttl: number, earlyMs: number, dueMs: number][] = [
  ['is asked again after its TTL', 20, 17_900, 22_100],
  ['with a TTL of zero not more than once a second', 0, 890, 1_110],
  ['with a TTL of a day after five minutes', 86_400, 269_000, 331_000],
];
for (const [rule, ttl, earlyMs, dueMs] of TTLS) {
  test(`a name ${rule}`, async () => {
    using world = await World.make();
    world.server.set('a.test', { addresses: ['10.0.0.1'], ttl });
    const told = new Told();
    world.resolver.watch('a.test', told.hear);
    await told.times(1);
    world.server.set('a.test', { addresses: ['10.0.0.2'], ttl });
    world.clock.advance(earlyMs);
    assert.equal(world.server.queries.length, 2);
    world.clock.advance(dueMs - earlyMs);
    assert.equal(await told.times(2), '10.0.0.2');
    assert.equal(world.server.queries.length, 4);
  });
}

test('an answer that says the same tells nobody', async () => {
  using world = await World.make();
  world.server.set('a.test', { addresses: ['10.0.0.2', '10.0.0.1'], ttl: 1 });
  const told = new Told();
  world.resolver.watch('a.test', told.hear);
  await told.times(1);
  world.server.set('a.test', { addresses: ['10.0.0.1', '10.0.0.2'], ttl: 1 });
  world.clock.advance(1_200);
  await world.lookUps(2);
  assert.equal(told.list.length, 1);
});

for (const [rule, reply, code] of [
  ['a server failure', 'failure', 'ESERVFAIL'],
  ['silence', 'silence', 'ETIMEOUT'],
  ['a name that is gone', 'no-name', 'ENOTFOUND'],
] as const) {
  test(`${rule} leaves the last good addresses in use, with their age, and is tried again ever later`, async () => {
    using world = await World.make();
    world.server.set('a.test', { addresses: ['10.0.0.1'], ttl: 10 });
    const told = new Told();
    world.resolver.watch('a.test', told.hear);
    await told.times(1);
    world.server.set('a.test', reply);
    world.clock.advance(11_500);
    await world.lookUps(2);
    assert.deepEqual(world.resolver.state('a.test'), { found: ['10.0.0.1'], resolvedMs: 0, failure: code });
    world.clock.advance(560);
    await world.lookUps(3);
    world.clock.advance(560);
    assert.equal(world.results.length, 3, 'the second pause is longer');
    world.clock.advance(600);
    await world.lookUps(4);
    world.server.set('a.test', { addresses: ['10.0.0.7'], ttl: 10 });
    world.clock.advance(3_000);
    assert.equal(await told.times(2), '10.0.0.7');
    assert.equal(world.resolver.state('a.test')?.failure, undefined);
    assert.deepEqual(world.lines, [
      `Cannot resolve a name {"name":"a.test","error":"${code}","addressesKept":1}`,
      'A name resolves again {"name":"a.test"}',
    ]);
  });
}

test('half an answer is no answer: one family that fails does not take the other down', async () => {
  using world = await World.make();
  world.server.set('a.test', { addresses: ['10.0.0.1', '2001:db8::1'], ttl: 10 });
  const told = new Told();
  world.resolver.watch('a.test', told.hear);
  await told.times(1);
  world.server.set('a.test', 'failure', 'a');
  world.clock.advance(11_500);
  await world.lookUps(2);
  assert.equal(world.results[1], 'failed');
  assert.deepEqual(world.resolver.state('a.test')?.found, ['10.0.0.1', '2001:db8::1']);
});

test('many watchers of a name share one query, and a late one is told what is known', async () => {
  using world = await World.make();
  world.server.set('a.test', { addresses: ['10.0.0.1'], ttl: 60 });
  const all = Array.from({ length: 20 }, () => new Told());
  for (const told of all) world.resolver.watch('a.test', told.hear);
  await Promise.all(all.map((told) => told.times(1)));
  const late = new Told();
  world.resolver.watch('a.test', late.hear);
  assert.deepEqual(late.list, [], 'not in this turn');
  assert.equal(await late.times(1), '10.0.0.1');
  assert.equal(world.server.queries.length, 2);
});

test('the last watcher that leaves ends the queries', async () => {
  using world = await World.make();
  world.server.set('a.test', { addresses: ['10.0.0.1'], ttl: 1 });
  const told = new Told();
  const stops = [world.resolver.watch('a.test', told.hear), world.resolver.watch('a.test', told.hear)];
  await told.times(2);
  stops[0]!();
  stops[0]!();
  assert.notEqual(world.resolver.state('a.test'), undefined);
  stops[1]!();
  assert.equal(world.resolver.state('a.test'), undefined);
  assert.equal(world.clock.pending, 0);
});

test('many names do not flood the server', async () => {
  using world = await World.make();
  for (let i = 0; i < 200; i++) {
    world.server.set(`n${i}.test`, 'silence');
    world.resolver.watch(`n${i}.test`, () => undefined);
  }
  await world.server.asked(64);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(new Set(world.server.queries).size, 64, '32 names, two questions each');
});

test('the hosts file comes first, and its changes are seen', async () => {
  const hostsFile = join(folder, 'hosts');
  writeFileSync(hostsFile, '10.1.1.1 a.test  # here\n');
  using world = await World.make({ hostsFile });
  world.server.set('a.test', { addresses: ['10.0.0.1'], ttl: 60 });
  const told = new Told();
  world.resolver.watch('a.test', told.hear);
  assert.equal(await told.times(1), '10.1.1.1');
  assert.deepEqual(world.server.queries, []);
  writeFileSync(hostsFile, '');
  world.clock.advance(34_000);
  assert.equal(await told.times(2), '10.0.0.1');
});

test('localhost is never asked of a name server', async () => {
  using world = await World.make();
  const told = new Told();
  world.resolver.watch('localhost', told.hear);
  world.resolver.watch('app.localhost', told.hear);
  await told.times(2);
  assert.deepEqual(told.list, ['127.0.0.1', '127.0.0.1']);
  assert.deepEqual(world.server.queries, []);
});

test('without servers of our own, names without a dot are the platform’s', async () => {
  const resolver = new Resolver({ clock: new ManualClock(), random: seededRandom(1, 2, 3, 4), log: silentLog });
  const told = new Told();
  resolver.watch('localhost', told.hear);
  assert.match(await told.times(1), /127\.0\.0\.1|::1/);
  resolver.close();
});

test('parseHosts: comments, several names, both families, repeats, nonsense', () => {
  const text = '# c\n127.0.0.1\tlocalhost Lo # x\n::1 localhost\n127.0.0.1 localhost\nnot-an-ip a\n\n10.0.0.1\n';
  assert.deepEqual(Object.fromEntries(parseHosts(text)), { localhost: ['127.0.0.1', '::1'], lo: ['127.0.0.1'] });
});
