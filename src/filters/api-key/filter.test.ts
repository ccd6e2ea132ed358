import assert from 'node:assert/strict';
import { scrypt } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Fault } from '../../base/fault.ts';
import type { Env, LoweredFile, LoweredSecret } from '../../filter/env.ts';
import type { Filter } from '../../filter/filter.ts';
import { FileNotRead } from '../../filter/shared-file.ts';
import { type ExchangeValues, linesOf, makeEnv, makeExchange, TEST_WALL_MS } from '../../filter/testing/exchange.ts';
import { filterLoans } from '../../main/filter-loans.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { apiKey, ApiKeyConfig } from './config.ts';
import { code } from './filter.ts';
import { sha256Of, writeRecord, type WrittenRecord } from './record.ts';

const KEY = 'fw_0000000000000000000000000000000000000000000000000';
const OTHER = 'fw_1111111111111111111111111111111111111111111111111';
const RECORD: WrittenRecord = {
  id: '00112233445566aa',
  sha256: sha256Of(KEY),
  consumer: 'acme',
  groups: ['gold'],
  labels: { team: 'x' },
};

const FILE: LoweredFile = { file: '/etc/keys.jsonl' };

interface Made {
  readonly filter: Filter;
  readonly env: ReturnType<typeof makeEnv>;
}

/** As the compiler lowers it. */
function make(config: object, records: readonly object[] = [RECORD], parts: Partial<Env> = {}): Made {
  const { value, issues } = check(ApiKeyConfig, config);
  assert.deepEqual(issues, []);
  const text = records.map((record) => `${writeRecord(record as WrittenRecord)}\n`).join('');
  const env = makeEnv({ readFile: () => Buffer.from(text), ...parts });
  return { filter: code.make({ ...value!, file: FILE }, env), env };
}

/** `acme`, `absent`, or the code of the fault with its status. */
function ask(filter: Filter, values: ExchangeValues): string {
  const said = filter.authenticate!(makeExchange(values));
  assert.ok(!(said instanceof Promise));
  if (said === 'absent') return said;
  if (said instanceof Fault) return `${said.kind.status} ${said.code}`;
  assert.ok('subject' in said);
  return said.consumer!.name;
}

const EVERYWHERE = {
  from: [
    { header: 'X-Api-Key' },
    { header: 'Authorization', scheme: 'ApiKey' },
    { query: 'api_key' },
    { cookie: 'api_key' },
  ],
};

const INVALID = '401 api-key.invalid';
const AMBIGUOUS = '400 api-key.ambiguous';
const url = (query: string): string => `http://shop.test/a${query}`;

