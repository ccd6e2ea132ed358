/** Sessions without a provider: how they are sealed, told apart, ended. Logins are in login.test.ts, bad answers in answers.test.ts. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import type { Filter } from '../../filter/filter.ts';
import type { Identity } from '../../filter/identity.ts';
import {
  linesOf,
  makeEnv,
  makeExchange,
  makeResponse,
  type TestEnv,
  TEST_WALL_MS,
} from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import { check as checkSchema } from '../../schema/schema.ts';
import { check } from './check.ts';
import { OidcConfig } from './config.ts';
import { clearPieces, readCookies, readPieces, stripCookies, styleOf, writePieces } from './cookies.ts';
import { code } from './filter.ts';
import { Ledger } from './ledger.ts';
import { returnAddress } from './return-to.ts';
import { Sealer } from './sealer.ts';
import type { Session } from './session.ts';
import { Store } from './store.ts';

const KEY = 'k'.repeat(32);
const PROVIDER = { name: 'id', issuer: 'https://id.test', clientId: 'shop' };
const CONFIG = { providers: [PROVIDER], keys: [{ name: 'k', key: 'k' }], cookie: { transport: 'any' } };

function configOf(more: object = {}): OidcConfig {
  const { value, issues } = checkSchema(OidcConfig, { ...CONFIG, ...more });
  assert.deepEqual(issues, []);
  return { ...(value as OidcConfig), keys: [{ secret: 's', key: 'k', hash: '' }] };
}

function envOf(): TestEnv {
  return makeEnv({ secret: () => KEY, fetch: () => Promise.reject(new TypeError('away')) });
}

const START_S = TEST_WALL_MS / 1000;
const SESSION: Session = {
  id: 'a-session',
  turn: 0,
  provider: 'id',
  issuer: 'https://id.test',
  clientId: 'shop',
  subject: 'ann',
  claims: { sub: 'ann', email: 'ann@shop.test', groups: ['a', 'b'], realm: { roles: ['x'] } },
  scopes: ['openid'],
  startS: START_S,
  freshS: START_S,
};

/** A browser's Cookie for a session, and the filter that reads it. */
class Visitor {
  readonly env = envOf();
  readonly config: OidcConfig;
  readonly filter: Filter;
  cookie: string;

  constructor(more: object = {}, session: Session = SESSION) {
    this.config = configOf(more);
    this.filter = code.make(this.config, this.env);
    // The prefix is read off the challenge, as a program would.
    const prefix = /cookie-name="([^"]+)"/.exec(this.filter.challenge!)![1]!;
    const store = new Store(
      { config: this.config, provider: this.config.providers[0]!, prefix, secrets: [KEY] },
      this.env,
    );
    this.cookie = cookieOf(store.sessionLines(session, new Map())!);
  }

  async ask(headers: Record<string, string> = {}): Promise<{
    readonly identity: Identity | undefined;
    readonly request: string[];
    readonly set: string[];
    readonly code: string;
  }> {
    const x = makeExchange({ headers: { cookie: this.cookie, ...headers } });
    const found = await this.filter.authenticate!(x);
    const isIdentity = found !== 'absent' && 'methods' in found;
    this.filter.onRequest!(x, { matchedPath: '/' });
    const response = makeResponse();
    this.filter.onResponse!(x, response);
    return {
      identity: isIdentity ? found : undefined,
      request: linesOf(x.request.headers),
      set: response.headers.getAll('set-cookie'),
      code: found instanceof Fault ? found.code : '',
    };
  }
}

function cookieOf(lines: readonly string[]): string {
  return lines.map((line) => line.replace(/;.*/, '')).join('; ');
}

test('oidc: a session is an identity', async () => {
  const visitor = new Visitor({ consumer: { claim: 'email', groups: 'realm.roles' } });
  const { identity, set } = await visitor.ask();
  assert.equal(identity!.subject, 'ann');
  assert.equal(identity!.issuer, 'https://id.test');
  assert.deepEqual(identity!.consumer, { name: 'ann@shop.test', groups: ['x'], labels: {} });
  assert.deepEqual(set, []);
  assert.equal((await visitor.ask()).identity, identity);
});

