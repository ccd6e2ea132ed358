/** Logins with a real provider (`oidc-provider`), through the whole proxy. */
import assert from 'node:assert/strict';
import type http from 'node:http';
import { test } from 'node:test';
import type { Redis } from '../../filter/env.ts';
import { makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import type { OidcConfig } from './config.ts';
import { code } from './filter.ts';
import { type Page, TestBrowser } from './testing/browser.ts';
import { CLIENT_ID } from './testing/provider.ts';
import { type Seen, secret, secrets, Shop } from './testing/shop.ts';

const seenIn = ({ body }: Page): Seen => JSON.parse(body) as Seen;
const HEADERS = [
  { claim: 'email', header: 'X-Email' },
  { claim: 'groups', header: 'X-Groups' },
  { claim: 'name', header: 'X-Name' },
];

test('oidc: a login leads to the page that was asked for, and upstreams are told who it is', async () => {
  await using shop = await Shop.start({ config: { claimHeaders: HEADERS }, providerFields: { userinfo: 'merge' } });
  const browser = new TestBrowser();
  const page = await shop.login(browser);
  assert.equal(page.url, `${shop.origin}/cart?a=1`);
  const { url, headers } = seenIn(page);
  assert.equal(url, '/cart?a=1');
  assert.equal(headers['x-email'], 'ann@shop.test');
  assert.equal(headers['x-groups'], 'staff,admin');
  assert.equal(Buffer.from(headers['x-name'] as string, 'latin1').toString(), 'Ann Önsen');
  assert.equal(headers.authorization, undefined);
  // Sessions are for the proxy: upstreams see other cookies only.
  assert.equal(headers.cookie, undefined);
  const own = [...browser.cookiesOf(shop.origin).keys()];
  assert.ok(
    own.every((name) => name.startsWith('fw-session-') && !name.includes('.flow.')),
    own.join(),
  );
  browser.cookiesOf(shop.origin).set('theme', 'dark');
  const again = await browser.ask(`${shop.origin}/x`, {
    headers: { 'x-email': 'root@shop.test', 'X-Groups': 'wheel' },
  });
  assert.equal(seenIn(again).headers['x-email'], 'ann@shop.test');
  assert.equal(seenIn(again).headers['x-groups'], 'staff,admin');
  assert.equal(seenIn(again).headers.cookie, 'theme=dark');
  const line = shop.proxy.lines().at(-1)!;
  assert.match(JSON.stringify(line), /ann/);
  assert.doesNotMatch(JSON.stringify(shop.proxy.lines()), /eyJ|code=/);
});

test('oidc: what is sent to the provider is what OAuth demands, and its answer is kept from scripts', async () => {
  await using shop = await Shop.start({ providerFields: { parameters: { prompt: 'login' }, audience: 'api' } });
  const sent = await new TestBrowser().ask(`${shop.origin}/cart`);
  assert.equal(sent.status, 302);
  const asked = new URL(sent.headers.location!).searchParams;
  const fixed = ['client_id', 'response_type', 'code_challenge_method', 'redirect_uri', 'scope', 'prompt', 'audience'];
  assert.deepEqual(
    fixed.map((name) => asked.get(name)),
    [CLIENT_ID, 'code', 'S256', `${shop.origin}/oauth2/callback`, 'openid email profile', 'login', 'api'],
  );
  for (const name of ['state', 'nonce', 'code_challenge']) assert.match(asked.get(name)!, /^[\w-]{43}$/);
  assert.equal(sent.headers['cache-control'], 'no-store');
  const [line] = sent.headers['set-cookie']!;
  assert.match(
    line!,
    /^fw-session-[0-9a-f]{8}\.flow\.[0-9a-f]{16}=[\w-]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/,
  );
  assert.ok(!line!.includes(asked.get('state')!));
});

test('oidc: over HTTPS cookies are Secure and of this host; over plain HTTP there is no login', async () => {
  await using shop = await Shop.start({ config: { cookie: {} } });
  const refused = await new TestBrowser().ask(`${shop.origin}/`);
  assert.equal(refused.status, 400);
  assert.match(refused.body, /oidc\.insecure/);
  await shop.use({ ...shop.config, origin: 'https://shop.test' });
  const sent = await new TestBrowser().ask(`${shop.origin}/`);
  assert.match(sent.headers['set-cookie']![0]!, /^__Host-fw-session-.*; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
  assert.equal(new URL(sent.headers.location!).searchParams.get('redirect_uri'), 'https://shop.test/oauth2/callback');
});

const NO_PAGES: [rule: string, options: http.RequestOptions, want: number][] = [
  ['a page', {}, 302],
  ['a page of a browser', { headers: { 'sec-fetch-mode': 'navigate' } }, 302],
  ['JSON', { headers: { accept: 'application/json' } }, 401],
  ['anything, as programs ask', { headers: { accept: '*/*' } }, 401],
  ['a script that asks for HTML', { headers: { 'sec-fetch-mode': 'cors' } }, 401],
  ['a script of jQuery', { headers: { 'x-requested-with': 'XMLHttpRequest' } }, 401],
  ['an image', { headers: { 'sec-fetch-mode': 'no-cors' } }, 401],
  ['a page that may be wanted', { headers: { 'sec-purpose': 'prefetch' } }, 401],
  ['a form', { method: 'POST' }, 401],
];
test('oidc: who is no page is told, not sent away', async () => {
  await using shop = await Shop.start();
  for (const [rule, options, want] of NO_PAGES) {
    const got = await new TestBrowser().ask(`${shop.origin}/api?x=1`, options);
    assert.equal(got.status, want, rule);
    if (want !== 401) continue;
    assert.match(got.headers['www-authenticate']!, /^Cookie realm="oidc", form-action="\/oauth2\/login"/);
    assert.match(got.body, /oidc\.login-needed/);
    if (got.headers['content-type'] !== 'application/problem+json') continue;
    const { login } = JSON.parse(got.body) as { readonly login: string };
    assert.equal(login, '/oauth2/login?return=%2Fapi%3Fx%3D1');
  }
});

const RETURNS: [target: string, want: string][] = [
  ['/a?b=c', '/a?b=c'],
  ['https://evil.test/', '/'],
  ['//evil.test/', '//evil.test/'],
  ['/\\evil.test', '/'],
  ['\\\\evil.test', '/'],
  ['/%09/evil.test', '/%09/evil.test'],
  ['/\t/evil.test', '/'],
  ['javascript:alert(1)', '/'],
  ['@evil.test', '/'],
  ['.evil.test', '/'],
  ['/\r\nset-cookie: a=b', '/'],
];
test('oidc: a login leads to no other site', async () => {
  await using shop = await Shop.start();
  for (const [target, want] of RETURNS) {
    const browser = new TestBrowser();
    const form = await browser.open(`${shop.origin}/oauth2/login?return=${encodeURIComponent(target)}`);
    await browser.submit(form, { login: 'ann' });
    const last = browser.trail.at(-1)!;
    assert.equal(last, shop.origin + want, target);
    assert.equal(new URL(last).origin, shop.origin);
  }
});

test('oidc: tabs log in at the same time, and no more than a few', async () => {
  await using shop = await Shop.start();
  const browser = new TestBrowser();
  const forms: Page[] = [];
  for (const path of ['/one', '/two']) forms.push(await browser.open(shop.origin + path));
  for (const [i, path] of ['/one', '/two'].entries()) {
    assert.equal((await browser.submit(forms[i]!, { login: 'ann' })).url, shop.origin + path);
  }
  const many = new TestBrowser();
  for (let i = 0; i < 12; i++) await many.ask(`${shop.origin}/${i}`);
  assert.equal(many.cookiesOf(shop.origin).size, 4);
});

test('oidc: an answer of the provider holds once, for the browser that asked', async () => {
  await using shop = await Shop.start();
  const victim = new TestBrowser();
  const attacker = new TestBrowser();
  const form = await attacker.open(`${shop.origin}/`);
  const before = attacker.clone();
  await attacker.submit(form, { login: 'mallory' });
  const answer = attacker.trail.find((url) => url.includes('/oauth2/callback?'))!;
  const state = new URL(answer).searchParams.get('state')!;
  const other = await victim.ask(`${shop.origin}/mine`);
  const own = new URL(other.headers.location!).searchParams.get('state')!;
  const rows: [rule: string, browser: TestBrowser, url: string][] = [
    ['of another browser (CSRF of the login)', victim, answer],
    ['with the state of the victim', victim, answer.replace(state, own)],
    ['again', attacker, answer],
    ['again, with the cookie that was dropped', before, answer],
    ['without a state', before, answer.replace(/state=[^&]+/, '')],
    ['with two states', before, `${answer}&state=${own}`],
  ];
  for (const [rule, browser, url] of rows) {
    const got = await browser.ask(url);
    assert.equal(got.status, 400, rule);
    assert.match(got.body, rule.includes('state of the victim') ? /oidc\.login-failed/ : /oidc\.state-unknown/, rule);
    assert.ok(!(got.headers['set-cookie'] ?? []).some((line) => !line.includes('.flow.')), rule);
  }
});

test('oidc: a session is new with each login (fixation)', async () => {
  await using shop = await Shop.start();
  const browser = new TestBrowser();
  await shop.login(browser);
  const first = new Map(browser.cookiesOf(shop.origin));
  browser.cookies.delete(shop.provider.issuer);
  const form = await browser.open(`${shop.origin}/oauth2/login?return=/`);
  await browser.submit(form, { login: 'bob' });
  const [name] = first.keys();
  assert.notEqual(browser.cookiesOf(shop.origin).get(name!), first.get(name!));
});

test('oidc: a cookie that was changed, cut, or is of another policy or key is no session', async () => {
  await using shop = await Shop.start();
  const browser = new TestBrowser();
  await shop.login(browser);
  const [[name, value]] = [...browser.cookiesOf(shop.origin)] as [[string, string]];
  const flip = (at: number): string => value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1);
  const attempts = [
    flip(3),
    flip(20),
    flip(60),
    flip(value.length - 2),
    value.slice(0, -8),
    '1~',
    '9~AAAA',
    'x',
    '2~' + value.slice(2),
  ];
  for (const attempt of attempts) {
    const thief = new TestBrowser();
    thief.cookiesOf(shop.origin).set(name, attempt);
    assert.equal((await thief.ask(`${shop.origin}/`)).status, 302, attempt.slice(0, 30));
  }
  await shop.use(shop.config, 'Policy d/other');
  const other = await new TestBrowser().ask(`${shop.origin}/`);
  const otherName = /^(fw-session-[0-9a-f]{8})/.exec(other.headers['set-cookie']![0]!)![1]!;
  const swapped = new TestBrowser();
  swapped.cookiesOf(shop.origin).set(name.replace(/^fw-session-[0-9a-f]{8}/, otherName), value);
  assert.equal((await swapped.ask(`${shop.origin}/`)).status, 302);
});

test('oidc: keys are rotated without a login; one that is gone ends its sessions', async () => {
  await using shop = await Shop.start();
  const browser = new TestBrowser();
  await shop.login(browser);
  await shop.use({ ...shop.config, keys: [secret('new'), secret('key')] } as unknown as OidcConfig);
  assert.equal((await browser.ask(`${shop.origin}/`)).status, 200);
  await shop.use({ ...shop.config, keys: [secret('new')] } as unknown as OidcConfig);
  assert.equal((await browser.ask(`${shop.origin}/`)).status, 302);
  const short = { ...shop.config, keys: [secret('short')] } as unknown as OidcConfig;
  await shop.use(short);
  assert.equal((await browser.ask(`${shop.origin}/`)).status, 500);
});

test('oidc: logout ends the session here and there, and the copy of a cookie with it', async () => {
  await using shop = await Shop.start({ config: { logout: { returnTo: '/bye' } } });
  const browser = new TestBrowser();
  await shop.login(browser);
  const copy = browser.clone();
  const evil = await browser.ask(`${shop.origin}/oauth2/logout`, { headers: { 'sec-fetch-site': 'cross-site' } });
  assert.equal(evil.status, 403);
  const posted = await browser.ask(`${shop.origin}/oauth2/logout`, {
    method: 'POST',
    headers: { origin: 'https://evil.test' },
  });
  assert.equal(posted.status, 403);
  const confirm = await browser.open(`${shop.origin}/oauth2/logout`);
  assert.match(confirm.body, /<title>Log out/);
  assert.equal(browser.cookiesOf(shop.origin).size, 0);
  await browser.submit(confirm);
  assert.ok(browser.trail.includes(`${shop.origin}/bye`), browser.trail.join('\n'));
  assert.equal((await copy.ask(`${shop.origin}/`)).status, 302);
  // The session at the provider has ended: it asks who it is again.
  assert.match((await browser.open(`${shop.origin}/`)).body, /<title>Log in/);
  assert.ok(shop.provider.asked.includes('POST /token/revocation'), shop.provider.asked.join('\n'));
});

test('oidc: requests at the same time refresh once; each goes on with the new token', async () => {
  await using shop = await Shop.start({
    provider: { accessTokenS: 4 },
    config: { refreshAhead: '3600s', accessToken: 'forward' },
  });
  const browser = new TestBrowser();
  await shop.login(browser);
  // The page after the login has refreshed already.
  const tokens = (): number => shop.provider.asked.filter((line) => line === 'POST /token').length;
  const start = tokens();
  const old = browser.clone();
  const pages = await Promise.all(Array.from({ length: 8 }, () => old.clone().ask(`${shop.origin}/x`)));
  assert.ok(pages.every(({ status }) => status === 200));
  assert.equal(tokens() - start, 1);
  // Late ones with the old cookie get the new session, and the old refresh token is not used again.
  const late = await old.clone().ask(`${shop.origin}/x`);
  assert.equal(late.status, 200);
  assert.equal(tokens() - start, 1);
  assert.ok(late.headers['set-cookie'] !== undefined);
  assert.equal(late.headers['cache-control'], 'no-store');
  assert.match(seenIn(late).headers.authorization!, /^Bearer [\w-]+$/);
});

test('oidc: a refresh token that does not hold any more ends the session', async () => {
  await using shop = await Shop.start({ config: { refreshAhead: '3600s' }, provider: { accessTokenS: 60 } });
  const browser = new TestBrowser();
  await shop.login(browser);
  shop.provider.before = ({ url }, answer) => {
    if (url !== '/token') return false;
    answer.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    return true;
  };
  const got = await browser.ask(`${shop.origin}/x`);
  assert.equal(got.status, 302);
});

test('oidc: while the provider is away, sessions go on as long as their token lasts', async () => {
  await using shop = await Shop.start({ config: { refreshAhead: '3600s' }, provider: { accessTokenS: 60 } });
  const browser = new TestBrowser();
  await shop.login(browser);
  shop.provider.before = (_, answer) => {
    answer.writeHead(503).end();
    return true;
  };
  assert.equal((await browser.ask(`${shop.origin}/x`)).status, 200);
  // Its configuration is known: the browser is sent there, whoever answers then.
  assert.equal((await new TestBrowser().ask(`${shop.origin}/x`)).status, 302);
});

test('oidc: a provider that was never there: 503, and a login when it comes', async () => {
  await using shop = await Shop.start();
  shop.provider.before = (_, answer) => {
    answer.writeHead(503).end();
    return true;
  };
  await shop.use({ ...shop.config, timeout: '4s' });
  const got = await new TestBrowser().ask(`${shop.origin}/x`);
  assert.equal(got.status, 503);
  assert.equal(got.headers['retry-after'], '5');
  assert.doesNotMatch(got.body, /127\.0\.0\.1/);
  shop.provider.before = () => false;
  await shop.use({ ...shop.config, timeout: '3s' });
  assert.equal((await new TestBrowser().ask(`${shop.origin}/x`)).status, 302);
});

test('oidc: the user is refused', async () => {
  await using shop = await Shop.start();
  const page = await shop.login(new TestBrowser(), '/', 'nobody');
  assert.equal(page.status, 403);
  assert.match(page.body, /oidc\.denied/);
});

test('oidc: an answer that names another issuer is none (mix-up, RFC 9207)', async () => {
  await using shop = await Shop.start();
  const browser = new TestBrowser();
  const form = await browser.open(`${shop.origin}/`);
  const action = /action="([^"]+)"/.exec(form.body)![1]!;
  let page = await browser.ask(new URL(action, form.url).href, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'login=ann',
  });
  while (!page.headers.location!.includes('/oauth2/callback')) page = await browser.ask(page.headers.location!);
  for (const change of [
    (url: string) => url.replace(/iss=[^&]+/, 'iss=https%3A%2F%2Fevil.test'),
    (url: string) => url.replace(/&?iss=[^&]+/, ''),
  ]) {
    const got = await browser.clone().ask(change(page.headers.location!));
    assert.equal(got.status, 400);
  }
});