const PLACES: [rule: string, values: ExchangeValues, want: string][] = [
  ['a header', { headers: { 'X-API-KEY': KEY } }, 'acme'],
  ['a scheme, in any case', { headers: { authorization: `aPIkEY ${KEY}` } }, 'acme'],
  ['more than one space behind the scheme', { headers: { authorization: `ApiKey   ${KEY}` } }, 'acme'],
  ['a query parameter', { url: url(`?a=1&api_key=${KEY}&b`) }, 'acme'],
  ['a query parameter whose name is escaped', { url: url(`?api%5Fkey=${KEY}`) }, 'acme'],
  ['a query parameter whose value is escaped', { url: url(`?api_key=${KEY.replace('_', '%5F')}`) }, 'acme'],
  ['a cookie', { headers: { cookie: `a=1; api_key=${KEY}` } }, 'acme'],
  ['a quoted cookie', { headers: { cookie: `api_key="${KEY}"` } }, 'acme'],

  ['nothing', {}, 'absent'],
  ['empty everywhere', { url: url('?api_key='), headers: { 'x-api-key': '', cookie: 'api_key=' } }, 'absent'],
  ['another scheme is for others', { headers: { authorization: `Bearer ${KEY}` } }, 'absent'],
  ['a scheme that only begins alike', { headers: { authorization: `ApiKeys ${KEY}` } }, 'absent'],
  ['a scheme without a space', { headers: { authorization: `ApiKey${KEY}` } }, 'absent'],
  ['a header that nobody named', { headers: { x_api_key: KEY, apikey: KEY, 'x-api-keys': KEY } }, 'absent'],
  ['a parameter in another case', { url: url(`?API_KEY=${KEY}`) }, 'absent'],
  ['a cookie in another case', { headers: { cookie: `Api_Key=${KEY}` } }, 'absent'],
  ['a key in a path', { url: `http://shop.test/api_key=${KEY}` }, 'absent'],
  ['a key behind a second question mark', { url: url(`?a=?api_key=${KEY}`) }, 'absent'],

  ['a scheme alone', { headers: { authorization: 'ApiKey' } }, INVALID],
  ['the name of a consumer', { headers: { 'x-api-key': 'acme' } }, INVALID],
  ['the id of a key', { headers: { 'x-api-key': RECORD.id } }, INVALID],
  ['the hash of a key', { headers: { 'x-api-key': RECORD.sha256 } }, INVALID],
  ['the key of another', { headers: { 'x-api-key': OTHER } }, INVALID],
  ['a key with something behind it', { headers: { 'x-api-key': `${KEY}x` } }, INVALID],
  ['a key with a NUL behind it', { url: url(`?api_key=${KEY}%00`) }, INVALID],
  ['a key with a line end behind it', { url: url(`?api_key=${KEY}%0d%0aX-Admin:%201`) }, INVALID],
  ['a key with a space behind it', { url: url(`?api_key=${KEY}+`) }, INVALID],
  ['a key in other letters', { headers: { 'x-api-key': KEY.toUpperCase() } }, INVALID],
  ['a key in wide letters', { url: url(`?api_key=${encodeURIComponent(KEY.replace('f', '\uff46'))}`) }, INVALID],
  [
    'a key with a letter whose low byte is right',
    { url: url(`?api_key=${encodeURIComponent(`\u0166${KEY.slice(1)}`)}`) },
    INVALID,
  ],
  ['a scheme in a header that has none', { headers: { 'x-api-key': `ApiKey ${KEY}` } }, INVALID],
  ['a huge value', { headers: { 'x-api-key': KEY.repeat(1_000) } }, INVALID],
  ['a quotation mark too many', { headers: { 'x-api-key': `"${KEY}"` } }, INVALID],

  ['twice in one header', { headers: { 'x-api-key': [KEY, KEY] } }, AMBIGUOUS],
  ['a good and a bad one, either way round', { headers: { 'x-api-key': [KEY, OTHER] } }, AMBIGUOUS],
  ['the bad one first', { headers: { 'x-api-key': [OTHER, KEY] } }, AMBIGUOUS],
  ['two in one line', { headers: { 'x-api-key': `${KEY}, ${KEY}` } }, AMBIGUOUS],
  ['an empty line beside it', { headers: { 'x-api-key': ['', KEY] } }, AMBIGUOUS],
  ['twice behind the scheme', { headers: { authorization: [`ApiKey ${KEY}`, `ApiKey ${KEY}`] } }, AMBIGUOUS],
  ['behind two schemes', { headers: { authorization: [`Bearer x`, `ApiKey ${KEY}`] } }, AMBIGUOUS],
  ['two behind one scheme', { headers: { authorization: `ApiKey ${KEY}, ApiKey ${KEY}` } }, AMBIGUOUS],
  ['twice in the query', { url: url(`?api_key=${KEY}&api_key=${KEY}`) }, AMBIGUOUS],
  ['twice in the query, once escaped', { url: url(`?api_key=x&api%5fkey=${KEY}`) }, AMBIGUOUS],
  ['twice in the query, once empty', { url: url(`?api_key&api_key=${KEY}`) }, AMBIGUOUS],
  ['twice among cookies', { headers: { cookie: [`api_key=${KEY}`, `api_key=${KEY}`] } }, AMBIGUOUS],
  ['in header and query', { url: url(`?api_key=${KEY}`), headers: { 'x-api-key': KEY } }, AMBIGUOUS],
  ['in header and cookie, the first is good', { headers: { 'x-api-key': KEY, cookie: 'api_key=x' } }, AMBIGUOUS],
  ['in both headers', { headers: { 'x-api-key': KEY, authorization: `ApiKey ${KEY}` } }, AMBIGUOUS],
];

