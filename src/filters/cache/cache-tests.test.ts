import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFetched } from '../../base/testing/public-package.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { cache, CacheConfig } from './config.ts';
import { listen, loadCacheTests } from './testing/cache-tests.ts';

/** What the suite wants and we do otherwise, and why. Everything else that it requires or calls optimal must pass. */
const AGE = 'RFC 9111 section 5.1: of several values of Age the first counts, and one that is none is passed by';
const COUNT =
  'what fails is answered with 502 by the gateway, and the suite takes any answer without its count for a stored one';
const COOKIES = 'an answer that sets cookies is not kept with them';
const PARTS = 'parts are not kept: only whole answers are stored';
const LANGUAGES = 'languages are compared as they are written, but for case: their order may mean something';
const OTHERWISE: Readonly<Record<string, string>> = {
  '304-etag-update-response-ETag': 'RFC 9111 section 4.3.4: a 304 with another strong validator updates nothing',
  '304-etag-update-response-Set-Cookie': COOKIES,
  '304-etag-update-response-Set-Cookie2': COOKIES,
  'age-parse-dup-0': AGE,
  'age-parse-dup-0-twoline': AGE,
  'age-parse-dup-old': AGE,
  'age-parse-float': AGE,
  'age-parse-negative': AGE,
  'age-parse-nonnumeric': AGE,
  'age-parse-numeric-parameter': AGE,
  'age-parse-parameter': AGE,
  'age-parse-prefix-twoline': AGE,
  'conditional-lm-fresh-no-lm':
    'RFC 9110 section 13.1.3: the answer is of a later date than the one that the client names',
  'headers-store-Set-Cookie': COOKIES,
  'headers-store-Set-Cookie2': COOKIES,
  'headers-store-Transfer-Encoding': 'its answer is malformed (RFC 9112 section 6.1), and refused by the codec',
  'method-POST': 'answers to POST are not kept',
  'partial-store-partial-complete': PARTS,
  'partial-store-partial-reuse-partial': PARTS,
  'partial-store-partial-reuse-partial-absent': PARTS,
  'partial-store-partial-reuse-partial-byterange': PARTS,
  'partial-store-partial-reuse-partial-suffix': PARTS,
  'stale-close-must-revalidate': COUNT,
  'stale-close-no-cache': COUNT,
  'stale-close-proxy-revalidate': COUNT,
  'stale-close-s-maxage=2': COUNT,
  'vary-normalise-lang-order': LANGUAGES,
  'vary-normalise-lang-select': LANGUAGES,
};

test('cache: the public tests of HTTP caches', async (t) => {
  const suite = await loadCacheTests().catch((error: unknown) => {
    if (error instanceof NotFetched) return error.message;
    throw error;
  });
  // Where npm installs from a copy of the lock file only; the tables of this folder are run all the same.
  if (typeof suite === 'string') return t.skip(suite);
  const port = await listen(suite.origin);
  const { value: config } = check(CacheConfig, {
    requestDirectives: 'honour',
    heuristic: { lifetimeMax: '24h' },
    setCookie: 'strip',
  });
  await using harness = new Harness([cache]);
  await harness.start({
    clusters: { c: clusterTo([port]) },
    listeners: { l: { ...LISTENER, settings: { ...LISTENER.settings, serverHeader: 'keep' } } },
    routes: { r: routeOf(ruleTo({ filters: [{ filter: 'cache', owner: 'Policy d/cache', config: config! }] })) },
  });
  const results = await suite.run(`http://127.0.0.1:${harness.port}`);
  suite.origin.close();
  suite.origin.closeAllConnections();

  const ran = suite.tests.flatMap(({ tests }) => tests).filter((one) => one.browser_only !== true);
  const binding = ran.filter(({ kind }) => kind !== 'check');
  const failed = binding.filter(({ id }) => results[id] !== true).map(({ id }) => id);
  for (const id of failed) if (!(id in OTHERWISE)) console.log(`${id}: ${String(results[id])}`);
  assert.ok(binding.length > 230, `only ${binding.length} tests`);
  assert.deepEqual(failed.toSorted(), Object.keys(OTHERWISE).toSorted());
});
