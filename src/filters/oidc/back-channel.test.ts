/** Back-channel logouts of a real provider (`oidc-provider`), through the whole proxy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Configuration } from 'oidc-provider';
import { type Page, TestBrowser } from './testing/browser.ts';
import { Shop } from './testing/shop.ts';

/** What providers told their sites. */
const told: string[] = [];

/** The library brings a dispatcher that does not ask the loopback. */
const configuration: Configuration = {
  fetch: (url, init) => {
    const { dispatcher: _, ...rest } = init ?? {};
    if (rest.body instanceof URLSearchParams) told.push(rest.body.toString());
    return fetch(url, rest);
  },
};

const BACK_CHANNEL = { backChannel: true, configuration };
const SETTING = { provider: BACK_CHANNEL, config: { logout: { backChannel: 'accept' } } };

/** Logs out at the provider: the site is not asked by this browser. */
function logoutAtProvider(shop: Shop, browser: TestBrowser): Promise<Page> {
  return browser.open(`${shop.provider.issuer}/session/end`).then((page) => browser.submit(page));
}

async function statusOf(shop: Shop, browser: TestBrowser): Promise<number> {
  return (await browser.ask(`${shop.origin}/x`)).status;
}

const FORM = 'application/x-www-form-urlencoded';
const NONE = Buffer.from('{"alg":"none"}').toString('base64url');

function tell(shop: Shop, body: string, more: object = {}): Promise<Page> {
  return new TestBrowser().ask(`${shop.origin}/oauth2/backchannel-logout`, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': FORM, ...more },
    body,
  });
}

test('oidc back-channel: who logs out at the provider is logged out here, in that browser only', async () => {
  await using shop = await Shop.start(SETTING);
  const [ann, annAtWork, bob] = [new TestBrowser(), new TestBrowser(), new TestBrowser()];
  await shop.login(ann);
  await shop.login(annAtWork);
  await shop.login(bob, '/cart', 'bob');
  const copy = ann.clone();
  await logoutAtProvider(shop, ann);
  const want = [302, 302, 200, 200];
  assert.deepEqual(await Promise.all([ann, copy, annAtWork, bob].map((one) => statusOf(shop, one))), want);
  const lines = shop.proxy.lines().filter(({ path }) => path === '/oauth2/backchannel-logout');
  assert.deepEqual(
    lines.map(({ status, method }) => [method, status]),
    [['POST', 200]],
  );
  assert.doesNotMatch(JSON.stringify(shop.proxy.lines()), /eyJ/);
  // A change of the plan makes none of them good again, and a login after it is a new session.
  await shop.use({ ...shop.config, idle: '2h' });
  assert.equal(await statusOf(shop, copy), 302);
  assert.match((await shop.login(ann)).url, /cart/);
  assert.equal(await statusOf(shop, copy), 302);
});

test('oidc back-channel: a session that was refreshed is the same one', async () => {
  await using shop = await Shop.start({
    ...SETTING,
    provider: { ...BACK_CHANNEL, accessTokenS: 60 },
    config: { ...SETTING.config, refreshAhead: '3600s' },
  });
  const ann = new TestBrowser();
  await shop.login(ann);
  assert.equal(await statusOf(shop, ann), 200);
  assert.ok(shop.provider.asked.filter((line) => line === 'POST /token').length > 1);
  await logoutAtProvider(shop, ann);
  assert.equal(await statusOf(shop, ann), 302);
});

test('oidc back-channel: where it is not asked for, nobody can tell anything', async () => {
  await using shop = await Shop.start({ provider: BACK_CHANNEL });
  const ann = new TestBrowser();
  await shop.login(ann);
  const amiss = once(shop.provider.provider, 'backchannel.error');
  await logoutAtProvider(shop, ann);
  const [, error] = (await amiss) as [unknown, Error];
  assert.match(error.message, /got: 401/);
  assert.equal(await statusOf(shop, ann), 200);
});

test('oidc back-channel: a token is taken once, in its form, of the right method', async () => {
  await using shop = await Shop.start(SETTING);
  const ann = new TestBrowser();
  await shop.login(ann);
  told.length = 0;
  await logoutAtProvider(shop, ann);
  assert.equal(told.length, 1);
  const again = await tell(shop, told[0]!);
  assert.equal(again.status, 400);
  assert.equal(again.headers['cache-control'], 'no-store');
  const problem = JSON.parse(again.body) as { readonly error: string; readonly code: string };
  assert.deepEqual([problem.error, problem.code], ['invalid_request', 'oidc.logout-token']);
  assert.match(shop.proxy.lines().at(-1)!['detail'] as string, /used before/);

  const [head, claims, signature] = told[0]!.slice('logout_token='.length).split('.');
  const ROWS: [rule: string, body: string, type: string, want: RegExp][] = [
    ['no token', '', FORM, /There are 0 tokens/],
    ['two', `${told[0]!}&${told[0]!}`, FORM, /There are 2 tokens/],
    ['no form', told[0]!, 'application/json', /no form/],
    ['of nobody', 'logout_token=a.b.c', FORM, /no provider of this policy/],
    ['not signed', `logout_token=${NONE}.${claims!}.`, FORM, /Provider "id"/],
    ['signed otherwise', `logout_token=${head!}.${claims!}.${signature!.slice(0, -8)}AAAAAAAA`, FORM, /signature/],
  ];
  for (const [rule, body, type, want] of ROWS) {
    const answer = await tell(shop, body, { 'content-type': type });
    assert.equal(answer.status, 400, rule);
    assert.match(shop.proxy.lines().at(-1)!['detail'] as string, want, rule);
  }
  const long = await tell(shop, `logout_token=${'a'.repeat(20_000)}`);
  assert.equal(long.status, 413);
  assert.equal((await new TestBrowser().ask(`${shop.origin}/oauth2/backchannel-logout`)).status, 302, 'GET is a page');
});

test('oidc back-channel: while the keys of the provider are away it is told to come again', async () => {
  await using shop = await Shop.start(SETTING);
  const ann = new TestBrowser();
  await shop.login(ann);
  shop.provider.before = (request, answer) => {
    if (request.url !== '/jwks') return false;
    answer.writeHead(503).end();
    return true;
  };
  const amiss = once(shop.provider.provider, 'backchannel.error');
  await logoutAtProvider(shop, ann);
  const [, error] = (await amiss) as [unknown, Error];
  assert.match(error.message, /got: 503/);
  assert.equal(await statusOf(shop, ann), 200);
});
