import assert from 'node:assert/strict';
import { argon2Sync, randomBytes, scryptSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { Cells } from '../../filter/cells.ts';
import type { Env } from '../../filter/env.ts';
import type { Authentication, Filter } from '../../filter/filter.ts';
import { FileNotRead } from '../../filter/shared-file.ts';
import { linesOf, makeEnv, makeExchange, type TestEnv } from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { basic, BasicConfig } from './config.ts';
import { code } from './filter.ts';
import { hashPassword, readPasswordHash } from './password.ts';
import { readUsers } from './users.ts';

// With little work: tests ask often.
const salt = Buffer.from('0123456789abcdef');
const b64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
const parameters = { message: 'secret', nonce: salt, parallelism: 1, tagLength: 32, memory: 64, passes: 1 };
const argon2id = `$argon2id$v=19$m=64,t=1,p=1$${b64(salt)}$${b64(argon2Sync('argon2id', parameters))}`;
const scrypt = `$scrypt$ln=10,r=8,p=1$${b64(salt)}$${b64(scryptSync('p:\u00e4:s', salt, 32, { N: 1024, r: 8, p: 1 }))}`;

const USERS = `# users\n\nalice:${argon2id}:staff,admin\r\nj\u00f6rg:${scrypt}\n`;

interface Made {
  readonly filter: Filter;
  readonly env: TestEnv;
  readonly change: (text: string) => void;
}

/** As the compiler lowers it. */
function make(config: object = {}, users: string = USERS, parts: Partial<Env> = {}): Made {
  const { value, issues } = check(BasicConfig, config);
  assert.deepEqual(issues, []);
  let text = users;
  let onChange: (() => void) | undefined;
  const env = makeEnv({
    readFile: () => Buffer.from(text),
    watchFile: (_, told) => {
      onChange = told;
      return () => undefined;
    },
    ...parts,
  });
  return {
    filter: code.make({ ...value!, file: { file: '/etc/users' } }, env),
    env,
    change: (now) => {
      text = now;
      onChange!();
      for (let i = 0; i < 5; i++) env.advance(1);
    },
  };
}

const coded = (text: string | Buffer): string => `Basic ${Buffer.from(text).toString('base64')}`;

function ask(
  filter: Filter,
  authorization: string | string[],
  clientIp = '192.0.2.1',
): Authentication | Promise<Authentication> {
  return filter.authenticate!(makeExchange({ headers: { authorization }, clientIp }));
}

function word(said: Authentication): string {
  if (said === 'absent') return said;
  if (said instanceof Fault) return `${said.kind.status} ${said.code}`;
  assert.ok('subject' in said);
  return said.subject;
}

const INVALID = '401 basic.invalid';
const MALFORMED = '400 basic.malformed';
const alice = coded('alice:secret');

const ROWS: [rule: string, authorization: string | string[], want: string][] = [
  ['Argon2id', alice, 'alice'],
  ['scrypt, UTF-8, colons in the password', coded('j\u00f6rg:p:\u00e4:s'), 'j\u00f6rg'],
  ['another way to write the same characters', coded('jo\u0308rg:p:a\u0308:s'), 'j\u00f6rg'],
  ['the scheme in any case', alice.replace('Basic', 'bAsIc'), 'alice'],
  ['more than one space', alice.replace(' ', '   '), 'alice'],
  ['another scheme is for others', `Bearer ${alice.slice(6)}`, 'absent'],
  ['a scheme that only begins alike', `Basics ${alice.slice(6)}`, 'absent'],
  ['two lines of other schemes', ['Bearer x', 'Digest y'], 'absent'],
  ['a wrong password', coded('alice:secret2'), INVALID],
  ['a password that goes on', coded('alice:secret '), INVALID],
  ['an empty password', coded('alice:'), INVALID],
  ['a user that there is not', coded('mallory:secret'), INVALID],
  ['the name in another case', coded('Alice:secret'), INVALID],
  ['the hash for the password', coded(`alice:${argon2id}`), INVALID],
  ['the password of another', coded('j\u00f6rg:secret'), INVALID],
  ['a name of Object', coded('__proto__:secret'), INVALID],
  ['no colon', coded('alice'), MALFORMED],
  ['an empty name', coded(':secret'), MALFORMED],
  ['Latin-1', coded(Buffer.from('j\u00f6rg:p:\u00e4:s', 'latin1')), MALFORMED],
  ['a NUL', coded('alice:secret\0'), MALFORMED],
  ['a line end', coded('alice\r\nx-admin: 1:secret'), MALFORMED],
  ['a DEL', coded('alice:secret\x7f'), MALFORMED],
  [
    'base64 without its padding',
    `Basic ${Buffer.from('alice:secretx').toString('base64').replaceAll('=', '')}`,
    MALFORMED,
  ],
  // RFC 4648 section 3.5: bits behind the last byte that are not zero.
  ['base64 in another spelling', 'Basic YWxpY2U6c2VjcmV0eB==', MALFORMED],
  ['base64 for addresses', 'Basic YWxpY2U6c2VjcmV0Pz8_', MALFORMED],
  ['spaces in base64', alice.replace('YWxp', 'YW xp'), MALFORMED],
  ['something behind it', `${alice}, ${alice}`, MALFORMED],
  ['nothing behind the scheme', 'Basic ', MALFORMED],
  ['twice', [alice, alice], MALFORMED],
  ['beside another scheme', ['Bearer x', alice], MALFORMED],
  ['a huge value', coded(`alice:${'x'.repeat(20_000)}`), MALFORMED],
];

for (const [rule, authorization, want] of ROWS) {
  test(`basic: ${rule}: ${want}`, async () => {
    const { filter } = make();
    // Again, when the answer is known.
    for (const _ of ['cold', 'warm']) assert.equal(word(await ask(filter, authorization)), want);
  });
}

test('basic: who it is, with groups; the challenge says realm and charset', async () => {
  const { filter } = make({ realm: 'shop' });
  const said = (await ask(filter, alice)) as { readonly consumer: object; readonly methods: object };
  assert.deepEqual(said.consumer, { name: 'alice', groups: ['staff', 'admin'], labels: {} });
  assert.deepEqual(said.methods, ['basic']);
  assert.equal(filter.challenge, 'Basic realm="shop", charset="UTF-8"');
  const fault = (await ask(filter, coded('alice:wrong'))) as Fault;
  assert.deepEqual(fault.extras, { headers: [['www-authenticate', filter.challenge]] });
  assert.ok(!JSON.stringify(fault).includes('alice') && !JSON.stringify(fault).includes('wrong'));
});

test('basic: the answer is known for a while, without a promise; also that it is no', async () => {
  const { filter, env } = make({ cacheSeconds: 60 });
  for (const [authorization, want] of [
    [alice, 'alice'],
    [coded('alice:wrong'), INVALID],
  ] as const) {
    env.counts.clear();
    const first = ask(filter, authorization);
    assert.ok(first instanceof Promise);
    await first;
    env.advance(59_999);
    const second = ask(filter, authorization);
    assert.ok(!(second instanceof Promise));
    assert.equal(word(second), want);
    env.advance(1);
    assert.equal(word(await ask(filter, authorization)), want);
    assert.equal(env.counts.get('checked'), 2);
  }
});

test('basic: a changed file counts at once, whatever is known', async () => {
  const { filter, change } = make();
  assert.equal(word(await ask(filter, alice)), 'alice');
  change(USERS.replace('alice', 'alicia'));
  assert.equal(word(await ask(filter, alice)), INVALID);
  assert.equal(word(await ask(filter, coded('alicia:secret'))), 'alicia');
});

test('basic: many who come with the same at once are checked once', async () => {
  const { filter, env } = make();
  const said = await Promise.all(Array.from({ length: 200 }, async () => ask(filter, alice)));
  assert.ok(said.every((one) => word(one) === 'alice'));
  assert.equal(env.counts.get('checked'), 1);
});

test('basic: a flood of guesses is bounded for each address and in all, and ends', async () => {
  const { filter, env } = make();
  let nth = 0;
  const guess = (clientIp: string): Authentication | Promise<Authentication> =>
    ask(filter, coded(`alice:${nth++}`), clientIp);
  const words = async (all: (Authentication | Promise<Authentication>)[]): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (const said of await Promise.all(all.map(async (one) => one)))
      counts[word(said)] = (counts[word(said)] ?? 0) + 1;
    return counts;
  };
  const one = Array.from({ length: 100 }, () => guess('192.0.2.1'));
  assert.deepEqual(await words(one), { [INVALID]: 8, '429 basic.throttled': 92 });
  const many = Array.from({ length: 200 }, (_, i) => guess(`198.51.100.${i}`));
  assert.deepEqual(await words(many), { [INVALID]: 66, '503 basic.busy': 134 });
  assert.equal(env.counts.get('throttled'), 92 + 134);
  // Who is known is not kept waiting, and who is not finds room again.
  assert.equal(word(await ask(filter, alice, '192.0.2.1')), 'alice');
});