for (const [rule, values, want] of PLACES) {
  test(`apiKey: ${rule}: ${want}`, () => {
    const { filter } = make(EVERYWHERE);
    // Again, when the good key is one that was found lately.
    for (const _ of ['cold', 'warm']) {
      assert.equal(ask(filter, values), want);
      assert.equal(ask(filter, { headers: { 'x-api-key': KEY } }), 'acme');
    }
  });
}

const MINUTE_MS = 60_000;
const at = (ms: number): string => new Date(TEST_WALL_MS + ms).toISOString().replace('.000Z', 'Z');

test('apiKey: a key begins, ends, and is refused before and after', () => {
  const { filter, env } = make({}, [{ ...RECORD, notBefore: at(MINUTE_MS), expires: at(2 * MINUTE_MS) }]);
  const values = { headers: { 'x-api-key': KEY } };
  assert.equal(ask(filter, values), INVALID);
  env.advance(MINUTE_MS);
  assert.equal(ask(filter, values), 'acme');
  env.advance(MINUTE_MS - 1);
  assert.equal(ask(filter, values), 'acme');
  env.advance(1);
  assert.equal(ask(filter, values), '401 api-key.expired');
  assert.equal(env.counts.get('refused'), 2);
});

test('apiKey: a disabled key is refused, whatever else it says', () => {
  const { filter } = make({}, [{ ...RECORD, disabled: true, expires: at(MINUTE_MS) }]);
  for (const _ of ['cold', 'warm']) assert.equal(ask(filter, { headers: { 'x-api-key': KEY } }), INVALID);
});

test('apiKey: who it is', () => {
  const { filter } = make({});
  const said = filter.authenticate!(makeExchange({ headers: { 'x-api-key': KEY } }));
  assert.deepEqual(said, {
    methods: ['apiKey'],
    subject: RECORD.id,
    issuer: '',
    consumer: { name: 'acme', groups: ['gold'], labels: { team: 'x' } },
    claims: {},
    scopes: [],
    workload: undefined,
  });
  assert.ok(Object.isFrozen(said) && Object.isFrozen((said as { consumer: object }).consumer));
});

test('apiKey: what is refused says how to come, and nothing of the key', () => {
  for (const [config, challenge] of [
    [{}, 'ApiKey realm="api"'],
    [
      { realm: 'shop', from: [{ header: 'authorization', scheme: 'Bearer' }, { header: 'x-api-key' }] },
      'Bearer realm="shop"',
    ],
  ] as const) {
    const { filter } = make(config);
    assert.equal(filter.challenge, challenge);
    const fault = filter.authenticate!(makeExchange({ headers: { 'x-api-key': OTHER } })) as Fault;
    assert.deepEqual(fault.extras, { headers: [['www-authenticate', challenge]] });
    assert.ok(!JSON.stringify(fault).includes(OTHER.slice(3, 12)));
  }
});

const SENT: [rule: string, config: object, values: ExchangeValues, want: string[], query?: string][] = [
  [
    'keys are taken out of all places, and nothing else is',
    EVERYWHERE,
    {
      url: url(`?a=%20&api%5fkey=${KEY}&&b=+&c`),
      headers: { A: '1', 'X-Api-Key': [KEY, OTHER], Cookie: `a="1";  api_key=x;b = 2`, Authorization: `ApiKey ${KEY}` },
    },
    ['a: 1', 'cookie: a="1";b = 2'],
    '?a=%20&&b=+&c',
  ],
  ['credentials of others stay', EVERYWHERE, { headers: { authorization: 'Bearer x' } }, ['authorization: Bearer x']],
  [
    'one of two schemes stays',
    EVERYWHERE,
    { headers: { authorization: ['Bearer x', `apikey ${KEY}`] } },
    ['authorization: Bearer x'],
  ],
  ['a query of the key alone is gone', EVERYWHERE, { url: url(`?api_key=${KEY}`) }, [], ''],
  ['unless they are to go on', { hideCredentials: false }, { headers: { 'x-api-key': KEY } }, [`x-api-key: ${KEY}`]],
  ['what clients say of consumers is taken out', {}, { headers: { 'X-Consumer': 'root', x_consumer_groups: 'a' } }, []],
];