test('oidc: several providers: the user chooses, or the path does', async () => {
  await using shop = await Shop.start();
  const [first] = shop.config.providers;
  const second = { ...first!, name: 'partners', title: '<Partners>', paths: ['/partners'] };
  await shop.use({ ...shop.config, providers: [first!, second] });
  const browser = new TestBrowser();
  const choice = await browser.ask(`${shop.origin}/a?b`);
  assert.equal(choice.status, 200);
  assert.match(choice.body, /href="\/oauth2\/login\?provider=id&amp;return=%2Fa%3Fb">id</);
  assert.match(choice.body, /&lt;Partners&gt;/);
  const form = await browser.open(`${shop.origin}/oauth2/login?provider=id&return=%2Fa%3Fb`);
  assert.equal((await browser.submit(form, { login: 'ann' })).url, `${shop.origin}/a?b`);
  // A session of one provider is none for the pages of another one.
  assert.equal((await browser.ask(`${shop.origin}/partners/x`)).status, 302);
  assert.equal((await browser.ask(`${shop.origin}/partnersx`)).status, 200);
});

test('oidc: parameters are pushed, and tokens are for a resource', async () => {
  await using shop = await Shop.start({
    config: { accessToken: 'forward' },
    providerFields: { pushedAuthorization: 'always', resources: ['https://api.test'], scopes: ['read'] },
  });
  const browser = new TestBrowser();
  const sent = await browser.ask(`${shop.origin}/`);
  assert.deepEqual([...new URL(sent.headers.location!).searchParams.keys()].toSorted(), ['client_id', 'request_uri']);
  const page = await shop.login(browser);
  const token = /^Bearer (.+)$/.exec(seenIn(page).headers.authorization!)![1]!;
  const { aud } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { readonly aud: string };
  assert.equal(aud, 'https://api.test');
});

