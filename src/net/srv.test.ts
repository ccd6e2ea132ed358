import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { type LogFields, silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { Resolver } from './dns.ts';
import { querySrv, type SrvRecord } from './srv-query.ts';
import { DnsServer } from './testing/dns-server.ts';

const NAME = '_http._tcp.orders.test';
const random = seededRandom(1, 2, 3, 4);

function ask(server: DnsServer, servers = [server.address]): ReturnType<typeof querySrv> {
  return querySrv({ name: NAME, servers, timeoutMs: 300, clock: systemClock, random });
}

test('the records of a service, by priority, with the time that they are good for', async () => {
  using server = await new DnsServer().listen();
  server.set(NAME, { services: ['20 0 81 c.test', '10 5 80 B.test', '10 60 80 a.test'], ttl: 7 }, 'srv');
  assert.deepEqual(await ask(server), {
    records: [
      { name: 'a.test', priority: 10, weight: 60, port: 80 },
      { name: 'b.test', priority: 10, weight: 5, port: 80 },
      { name: 'c.test', priority: 20, weight: 0, port: 81 },
    ],
    ttlMs: 7_000,
  });
});

test('an answer that does not fit into a datagram is asked for over TCP', async () => {
  using server = await new DnsServer().listen();
  const services = Array.from({ length: 40 }, (_, i) => `1 1 80 instance-${i}.orders.test`);
  server.set(NAME, { services, ttl: 60 }, 'srv');
  assert.equal((await ask(server)).records.length, 40);
  assert.equal(server.queries.length, 2);
});

test('a target "." says that there is no such service', async () => {
  using server = await new DnsServer().listen();
  server.set(NAME, { services: ['0 0 0 .'], ttl: 60 }, 'srv');
  assert.deepEqual((await ask(server)).records, []);
});

const FAILURES: [rule: string, reply: 'no-name' | 'failure' | 'silence' | 'empty', code: string][] = [
  ['no such name', 'no-name', 'ENOTFOUND'],
  ['no such record', 'empty', 'ENODATA'],
  ['a server that fails', 'failure', 'ESERVFAIL'],
  ['a server that says nothing', 'silence', 'ETIMEOUT'],
];

for (const [rule, reply, code] of FAILURES) {
  test(`${rule}: ${code}`, async () => {
    using server = await new DnsServer().listen();
    server.set(NAME, reply === 'empty' ? { services: [], ttl: 60 } : reply, 'srv');
    await assert.rejects(ask(server), { code });
  });
}

test('the next server is asked when one does not answer, but not when it says that there is no such name', async () => {
  using silent = await new DnsServer().listen();
  using server = await new DnsServer().listen();
  silent.set(NAME, 'silence', 'srv');
  server.set(NAME, { services: ['1 1 80 a.test'], ttl: 60 }, 'srv');
  assert.equal((await ask(silent, [silent.address, server.address])).records.length, 1);
  silent.set(NAME, 'no-name', 'srv');
  await assert.rejects(ask(silent, [silent.address, server.address]), { code: 'ENOTFOUND' });
});

test('a service is watched: by its TTL within bounds, and what was found stays while nobody answers', async () => {
  using server = await new DnsServer().listen();
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = {
    ...silentLog,
    warn: (text: string, fields?: LogFields) => void lines.push(`${text} ${JSON.stringify(fields)}`),
  };
  let ended = (): void => undefined;
  const lookUp = (): Promise<void> => new Promise((resolve) => (ended = resolve));
  const resolver = new Resolver({
    clock,
    random,
    log,
    servers: [server.address],
    hostsFile: '/nonexistent',
    onLookUp: () => ended(),
  });
  const told: (readonly SrvRecord[])[] = [];
  server.set(NAME, { services: ['1 1 80 a.test'], ttl: 0 }, 'srv');
  const first = lookUp();
  const stop = resolver.watchService(NAME, (records) => told.push(records));
  await first;
  assert.deepEqual(
    told.map((records) => records.map(({ name }) => name)),
    [['a.test']],
  );

  // A TTL of 0 is a second.
  server.set(NAME, 'failure', 'srv');
  const second = lookUp();
  clock.advance(1_100);
  await second;
  assert.equal(told.length, 1);
  assert.equal(resolver.serviceState(NAME)?.failure, 'ESERVFAIL');
  assert.equal(resolver.serviceState(NAME)?.found.length, 1);
  assert.match(lines.join(), /"addressesKept":1/);

  server.set(NAME, { services: ['1 1 80 a.test', '1 1 80 b.test'], ttl: 1_000_000 }, 'srv');
  const third = lookUp();
  clock.advance(600);
  await third;
  assert.equal(told[1]?.length, 2);

  // A TTL of days is five minutes.
  const fourth = lookUp();
  clock.advance(331_000);
  await fourth;
  stop();
  assert.equal(resolver.serviceState(NAME), undefined);
  resolver.close();
});
