import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import type { Env, LoweredFile } from '../../filter/env.ts';
import type { Filter, Verdict } from '../../filter/filter.ts';
import { FileNotRead } from '../../filter/shared-file.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, LISTENER, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { check as checkMore } from './check.ts';
import { ipAccess, IpAccessConfig } from './config.ts';
import { code } from './filter.ts';

function configOf(stated: object): IpAccessConfig {
  const { value, issues } = check(IpAccessConfig, stated);
  assert.deepEqual(issues, []);
  return value!;
}

/** As the compiler lowers them. */
function make(stated: Partial<Record<keyof IpAccessConfig, unknown>>, env: Env = makeEnv()): Filter {
  const files = (names: unknown): LoweredFile[] => ((names ?? []) as string[]).map((file) => ({ file }));
  const config = configOf(stated);
  return code.make(
    { ...config, allowFiles: files(stated.allowFiles), denyFiles: files(stated.denyFiles) } as IpAccessConfig,
    env,
  );
}

/** `passes`, or the word of the access log. */
function decide(filter: Filter, clientIp: string, peerIp: string = clientIp): string {
  const x = makeExchange({ clientIp, client: { peerIp } });
  const verdict = filter.onRequest!(x, { matchedPath: undefined }) as Verdict;
  if (verdict === undefined) return 'passes';
  assert.ok(verdict instanceof Fault);
  assert.equal(verdict.code, 'ip-access.denied');
  assert.equal(verdict.kind.status, 403);
  return x.notes.get('ipAccess')!;
}