for (const [rule, config, values, want, query = ''] of SENT) {
  test(`apiKey: upstream: ${rule}`, () => {
    const { filter } = make(config);
    const x = makeExchange(values);
    assert.equal(filter.onRequest!(x, { matchedPath: '/' }), undefined);
    assert.deepEqual(linesOf(x.request.headers), want);
    assert.equal(x.request.query, query);
  });
}

const SECRET: LoweredSecret = { secret: 'Secret/shop/acme#key', key: 'key', hash: 'h' };

function makeOwn(values: Readonly<Record<string, string>>): Filter {
  const keys = Object.keys(values).map((consumer) => ({
    consumer,
    groups: ['g'],
    labels: {},
    secret: { ...SECRET, secret: consumer },
  }));
  const { value } = check(ApiKeyConfig, {});
  return code.make({ ...value!, keys }, makeEnv({ secret: ({ secret }) => values[secret]! }));
}

test('apiKey: keys that stand in Secrets, with a newline at their end or without', () => {
  const filter = makeOwn({ a: KEY, b: `${OTHER}\n` });
  assert.equal(ask(filter, { headers: { 'x-api-key': KEY } }), 'a');
  assert.equal(ask(filter, { headers: { 'x-api-key': OTHER } }), 'b');
});

for (const [rule, values, want] of [
  ['short', { a: 'letmein' }, /^Cannot use a as key of consumer "a": Expected 22 to 256 letters/],
  ['of other letters', { a: `${KEY},x` }, /^Cannot use a as key of consumer "a"/],
  ['the same', { a: KEY, b: KEY }, /^Cannot tell consumer "b" by its key: \/keys\/0 and \/keys\/1 are the same$/],
] as const) {
  test(`apiKey: Secrets that are ${rule} are refused, and not shown`, () => {
    assert.throws(
      () => makeOwn(values),
      ({ message }: Error) => want.test(message) && !message.includes('letmein') && !message.includes(KEY),
    );
  });
}

test('apiKey: a file that is wrong at first is told, with the line', () => {
  const warnings: string[] = [];
  const { filter } = make({}, [RECORD, { ...RECORD, id: 'x' }], { warn: (message) => void warnings.push(message) });
  assert.throws(() => ask(filter, { headers: { 'x-api-key': KEY } }), FileNotRead);
  const what = 'Cannot read /etc/keys.jsonl: line 2: id: Expected 16 hexadecimal digits in lower case, got "x"';
  assert.deepEqual(warnings, [`${what}; requests that need it answer 500 until it is right`]);
});

const CHECKS: [rule: string, config: object, want: string[]][] = [
  ['nobody could get in', {}, ['Without any key nobody gets in: set "file" or "keys"']],
  [
    'a cookie is no header',
    { file: 'f', from: [{ header: 'Cookie' }] },
    ['Expected { cookie: NAME } for a cookie, got the header Cookie'],
  ],
  [
    'a place twice',
    { file: 'f', from: [{ header: 'A' }, { header: 'a' }] },
    ['Expected each place once, got header a twice'],
  ],
  ['all is well', { file: 'f', ...EVERYWHERE }, []],
];

for (const [rule, config, want] of CHECKS) {
  test(`apiKey: check: ${rule}`, () => {
    const { value, issues } = check(ApiKeyConfig, config);
    assert.deepEqual(issues, []);
    assert.deepEqual(
      apiKey.check(value as never).map(({ message }) => message),
      want,
    );
  });
}

