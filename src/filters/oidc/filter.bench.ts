/**
 * Cost of a request with a session: one that was opened before, one that is new to the worker, and a page without one.
 * Budget: 5 µs for a known session, 40 µs for a new one. Run: `node src/filters/oidc/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { makeEnv, makeExchange, makeResponse, TEST_WALL_MS } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { OidcConfig } from './config.ts';
import { code } from './filter.ts';
import { Store } from './store.ts';

const KEY = 'k'.repeat(32);
const env = makeEnv({ secret: () => KEY, fetch: () => Promise.reject(new TypeError('away')) });
const { value } = check(OidcConfig, {
  providers: [{ name: 'id', issuer: 'https://id.test', clientId: 'shop' }],
  keys: [{ name: 'k', key: 'k' }],
  claimHeaders: [{ claim: 'email', header: 'X-Email' }],
  cookie: { transport: 'any' },
});
const config = value as OidcConfig;
const filter = code.make(config, env);
const prefix = /cookie-name="([^"]+)"/.exec(filter.challenge!)![1]!;
const store = new Store({ config, provider: config.providers[0]!, prefix, secrets: [KEY] }, env);

const startS = TEST_WALL_MS / 1000;
function cookieOf(id: string): string {
  const session = {
    id,
    turn: 0,
    provider: 'id',
    issuer: 'https://id.test',
    clientId: 'shop',
    subject: 'ann',
    claims: { sub: 'ann', email: 'ann@shop.test', groups: ['staff'] },
    scopes: ['openid'],
    startS,
    freshS: startS,
    idToken: 'x'.repeat(900),
  };
  const lines = store.sessionLines(session, new Map())!;
  return lines.map((line) => line.replace(/;.*/, '')).join('; ');
}

function ask(cookie: string): void {
  const x = makeExchange({ headers: { cookie, accept: 'text/html', 'user-agent': 'bench' } });
  keep(filter.authenticate!(x));
  filter.onRequest!(x, { matchedPath: '/' });
  filter.onResponse!(x, makeResponse());
}

// What making an exchange and an answer costs is not the filter's.
bench('oidc, nothing', () => {
  keep(makeExchange({ headers: { cookie: 'a=b', accept: 'text/html', 'user-agent': 'bench' } }));
  keep(makeResponse());
});
const known = cookieOf('known');
bench('oidc, a session that is known', () => ask(known));
// More than a worker keeps open, so that each is new.
const many = Array.from({ length: 2_000 }, (_, i) => cookieOf(String(i)));
let next = 0;
bench('oidc, a session that is new', () => ask(many[next++ % many.length]!));