test('basic: another worker that has all turns is waited for, but not for ever', async () => {
  const { filter, env } = make({ checksMax: 1 });
  const other = new Cells(env.cells, { worker: 9, randomBytes });
  other.hash.read(other.space('basic'), 'turns');
  const key = { lo: other.hash.lo, hi: other.hash.hi };
  assert.equal(word(await ask(filter, alice)), 'alice');
  const hold = other.hold(key, 1, env.nowMs());
  const late = ask(filter, coded('alice:1')) as Promise<Authentication>;
  env.advance(5_001);
  assert.equal(word(await late), '503 basic.busy');
  const soon = ask(filter, coded('alice:2')) as Promise<Authentication>;
  env.advance(5);
  // As long as its own check would take.
  await readPasswordHash(argon2id).isFor('2');
  assert.equal(env.counts.get('checked'), 1);
  other.release(hold);
  env.advance(5);
  assert.equal(word(await soon), INVALID);
  assert.equal(env.counts.get('checked'), 2);
});

test('basic: while passwords are checked, the thread does other things', async () => {
  const hash = await hashPassword('secret', 'argon2id', Buffer.alloc(16));
  const { filter } = make({}, `alice:${hash}`);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const startMs = performance.now();
  assert.equal(word(await ask(filter, alice)), 'alice');
  clearInterval(timer);
  assert.ok(turns >= 3, `${turns} turns in ${performance.now() - startMs} ms`);
});