const ROWS: readonly [rule: string, config: object, ip: string, want: string][] = [
  ['whoever is allowed passes', { allow: ['10.0.0.0/8'] }, '10.1.2.3', 'passes'],
  ['nobody else does', { allow: ['10.0.0.0/8'] }, '11.1.2.3', 'not-allowed'],
  ['with deny only, all others pass', { deny: ['10.0.0.0/8'] }, '11.1.2.3', 'passes'],
  ['whoever is denied does not', { deny: ['10.0.0.0/8'] }, '10.1.2.3', 'denied'],
  ['deny wins over allow', { allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.1.2.3', 'denied'],
  ['deny wins over a closer allow', { allow: ['10.1.2.3'], deny: ['10.0.0.0/8'] }, '10.1.2.3', 'denied'],
  ['beside the hole all is as before', { allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.2.0.1', 'passes'],
  ['IPv6', { allow: ['2001:db8::/32'] }, '2001:db8:1::5', 'passes'],
  ['IPv6 outside', { allow: ['2001:db8::/32'] }, '2001:db9::5', 'not-allowed'],
  ['IPv4 in the clothes of IPv6 is IPv4', { deny: ['10.0.0.0/8'] }, '::ffff:10.1.2.3', 'denied'],
  ['in hexadecimal, too', { deny: ['10.0.0.0/8'] }, '::ffff:a01:203', 'denied'],
  ['all of IPv4 is not all', { allow: ['0.0.0.0/0'] }, '2001:db8::1', 'not-allowed'],
  ['an address with a zero in front is none', { deny: ['10.0.0.0/8'] }, '010.1.2.3', 'not-an-address'],
  ['what is no address is refused, with deny only', { deny: ['10.0.0.0/8'] }, 'unknown', 'not-an-address'],
  ['what is no address is refused, with allow only', { allow: ['0.0.0.0/0', '::/0'] }, '', 'not-an-address'],
];

for (const [rule, config, ip, want] of ROWS) {
  test(`ipAccess: ${rule}`, () => assert.equal(decide(make(config), ip), want));
}

test('ipAccess: the address is that of the client, or that of the peer', () => {
  assert.equal(decide(make({ allow: ['10.0.0.0/8'] }), '10.1.2.3', '192.0.2.1'), 'passes');
  assert.equal(decide(make({ allow: ['10.0.0.0/8'], of: 'peer' }), '10.1.2.3', '192.0.2.1'), 'not-allowed');
});

const WRONG: readonly [rule: string, config: object, pointer: string, message: RegExp][] = [
  ['nothing is said', {}, '', /without effect/],
  ['a network is none', { allow: ['10.0.0.0/8', '10.0.0.0/33'] }, '/allow/1', /got "10.0.0.0\/33"/],
  ['a name is no network', { deny: ['example.test'] }, '/deny/0', /got "example.test"/],
];

for (const [rule, config, pointer, message] of WRONG) {
  test(`ipAccess: refuses a configuration where ${rule}`, () => {
    const [issue, ...more] = checkMore(configOf(config));
    assert.deepEqual(more, []);
    assert.equal(issue?.pointer, pointer);
    assert.match(issue.message, message);
  });
}

test('ipAccess: explains what it does', () => {
  const deny = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6'];
  assert.deepEqual(ipAccess.explain(configOf({ allow: ['10.0.0.0/8'], allowFiles: ['/a', '/b'], deny, of: 'peer' })), [
    'deny 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 2 more',
    'allow only 10.0.0.0/8, 2 files',
    'by the address of the peer',
  ]);
});

/** Files by name, which tests change. */
class Files {
  readonly texts = new Map<string, string>();
  reads = 0;
  readonly #watchers = new Map<() => void, string>();

  env(): ReturnType<typeof makeEnv> {
    return makeEnv({
      readFile: ({ file }) => {
        this.reads++;
        const text = this.texts.get(file);
        if (text === undefined) throw new Error(`ENOENT: no such file, open '${file}'`);
        return Buffer.from(text);
      },
      watchFile: ({ file }, onChange) => {
        const watcher = (): void => onChange();
        this.#watchers.set(watcher, file);
        return () => void this.#watchers.delete(watcher);
      },
    });
  }

  get watched(): number {
    return this.#watchers.size;
  }

  change(file: string, text: string): void {
    this.texts.set(file, text);
    for (const [watcher, watched] of this.#watchers) if (watched === file) watcher();
  }
}

test('ipAccess: a file has a network a line, and comments', () => {
  const files = new Files();
  files.texts.set('/bad.txt', '# known\r\n10.0.0.0/8 ; spamhaus\r\n\r\n  2001:db8::/32# note\r\n192.0.2.7');
  const filter = make({ denyFiles: ['/bad.txt'], deny: ['198.51.100.0/24'] }, files.env());
  const got = ['10.9.9.9', '2001:db8::1', '192.0.2.7', '198.51.100.1', '192.0.2.8'].map((ip) => decide(filter, ip));
  assert.deepEqual(got, ['denied', 'denied', 'denied', 'denied', 'passes']);
  filter.close!();
});

test('ipAccess: an empty file of who is allowed allows nobody', () => {
  const files = new Files();
  files.texts.set('/staff.txt', '# nobody yet\n');
  const filter = make({ allowFiles: ['/staff.txt'] }, files.env());
  assert.equal(decide(filter, '10.1.2.3'), 'not-allowed');
  filter.close!();
});

for (const [rule, text, want] of [
  ['that is not there', undefined, /not used: ENOENT: no such file.*Requests answer 500 until it is right/],
  ['that is wrong', '10.0.0.0/8\nexample.test\n', /not used: \/bad\.txt:2: expected a network.*Requests answer 500/],
] as const) {
  test(`ipAccess: a file ${rule} at first lets nobody in, until it is right`, () => {
    const files = new Files();
    if (text !== undefined) files.texts.set('/bad.txt', text);
    const env = files.env();
    const [filter, other] = [make({ denyFiles: ['/bad.txt'] }, env), make({ denyFiles: ['/bad.txt'] }, files.env())];
    assert.throws(() => decide(filter, '10.1.2.3'), FileNotRead);
    assert.throws(() => decide(other, '10.1.2.3'), FileNotRead);
    assert.equal(env.warnings.length, 1);
    assert.match(env.warnings[0]!, want);
    files.change('/bad.txt', '10.0.0.0/8');
    for (const one of [filter, other]) {
      assert.deepEqual([decide(one, '10.1.2.3'), decide(one, '11.1.2.3')], ['denied', 'passes']);
      one.close!();
    }
    assert.equal(files.watched, 0);
  });
}

test('ipAccess: a file that changes is read again; a broken one changes nothing', () => {
  const files = new Files();
  files.texts.set('/bad.txt', '10.0.0.0/8');
  const env = files.env();
  const filter = make({ denyFiles: ['/bad.txt'] }, env);
  files.change('/bad.txt', '11.0.0.0/8');
  assert.deepEqual([decide(filter, '10.1.2.3'), decide(filter, '11.1.2.3')], ['passes', 'denied']);
  files.change('/bad.txt', '12.0.0.0/8\n<html>');
  assert.deepEqual([decide(filter, '11.1.2.3'), decide(filter, '12.1.2.3')], ['denied', 'passes']);
  assert.deepEqual(Object.fromEntries(env.counts), { list_read: 1, denied: 2, list_refused: 1 });
  assert.match(env.warnings[0] ?? '', /not used: \/bad.txt:2: expected a network.*The one from before goes on/);
  filter.close!();
});

test('ipAccess: filters with the same lists share them, and somebody watches until the last one is closed', () => {
  const files = new Files();
  files.texts.set('/bad.txt', '10.0.0.0/8');
  const filters = Array.from({ length: 5 }, () => make({ denyFiles: ['/bad.txt'] }, files.env()));
  assert.deepEqual([files.reads, files.watched], [1, 1]);
  filters[0]!.close!();
  filters[3]!.close!();
  files.change('/bad.txt', '11.0.0.0/8');
  assert.deepEqual([files.reads, files.watched], [2, 1]);
  assert.deepEqual(
    [1, 2, 4].map((i) => decide(filters[i]!, '11.1.2.3')),
    ['denied', 'denied', 'denied'],
  );
  for (const i of [1, 2, 4]) filters[i]!.close!();
  assert.equal(files.watched, 0);
  make({ denyFiles: ['/bad.txt'] }, files.env()).close!();
  assert.equal(files.reads, 3, 'nothing is kept that nobody uses');
});

test('ipAccess: 100,000 networks cost less than 1 us a request', () => {
  const files = new Files();
  const networks = Array.from({ length: 100_000 }, (_, i) => `${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`);
  files.texts.set('/many.txt', networks.join('\n'));
  const filter = make({ denyFiles: ['/many.txt'] }, files.env());
  const x = makeExchange({ clientIp: '203.0.113.9' });
  const round = (): number => {
    const start = performance.now();
    for (let i = 0; i < 20_000; i++) void filter.onRequest!(x, { matchedPath: undefined });
    return (performance.now() - start) / 20;
  };
  const us = Math.min(...Array.from({ length: 20 }, round)) / 1000;
  filter.close!();
  assert.ok(us < 1, `${us} us`);
});

test('ipAccess: end to end, the client is whom trusted hops name, and nobody else can name one', async () => {
  await using upstream = await Upstream.start((_, answer) => answer.end('ok'));
  await using proxy = new Harness([ipAccess]);
  const filters = [{ filter: 'ipAccess', config: { ...configOf({ allow: ['10.0.0.0/8'] }) }, owner: 'Policy d/p' }];
  const settings = { ...LISTENER.settings, trustedHops: { count: 1, cidrs: ['127.0.0.2/32'] } };
  await proxy.start({
    listeners: { l: { ...LISTENER, settings } },
    routes: { r: routeOf(ruleTo({ filters })) },
    clusters: { c: clusterTo([upstream.port]) },
  });
  const ask = (localAddress: string, forwarded: string): Promise<{ status: number; body: string }> =>
    request(proxy.port, { localAddress, headers: { 'x-forwarded-for': forwarded } });

  assert.equal((await ask('127.0.0.2', '10.1.2.3')).status, 200);
  const refused = await ask('127.0.0.2', '11.1.2.3');
  assert.equal(refused.status, 403);
  assert.match(refused.body, /"code":"ip-access.denied"/);
  assert.doesNotMatch(refused.body, /11\.1\.2\.3|10\.0\.0\.0/);
  assert.equal((await ask('127.0.0.3', '10.1.2.3')).status, 403, 'the peer is not trusted');
  assert.equal((await ask('127.0.0.2', '10.1.2.3, 11.1.2.3')).status, 403, 'only the last hop is ours');
  assert.deepEqual(proxy.lines()[1]?.['filters'], { ipAccess: 'not-allowed' });
});