test('oidc: where another method may be content, whoever has no session is absent', async () => {
  await using shop = await Shop.start({ config: { withoutSession: 'absent' } });
  const got = await new TestBrowser().ask(`${shop.origin}/`);
  assert.equal(got.status, 401);
  assert.match(got.body, /authentication\.missing/);
  assert.match(got.headers['www-authenticate']!, /^Cookie/);
});

/** As much of Redis as is used here, in the memory of the test: what two proxies have in common. */
function redisOf(): Redis {
  const values = new Map<string, string>();
  return {
    isUp: true,
    run: () => Promise.reject(new Error('no scripts')),
    command: (_, name, value, ...more) => {
      const key = String(name);
      if (value === undefined) return Promise.resolve(values.get(key) ?? null);
      if (more.includes('NX') && values.has(key)) return Promise.resolve(null);
      values.set(key, String(value));
      return Promise.resolve('OK');
    },
  };
}

test('oidc: two proxies with a Redis use a refresh token once', async () => {
  await using shop = await Shop.start({ provider: { accessTokenS: 60 }, config: { claimHeaders: HEADERS } });
  const browser = new TestBrowser();
  await shop.login(browser);
  const prefix = [...browser.cookiesOf(shop.origin).keys()][0]!.replace(/-[0-9a-f]{6}$/, '');
  const redis = redisOf();
  const config = { ...shop.config, refreshAhead: '3600s' };
  const cookie = [...browser.cookiesOf(shop.origin)].map(([name, value]) => `${name}=${value}`).join('; ');
  const before = shop.provider.asked.filter((line) => line === 'POST /token').length;
  const ask = async (): Promise<string> => {
    const env = makeEnv({
      owner: 'Policy d/p',
      redis,
      secret: ({ secret: name }) => secrets[name as keyof typeof secrets].value,
      fetch: (url, init) => fetch(url, init),
      nowMs: () => performance.now(),
      wallMs: () => Date.now(),
      after: (delayMs, run) => {
        const timer = setTimeout(run, delayMs);
        timer.unref();
        return () => clearTimeout(timer);
      },
    });
    const filter = code.make(config, env);
    const x = makeExchange({ headers: { cookie } });
    const found = await filter.authenticate!(x);
    const response = makeResponse();
    filter.onResponse!(x, response);
    filter.close!();
    assert.ok(found !== 'absent' && 'methods' in found, JSON.stringify(found));
    return response.headers.getAll('set-cookie').join();
  };
  const lines = await Promise.all([ask(), ask(), ask()]);
  assert.ok(
    lines.every((line) => line.startsWith(prefix)),
    lines.join('\n'),
  );
  assert.equal(shop.provider.asked.filter((line) => line === 'POST /token').length - before, 1);
});