test('basic: a user that there is not takes as long as one that there is', async () => {
  const hash = await hashPassword('secret', 'argon2id', Buffer.alloc(16));
  const { filter, env } = make({}, `alice:${hash}`);
  // Time of the processor, in all threads: what others do on this machine does not count.
  const least = async (name: string): Promise<number> => {
    let bestUs = Infinity;
    for (let i = 0; i < 6; i++) {
      const before = process.cpuUsage();
      assert.equal(word(await ask(filter, coded(`${name}:${name}${i}`))), INVALID);
      const { user, system } = process.cpuUsage(before);
      bestUs = Math.min(bestUs, user + system);
    }
    return bestUs;
  };
  const [known, unknown] = [await least('alice'), await least('nobody')];
  assert.ok(unknown > known * 0.6 && unknown < known * 1.6, `${unknown} us against ${known} us`);
  assert.equal(env.counts.get('checked'), 12);
});

test('basic: a user that there is not is checked by the costs that users have, the same for each name', () => {
  const reading = readUsers(Buffer.from(`a:${argon2id}\nb:${scrypt}\n`));
  const table = reading.next().value!;
  const costs = new Map<string, number>();
  for (let i = 0; i < 200; i++) {
    const { cost } = table.decoy(`u${i}`)!;
    assert.equal(table.decoy(`u${i}`)!.cost, cost);
    costs.set(cost, (costs.get(cost) ?? 0) + 1);
  }
  assert.equal(costs.size, 2);
  for (const count of costs.values()) assert.ok(count > 50, `${count} of 200`);
});

test('basic: nobody gets in where there are no users', async () => {
  const { filter } = make({}, '# none yet\n');
  assert.equal(word(await ask(filter, alice)), INVALID);
});

const SENT: [rule: string, config: object, authorization: string[], want: string[]][] = [
  ['credentials go no further', {}, [alice], []],
  ['those of others do', {}, ['Bearer x'], ['authorization: Bearer x']],
  ['also beside ours', {}, ['Bearer x', alice], ['authorization: Bearer x']],
  ['unless ours are to', { hideCredentials: false }, [alice], [`authorization: ${alice}`]],
];

for (const [rule, config, authorization, want] of SENT) {
  test(`basic: upstream: ${rule}`, () => {
    const { filter } = make(config);
    const x = makeExchange({ headers: { authorization, 'x-consumer': 'root' } });
    filter.onRequest!(x, { matchedPath: '/' });
    assert.deepEqual(linesOf(x.request.headers), want);
  });
}

const SALT = 'MDEyMzQ1Njc4OWFiY2RlZg';
const HASH = 'A'.repeat(43);
const WRONG: [rule: string, line: string, want: RegExp][] = [
  [
    'a password in clear',
    'alice:letmein',
    /^Cannot read \/etc\/users: line 1: Expected a hash .*, got something else$/,
  ],
  ['no hash', 'alice', /line 1: Expected "user:hash"/],
  ['an empty name', `:${scrypt}`, /line 1: Expected a name/],
  ['too many fields', `a:${scrypt}:g:x`, /line 1: Expected "user:hash"/],
  ['bcrypt', 'a:$2y$05$abcdefghijklmnopqrstuv', /got \$2y\$ of another form or kind$/],
  ['MD5 of Apache', 'a:$apr1$abc$def', /got \$apr1\$ of another/],
  ['argon2i', `a:${argon2id.replace('argon2id', 'argon2i')}`, /got \$argon2i\$ of another/],
  [
    'parameters in another order',
    `a:$argon2id$v=19$t=1,m=64,p=1$${SALT}$${HASH}`,
    /Expected parameters such as "m=19456,t=2,p=1"/,
  ],
  ['too much memory', `a:$scrypt$ln=20,r=32,p=1$${SALT}$${HASH}`, /at most 256 MiB/],
  ['too much memory, Argon2', `a:$argon2id$v=19$m=9000000,t=1,p=1$${SALT}$${HASH}`, /Expected m from/],
  ['too little work', `a:$scrypt$ln=4,r=8,p=1$${SALT}$${HASH}`, /Expected ln from 10 to 20/],
  ['too much work', `a:$argon2id$v=19$m=64,t=21,p=1$${SALT}$${HASH}`, /Expected t from 1 to 20/],
  ['a short salt', `a:$argon2id$v=19$m=64,t=1,p=1$AAAA$${HASH}`, /Expected a salt of 8 to 64 bytes/],
  ['a short hash', `a:$argon2id$v=19$m=64,t=1,p=1$${SALT}$AAAA`, /Expected a salt of 8 to 64 bytes/],
  ['a group that could break a header', `a:${scrypt}:a b`, /line 1: groups: /],
  ['a user twice', `a:${scrypt}\na:${argon2id}`, /line 2: The user of an earlier line$/],
  [
    'a user twice, written in two ways',
    `\u00e4:${scrypt}\na\u0308:${argon2id}`,
    /line 2: The user of an earlier line$/,
  ],
];