test('oidc: a session is over when it was idle, at its end, and when it was ended', async () => {
  const visitor = new Visitor({ idle: '10m', max: '1h' });
  for (let minutes = 0; minutes < 60; minutes += 5) {
    const { identity, set } = await visitor.ask();
    assert.ok(identity !== undefined, `after ${minutes} minutes`);
    // A use is written down; the session itself is not written again.
    if (set.length > 0) {
      assert.match(set.join(), /^[^=]+\.seen=[^,]*$/);
      visitor.cookie = `${visitor.cookie.replace(/; [^;]+\.seen=.*/, '')}; ${cookieOf(set)}`;
    }
    visitor.env.advance(300_000);
  }
  assert.equal((await visitor.ask()).code, 'oidc.login-needed');
  const idle = new Visitor({ idle: '10m' });
  idle.env.advance(600_000);
  assert.equal((await idle.ask()).code, 'oidc.login-needed');
  assert.equal(idle.env.counts.get('expired'), 1);
});

test('oidc: the mark of another session, or of another use, does not keep one alive', async () => {
  const other = new Visitor({ idle: '10m' }, { ...SESSION, id: 'another' });
  other.env.advance(300_000);
  const [seen] = (await other.ask()).set;
  const visitor = new Visitor({ idle: '10m' });
  visitor.cookie += `; ${cookieOf([seen!])}`;
  visitor.env.advance(600_000);
  assert.equal((await visitor.ask()).code, 'oidc.login-needed');
  const [name, value] = visitor.cookie.split('; ')[0]!.split('=') as [string, string];
  visitor.cookie = `${name}=1~${seen!.replace(/^[^=]+=|;.*/g, '')}; x=${value}`;
  assert.equal((await visitor.ask()).code, 'oidc.login-needed');
});

test('oidc: what is no header value is not passed on, and what clients say is taken out', async () => {
  const claims = {
    sub: 'ann',
    split: 'a\r\nX-Admin: 1',
    list: ['a', 'b,admin'],
    object: {},
    umlaut: 'ü',
    number: 7,
    long: 'x'.repeat(5_000),
  };
  const claimHeaders = [...Object.keys(claims), 'absent'].map((claim) => ({ claim, header: `X-${claim}` }));
  const visitor = new Visitor({ claimHeaders }, { ...SESSION, claims });
  const { request } = await visitor.ask({ 'x-absent': 'forged', 'x-split': 'forged', x_list: 'forged' });
  assert.deepEqual(request, ['x-sub: ann', 'x-umlaut: \xc3\xbc', 'x-number: 7']);
  assert.equal(visitor.env.counts.get('claim_dropped'), 4);
});

test('oidc: an empty claim names no consumer', async () => {
  const visitor = new Visitor({ consumer: { claim: 'email' } }, { ...SESSION, claims: { sub: 'ann', email: '' } });
  assert.equal((await visitor.ask()).identity!.consumer, undefined);
});

test('oidc: the access token goes upstream where that is said, and nowhere else', async () => {
  const session = { ...SESSION, accessToken: 'token', untilS: START_S + 60 };
  const forward = new Visitor({ accessToken: 'forward' }, session);
  assert.deepEqual((await forward.ask({ authorization: 'Bearer forged' })).request, ['authorization: Bearer token']);
  assert.deepEqual((await new Visitor({}, session).ask()).request, []);
  // What upstreams get must be good: without a refresh token the session ends with it.
  forward.env.advance(60_000);
  assert.equal((await forward.ask()).code, 'oidc.login-needed');
});

test('oidc: a session from before tokens were forwarded does not pass without one', async () => {
  const visitor = new Visitor({ accessToken: 'forward' });
  const { code, request } = await visitor.ask({ authorization: 'Bearer forged' });
  assert.equal(code, 'oidc.login-needed');
  assert.deepEqual(request, ['authorization: Bearer forged']);
});

