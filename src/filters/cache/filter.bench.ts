/**
 * Cost of an answer from the store: both hooks, without what the proxy does around them. Budget: 3 µs, a sixth of what
 * nginx takes to proxy a request. And of a request that the cache has no part in.
 * Run: `node src/filters/cache/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import type { BodyStage, Reply } from '../../filter/filter.ts';
import { makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import { check } from '../../schema/schema.ts';
import { CacheConfig } from './config.ts';
import { code } from './filter.ts';

const MATCH = { matchedPath: undefined };
const ASKED = {
  host: 'shop.test',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
  accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8',
  'accept-encoding': 'gzip, deflate, br, zstd',
  'accept-language': 'en-GB,en;q=0.8',
  cookie: 'session=0123456789abcdef; theme=dark',
  referer: 'https://shop.test/',
};
const ANSWER = {
  'content-type': 'application/json',
  etag: '"0123456789abcdef"',
  'cache-control': 'max-age=3600',
  date: 'Thu, 01 Jan 2026 00:00:00 GMT',
};

/** As the codec hands them over: offsets into one text. */
function received(fields: Readonly<Record<string, string>>): Headers {
  const headers = new Headers();
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  headers.reset(lines.join(''));
  let at = 0;
  for (const [name, value] of Object.entries(fields)) {
    const valueAt = at + name.length + 2;
    headers.push(at, at + name.length, valueAt, valueAt + value.length);
    at = valueAt + value.length + 2;
  }
  return headers;
}

const CASES: readonly [name: string, config: object, vary: object, entries: number][] = [
  ['hit', {}, {}, 1],
  ['hit among 10,000', {}, {}, 10_000],
  ['hit of a variant', {}, { vary: 'accept-encoding, accept-language' }, 1],
  ['hit without parameters that do not count', { key: { query: { ignore: ['utm_*'] } } }, {}, 1],
];

for (const [name, config, vary, entries] of CASES) {
  const filter = code.make(check(CacheConfig, config).value!, makeEnv());
  const urls = Array.from({ length: entries }, (_, i) => `https://shop.test/items/${i}?page=2&utm_source=a`);
  for (const url of urls) {
    const x = makeExchange({ url, headers: ASKED });
    filter.onRequest!(x, MATCH);
    const stage = filter.onResponse!(x, makeResponse(200, { ...ANSWER, ...vary })) as BodyStage;
    stage.start({ bytes: () => true, end: () => undefined, fail: () => undefined, resume: () => undefined });
    stage.end();
  }
  const asked = urls.map((url) => ({
    ...makeExchange({ url }),
    request: { ...makeExchange({ url }).request, headers: received(ASKED) },
  }));
  let i = 0;
  bench(`cache: ${name}`, () => {
    const x = asked[i++ % entries]!;
    x.request.query = x.asked.query;
    const reply = filter.onRequest!(x, MATCH) as Reply;
    filter.onResponse!(x, { status: 200, reason: '', headers: reply.head!, bodyLength: 0 });
    keep(reply.head!.toLines());
  });
}

const filter = code.make(check(CacheConfig, {}).value!, makeEnv());
const post = makeExchange({ method: 'POST', headers: ASKED, bodyLength: 10 });
bench('cache: a POST', () => {
  filter.onRequest!(post, MATCH);
  keep(filter.onResponse!(post, makeResponse(500)));
});