for (const config of [
  { from: [] },
  { from: [{ header: 'x y' }] },
  { from: [{ header: 'a', query: 'b' }] },
  { from: [{ header: 'content-length' }] },
  { from: [{ cookie: 'a b' }] },
  { realm: 'a"b' },
  { keys: [{ consumer: 'a\nb', secret: { name: 'a', key: 'b' } }] },
]) {
  test(`apiKey: ${JSON.stringify(config)} is refused`, () => {
    assert.notEqual(check(ApiKeyConfig, { file: 'f', ...config }).issues.length, 0);
  });
}

// ---- with sockets -----------------------------------------------------------------------------------------------

const scratch = mkdtempSync(join(tmpdir(), 'fourways-api-key-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

test('apiKey: through the proxy: in, out, and the upstream sees no key', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    answer.end(
      JSON.stringify([asked.url, asked.rawHeaders.filter((_, i) => i % 2 === 0), asked.headers['x-consumer']]),
    );
  });
  const file = join(scratch, 'proxy.jsonl');
  writeFileSync(file, `${writeRecord(RECORD)}\n`);
  await using harness = new Harness([apiKey]);
  const { value } = check(ApiKeyConfig, EVERYWHERE);
  const filter = { filter: 'apiKey', owner: 'Policy d/keys', config: { ...value!, file: { file } } };
  await harness.start({
    routes: { r: routeOf(ruleTo({ filters: [filter as never] })) },
    clusters: { c: clusterTo([upstream.port]) },
  });

  const bare = await request(harness.port);
  assert.equal(bare.status, 401);
  assert.equal(bare.headers['www-authenticate'], 'ApiKey realm="api"');
  assert.equal((JSON.parse(bare.body) as { code: string }).code, 'authentication.missing');

  const wrong = await request(harness.port, { headers: { 'x-api-key': OTHER } });
  assert.equal(wrong.status, 401);
  assert.equal((JSON.parse(wrong.body) as { code: string }).code, 'api-key.invalid');

  const good = await request(harness.port, {
    path: `/a?b=%20&api_key=${KEY}&c`,
    headers: { 'x-consumer': 'root', 'x-consumer-groups': 'admin', cookie: 'a=1' },
  });
  assert.equal(good.status, 200);
  const [seen, names, consumer] = JSON.parse(good.body) as [string, string[], string];
  assert.equal(seen, '/a?b=%20&c');
  assert.equal(consumer, 'acme');
  assert.equal(names.filter((name) => name.toLowerCase() === 'x-consumer').length, 1);

  const line = harness.lines().at(-1)!;
  assert.equal(line['subject'], RECORD.id);
  assert.equal(line['consumer'], 'acme');
  for (const logged of harness.lines()) assert.ok(!JSON.stringify(logged).includes(KEY.slice(3)), 'no key in the log');
});

test('apiKey: a file that is replaced counts within its period, however soon it comes', async () => {
  const file = join(scratch, 'watched.jsonl');
  const write = (records: readonly WrittenRecord[]): void => {
    writeFileSync(`${file}.new`, records.map((record) => `${writeRecord(record)}\n`).join(''));
    renameSync(`${file}.new`, file);
  };
  write([RECORD]);
  const loans = filterLoans({
    marks: new SharedArrayBuffer(8),
    cells: new SharedArrayBuffer(8),
    worker: { number: 1, of: 1 },
    redis: undefined,
    programs: makeEnv().programs,
  });
  const { value } = check(ApiKeyConfig, {});
  const env = makeEnv({
    readFile: (reference) => loans.readFile(reference.file),
    watchFile: (reference, onChange) => loans.watchFile(reference.file, onChange),
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
  });
  // Nobody can look at the file for the first time before it changes: all threads that look are busy.
  const busy = Array.from({ length: 8 }, () => promisify(scrypt)('', '', 32));
  const filter = code.make({ ...value!, file: { file } }, env);
  const values = { headers: { 'x-api-key': KEY } };
  assert.equal(ask(filter, values), 'acme');
  write([{ ...RECORD, disabled: true }]);
  const startMs = performance.now();
  while (ask(filter, values) === 'acme' && performance.now() - startMs < 5_000) await pause(50);
  assert.equal(ask(filter, values), INVALID);
  filter.close!();
  await Promise.all(busy);
});