test('oidc: a session in pieces is read again, and one that is too large is none', async () => {
  const large = { ...SESSION, claims: { sub: 'ann', groups: Array.from({ length: 900 }, (_, i) => `group-${i}`) } };
  const visitor = new Visitor({}, large);
  assert.ok(visitor.cookie.split('; ').length > 2);
  assert.equal((await visitor.ask()).identity!.claims['groups'] instanceof Array, true);
  const pieces = visitor.cookie.split('; ');
  visitor.cookie = pieces.toSpliced(1, 1).join('; ');
  assert.equal((await visitor.ask()).identity, undefined);
  const { config, env } = visitor;
  const store = new Store({ config, provider: config.providers[0]!, prefix: 'p', secrets: [KEY] }, env);
  const huge = { ...SESSION, claims: { sub: randomBytes(15_000).toString('base64') } };
  assert.equal(store.sessionLines(huge, new Map()), undefined);
});

test('oidc: cookies in pieces, and what is left of more of them', () => {
  const style = styleOf('https');
  const lines = writePieces('a', 'x'.repeat(8_000), 60, style)!;
  assert.deepEqual(
    lines.map((line) => line.replace(/=.*?;/, ';')),
    ['a', 'a.1', 'a.2'].map((name) => `${name}; Max-Age=60${style.attributes}`),
  );
  for (const line of lines) assert.ok(line.length <= 4_096);
  const cookies = readCookies(Headers.of([['cookie', cookieOf(lines)]]));
  assert.equal(readPieces('a', cookies), 'x'.repeat(8_000));
  assert.deepEqual(
    clearPieces('a', cookies, style, 1).map((line) => line.split('=')[0]),
    ['a.1', 'a.2'],
  );
});

const STRIPPED: [cookie: string[], want: string[]][] = [
  [['fw=1'], []],
  [['a=1; fw=2; b=3'], ['a=1; b=3']],
  [['fw.1=x;a=fw'], ['a=fw']],
  [
    ['a=1', 'fw=2', 'b=3'],
    ['a=1', 'b=3'],
  ],
  [['xfw=1'], ['xfw=1']],
];
for (const [cookie, want] of STRIPPED) {
  test(`stripCookies: ${cookie.join(' | ')}`, () => {
    const headers = Headers.of(cookie.map((line) => ['cookie', line] as const));
    stripCookies(headers, 'fw');
    assert.deepEqual(headers.getAll('cookie'), want);
  });
}

test('Sealer: what was sealed is opened for the same use and owner, by any of the keys', () => {
  const old = new Sealer([KEY], 'Policy a/b', randomBytes);
  const sealed = old.seal({ a: 1 }, 'use');
  const both = new Sealer(['n'.repeat(32), KEY], 'Policy a/b', randomBytes);
  assert.deepEqual(both.open(sealed, 'use'), { a: 1 });
  assert.equal(old.open(both.seal({}, 'use'), 'use'), undefined);
  assert.equal(old.open(sealed, 'other'), undefined);
  assert.equal(new Sealer([KEY], 'Policy a/c', randomBytes).open(sealed, 'use'), undefined);
  assert.notEqual(old.seal({ a: 1 }, 'use'), sealed);
  for (const text of ['', 'AAAA', sealed.slice(0, -4), `${sealed}AAAA`]) assert.equal(old.open(text, 'use'), undefined);
  assert.throws(() => new Sealer(['short'], 'x', randomBytes), /less than 32/);
});

