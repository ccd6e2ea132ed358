import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { Asked } from '../sidecar/asked-services.ts';
import { accountIn } from './account.ts';
import { Addresses, readRange } from './addresses.ts';
import { ledBy } from './capture.ts';
import { Directory } from './directory.ts';
import { DnsAnswerer } from './dns-answerer.ts';
import { Forwarder, Frames, framed } from './dns-forward.ts';
import { answerTo, type Question, readQuestion } from './dns-message.ts';
import { upstreamsIn } from './resolv-conf.ts';
import { scopeOf, serviceRules, tableRules } from './rules.ts';

const RANGES: [cidr: string, size: number | undefined][] = [
  ['127.240.0.0/16', 65_536],
  ['10.0.0.0/8', 16_777_216],
  ['192.168.7.0/24', 256],
  ['127.240.1.0/16', undefined],
  ['192.168.7.0/25', undefined],
  ['0.0.0.0/0', undefined],
  ['300.0.0.0/8', undefined],
  ['fd00::/16', undefined],
  ['127.240.0.0', undefined],
];

for (const [cidr, size] of RANGES) {
  test(`a range: ${cidr}`, () => assert.equal(readRange(cidr)?.size, size));
}

const SMALL = readRange('192.168.7.0/24')!;

test('a service keeps its address, and two never have the same', () => {
  const addresses = new Addresses(SMALL);
  const names = Array.from({ length: 128 }, (_, i) => `Service/shop/s${i}`);
  const first = names.map((name) => addresses.of(name));
  assert.equal(new Set(first).size, 128);
  assert.ok(!first.includes('192.168.7.0') && !first.includes('192.168.7.255'));
  const again = new Addresses(SMALL, addresses.kept);
  assert.deepEqual(
    names
      .toReversed()
      .map((name) => again.of(name))
      .toReversed(),
    first,
  );
  // Beyond half of the range the oldest is forgotten.
  addresses.of('Service/shop/one-more');
  assert.equal(Object.keys(addresses.kept).length, 128);
  assert.equal(addresses.kept[names[0]!], undefined);
});

test('addresses of another range, or of nobody, are not taken over', () => {
  const kept = { a: '10.0.0.1', b: '192.168.7.0', c: 'x', d: '192.168.7.9', e: '192.168.7.9' };
  assert.deepEqual(new Addresses(SMALL, kept).kept, { d: '192.168.7.9' });
});

const NAMED = [
  { key: 'Service/shop/web/80', hosts: ['web', 'web.shop', '10.9.8.7', '[fd00::1]'], port: 80 },
  { key: 'Service/shop/web/443', hosts: ['web', 'web.shop', '10.9.8.7'], port: 443 },
  { key: 'Service/shop/late/1', hosts: ['late.shop'], port: 1 },
];

test('each port of a service leads to its own, by the address of its names and by a virtual one that it has', () => {
  const addresses = new Addresses(SMALL);
  const ports = new Map([
    ['Service/shop/web/80', 15_101],
    ['Service/shop/web/443', 15_102],
  ]);
  const { elements, names } = ledBy(NAMED, addresses, ports);
  const web = addresses.of('Service/shop/web');
  const want = { [`${web} . 80`]: 15_101, '10.9.8.7 . 80': 15_101, [`${web} . 443`]: 15_102, '10.9.8.7 . 443': 15_102 };
  assert.deepEqual(Object.fromEntries(elements), want);
  assert.deepEqual(Object.fromEntries(names), { web, 'web.shop': web });
});