for (const [rule, line, want] of WRONG) {
  test(`basic: a file with ${rule} lets nobody in until it is mended, and nothing of it is shown`, async () => {
    const { filter, env, change } = make({}, line);
    assert.throws(() => ask(filter, alice), FileNotRead);
    const said = env.warnings.join('\n').replace(/; requests that need it answer 500 until it is right$/, '');
    assert.match(said, want);
    assert.ok(!said.includes('letmein') && !said.includes(SALT));
    change(USERS);
    assert.equal(word(await ask(filter, alice)), 'alice');
  });
}

test('basic: users of a Secret; one that is wrong is named', async () => {
  const secret = { secret: 'Secret/d/users#list', key: 'list', hash: 'h' };
  const withUsers = (users: string): Filter =>
    code.make({ ...check(BasicConfig, {}).value!, secret }, makeEnv({ secret: () => users }));
  assert.equal(word(await ask(withUsers(USERS), alice)), 'alice');
  assert.throws(() => withUsers('alice:letmein'), /^Error: Cannot use Secret\/d\/users#list: line 1: Expected a hash/);
});

for (const [config, want] of [
  [{}, 'Expected one of "file" and "secret", got none'],
  [{ file: 'f', secret: { name: 'a', key: 'b' } }, 'Expected one of "file" and "secret", got both'],
  [{ file: 'f' }, undefined],
] as const) {
  test(`basic: check ${JSON.stringify(config)}`, () => {
    assert.equal(basic.check(check(BasicConfig, config).value as never)[0]?.message, want);
  });
}

for (const algorithm of ['argon2id', 'scrypt'] as const) {
  test(`passwords: ${algorithm} of ours is read again, and is for its password alone`, async () => {
    const text = await hashPassword('pa\u0308ss', algorithm, Buffer.alloc(16, 7));
    const hash = readPasswordHash(text);
    assert.equal(await hash.isFor('p\u00e4ss'), true);
    assert.equal(await hash.isFor('pass'), false);
  });
}

// ---- with sockets -----------------------------------------------------------------------------------------------

const scratch = mkdtempSync(join(tmpdir(), 'fourways-basic-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

test('basic: through the proxy: in, out, and the upstream sees no password', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    answer.end(
      JSON.stringify([
        asked.headers.authorization ?? 'none',
        asked.headers['x-consumer'],
        asked.headers['x-consumer-groups'],
      ]),
    );
  });
  const file = join(scratch, 'users');
  writeFileSync(file, USERS);
  await using harness = new Harness([basic]);
  const filter = {
    filter: 'basic',
    owner: 'Policy d/users',
    config: { ...check(BasicConfig, {}).value!, file: { file } },
  };
  await harness.start({
    routes: { r: routeOf(ruleTo({ filters: [filter as never] })) },
    clusters: { c: clusterTo([upstream.port]) },
  });
  const bare = await request(harness.port);
  assert.equal(bare.status, 401);
  assert.equal(bare.headers['www-authenticate'], 'Basic realm="api", charset="UTF-8"');
  const body = 'x'.repeat(100_000);
  for (const _ of ['cold', 'warm']) {
    const good = await request(harness.port, { method: 'POST', headers: { authorization: alice }, body });
    assert.equal(good.body, '["none","alice","staff,admin"]');
  }
  const wrong = await request(harness.port, { headers: { authorization: coded('alice:nonsense') } });
  assert.equal((JSON.parse(wrong.body) as { code: string }).code, 'basic.invalid');
  for (const line of harness.lines()) assert.ok(!/nonsense|secret/.test(JSON.stringify(line)));
});