test('Ledger: workers know of each other what was done once, and what came of it', async () => {
  const cells = envOf().cells;
  const [one, other] = [1, 2].map((number) => new Ledger(makeEnv({ cells, worker: { number, of: 2 } }))) as [
    Ledger,
    Ledger,
  ];
  assert.equal(one.first('refresh', 'k', 1_000), true);
  assert.equal(other.first('refresh', 'k', 1_000), false);
  assert.equal(other.first('refresh', 'other', 1_000), true);
  one.mark('ended', 's', 1_000);
  assert.equal(other.isMarked('ended', 's', 1_000), true);
  assert.equal(other.isMarked('ended', 't', 1_000), false);
  const waiting = other.wait('k', 60_000);
  one.tell('k', { sealed: 'text' });
  assert.deepEqual(await waiting, { sealed: 'text' });
  assert.deepEqual(other.known('k'), { sealed: 'text' });
});

test('Ledger: what came of refreshes is known for a minute, and has a bound', () => {
  const env = envOf();
  const ledger = new Ledger(env);
  ledger.tell('a', { sealed: 'text' });
  env.advance(60_000);
  assert.equal(ledger.known('a'), undefined);
  const large = 'x'.repeat(1024 * 1024);
  for (let i = 0; i < 40; i++) ledger.tell(String(i), { sealed: large });
  assert.equal(ledger.known('0'), undefined);
  assert.deepEqual(ledger.known('39'), { sealed: large });
  let known = 0;
  for (let i = 0; i < 40; i++) if (ledger.known(String(i)) !== undefined) known++;
  assert.equal(known, 31);
});

test('Ledger: nobody waits for ever', async () => {
  const env = envOf();
  const waiting = new Ledger(env).wait('k', 100);
  env.advance(100);
  assert.equal(await waiting, 'failed');
});

for (const [target, want] of [
  ['/a//b?c=//d', '/a//b?c=//d'],
  ['', '/'],
  ['a', '/'],
  ['/a\\b', '/'],
  ['/\u4e00', '/'],
  [`/${'x'.repeat(3_000)}`, '/'],
] as const) {
  test(`returnAddress: ${target.slice(0, 20)}`, () => {
    assert.equal(returnAddress('https://shop.test', target), `https://shop.test${want}`);
  });
}

const WRONG: [rule: string, more: object, want: string[]][] = [
  ['nothing is wrong', {}, []],
  ['http of another host', { providers: [{ ...PROVIDER, issuer: 'http://id.test' }] }, ['/providers/0/issuer']],
  [
    'http of a host that looks like the loopback',
    { providers: [{ ...PROVIDER, issuer: 'http://127.0.0.1.evil.test' }] },
    ['/providers/0/issuer'],
  ],
  ['a user in the issuer', { providers: [{ ...PROVIDER, issuer: 'https://a@id.test' }] }, ['/providers/0/issuer']],
  ['http of the loopback', { providers: [{ ...PROVIDER, issuer: 'http://127.0.0.1:9000' }] }, []],
  [
    'parameters that make it safe',
    { providers: [{ ...PROVIDER, parameters: { state: 'x', prompt: 'login' } }] },
    ['/providers/0/parameters/state'],
  ],
  ['a claim as Host', { claimHeaders: [{ claim: 'a', header: 'Host' }] }, ['/claimHeaders/0/header']],
  ['no idle time', { idle: '0s' }, ['/idle']],
  ['for ever', { max: '99999h' }, ['/max']],
  ['a base that is the site', { base: '/' }, ['/base']],
  ['an origin that no cookie is for', { origin: 'http://shop.test', cookie: {} }, ['/origin']],
  ['an origin of a proxy that ends TLS', { origin: 'https://shop.test', cookie: {} }, []],
];
for (const [rule, more, want] of WRONG) {
  test(`oidc configuration: ${rule}`, () => {
    const { value, issues } = checkSchema(OidcConfig, { ...CONFIG, ...more });
    assert.deepEqual(issues, []);
    assert.deepEqual(
      check(value as OidcConfig).map(({ pointer }) => pointer),
      want,
    );
  });
}

test('oidc configuration: two providers of one name are refused', () => {
  assert.notEqual(checkSchema(OidcConfig, { ...CONFIG, providers: [PROVIDER, PROVIDER] }).issues.length, 0);
});