test('rules: who is captured, and who is asked', () => {
  const upstreams = [
    { address: '10.0.0.53', port: 53 },
    { address: 'fd00::53', port: 53 },
  ];
  const common = { dnsPort: 15_100, dnsOn6: true, range: '127.240.0.0/16', upstreams };
  const user = tableRules({ ...common, scope: { kind: 'user', uid: 1_001 } }, new Map([['127.240.0.9 . 80', 15_101]]));
  assert.match(user, /table inet fourways_user_1001 \{/);
  assert.equal(user.match(/meta skuid != 1001 return/g)?.length, 2);
  assert.match(user, /elements = \{ 127\.240\.0\.9 \. 80 : 15101 \}/);
  assert.match(user, /meta nfproto ipv6 udp dport 53 redirect to :15100/);
  const others = tableRules({ ...common, dnsOn6: false, scope: { kind: 'others', uid: 0 } }, new Map());
  assert.equal(others.match(/meta skuid 0 return/g)?.length, 2);
  assert.match(others, /ip daddr \{ 10\.0\.0\.53 \} tcp dport 53 redirect/);
  assert.doesNotMatch(others, /ipv6|elements/);
  assert.equal(serviceRules({ kind: 'others', uid: 0 }, new Map()), 'flush map inet fourways_others_0 services\n');
  assert.deepEqual(scopeOf('fourways_user_1001'), { kind: 'user', uid: 1_001 });
  for (const table of ['fourways', 'fourways_user_', 'my_fourways_user_1', 'fourways_user_1x']) {
    assert.equal(scopeOf(table), undefined);
  }
});

test('resolvers of the system, as resolv.conf has them', () => {
  const text = '# nameserver 1.1.1.1\nsearch a.b\nnameserver 10.0.0.1\n nameserver\tfe80::1%eth0 \nnameserver x\n';
  assert.deepEqual(
    upstreamsIn(text).map(({ address }) => address),
    ['10.0.0.1', 'fe80::1%eth0'],
  );
});

test('users, by name and by number', () => {
  const passwd = 'root:x:0:0:root:/root:/bin/sh\nme:x:1001:1002:,,,:/home/me:/bin/sh\n\n';
  const me = { uid: 1_001, gid: 1_002, name: 'me', home: '/home/me' };
  assert.deepEqual(accountIn(passwd, 'me'), me);
  assert.deepEqual(accountIn(passwd, '1001'), me);
  assert.deepEqual(accountIn(passwd, '77'), { uid: 77, gid: 77, name: undefined, home: undefined });
  assert.equal(accountIn(passwd, 'you'), undefined);
});

/** A directory whose control plane answers as it is told. */
function asking(answers: (name: string) => Promise<Asked>): {
  directory: Directory;
  clock: ManualClock;
  said: string[];
} {
  const said: string[] = [];
  const clock = new ManualClock();
  const directory = new Directory({
    ask(name) {
      said.push(`ask ${name}`);
      return answers(name);
    },
    drop: (name) => said.push(`drop ${name}`),
    clock,
  });
  return { directory, clock, said };
}

test('a name that is known is found, and one that cannot be a service is not asked for', () => {
  const { directory, said } = asking(() => Promise.resolve('unknown'));
  directory.replace(new Map([['web.shop', '127.240.0.9']]));
  assert.equal(directory.find('web.shop'), '127.240.0.9');
  for (const name of [
    '',
    'a.b.c',
    'www.shop.test',
    'web.shop.svc.other',
    'localhost',
    'x.localhost',
    '_dmarc.x',
    '-a',
  ]) {
    assert.equal(directory.find(name), undefined);
  }
  assert.deepEqual(said, []);
});

test('a name that nobody knows is asked for once, and again when that is long ago', async () => {
  const { directory, clock, said } = asking(() => Promise.resolve('unknown'));
  assert.deepEqual(await Promise.all([directory.find('no.shop'), directory.find('no.shop')]), [undefined, undefined]);
  assert.equal(directory.find('no.shop'), undefined);
  assert.deepEqual(said, ['ask no.shop', 'drop no.shop']);
  clock.advance(10_001);
  await directory.find('no.shop');
  assert.equal(said.length, 4);
});

test('a plan that was under way already says nothing of the name: it is asked for again', async () => {
  const { directory, said } = asking(async () => {
    if (said.length === 2) directory.replace(new Map([['web.shop', '127.240.0.9']]));
    return 'settled';
  });
  assert.equal(await directory.find('web.shop'), '127.240.0.9');
  assert.deepEqual(said, ['ask web.shop', 'ask web.shop']);
});

test('nobody waits longer than a second for a control plane', async () => {
  const { directory, clock } = asking(() => new Promise<Asked>(() => undefined));
  const found = directory.find('web.shop');
  clock.advance(1_001);
  assert.equal(await found, undefined);
});

test('an answerer, with a client that is not ours: services, other names by UDP, long answers by TCP', async () => {
  const many = Array.from({ length: 60 }, (_, i) => `192.0.2.${i + 1}`);
  const udp = createSocket('udp4');
  udp.on('message', (query, from) => {
    const question = readQuestion(query) as Question;
    if (question.name === 'silent.test') return;
    const answer = Buffer.from(
      answerTo(query, question, { addresses: question.name === 'long.test' ? [] : ['192.0.2.1'], ttlS: 1 }),
    );
    if (question.name === 'long.test') answer[2]! |= 2; // TC: ask by TCP
    const forged = Buffer.from(answer);
    forged[1]! ^= 1;
    udp.send(forged, from.port, from.address);
    udp.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
  const { port: upstreamPort } = udp.address();
  const tcp = createServer((socket) => {
    const frames = new Frames();
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      for (const query of frames.push(bytes)) {
        const whole = framed(answerTo(query, readQuestion(query) as Question, { addresses: many, ttlS: 1 }));
        socket.write(whole.subarray(0, 1));
        setImmediate(() => socket.write(whole.subarray(1)));
      }
    });
  });
  await new Promise<void>((resolve) => tcp.listen(upstreamPort, '127.0.0.1', resolve));
  const forwarder = new Forwarder({
    upstreams: () => [{ address: '127.0.0.1', port: upstreamPort }],
    clock: systemClock,
    waitMs: 200,
  });
  const { answerer, port } = await openAnswerer(forwarder);
  const resolver = new Resolver({ timeout: 5_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  try {
    assert.deepEqual(await resolver.resolve4('web.shop', { ttl: true }), [{ address: '127.240.0.9', ttl: 30 }]);
    await assert.rejects(resolver.resolve6('web.shop'), { code: 'ENODATA' });
    assert.deepEqual(await resolver.resolve4('other.test'), ['192.0.2.1']);
    assert.deepEqual((await resolver.resolve4('long.test')).length, 60);
    await assert.rejects(resolver.resolve4('silent.test'), { code: 'ESERVFAIL' });
  } finally {
    answerer.close();
    udp.close();
    tcp.close();
  }
});

async function openAnswerer(forwarder: Forwarder): Promise<{ answerer: DnsAnswerer; port: number }> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const answerer = await DnsAnswerer.open(['127.0.0.1'], port, {
    find: (name) => (name === 'web.shop' ? '127.240.0.9' : undefined),
    forward: forwarder.ask.bind(forwarder),
  });
  return { answerer, port };
}
