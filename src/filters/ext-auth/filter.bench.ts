/**
 * Cost of asking, without the way to the authorizer and back: the question made, the answer read and heeded. Budget: 10 µs
 * over HTTP, 100 µs over gRPC, 5 µs for a verdict that is known. Run: `node src/filters/ext-auth/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import { check } from '../../schema/schema.ts';
import { ExtAuthConfig } from './config.ts';
import { code } from './filter.ts';

const OK = Buffer.from([0, 0, 0, 0, 0]);
const answer = {
  status: 200,
  headers: Headers.of([['x-user', 'ann']]),
  body: OK,
  trailers: Headers.of([['grpc-status', '0']]),
};
const answered = Promise.resolve(answer);
const env = makeEnv({ upstream: () => ({ ask: () => answered }) });
const x = makeExchange({
  url: 'https://shop.test/cart?a=1',
  headers: { authorization: 'Bearer token', cookie: 'session=1', accept: '*/*', 'user-agent': 'bench', 'x-other': '1' },
});

for (const [name, config] of [
  ['over HTTP', { http: { path: { value: '/verify' } }, upstreamHeaders: ['x-user'] }],
  ['over gRPC', { grpc: {}, upstreamHeaders: ['x-user'] }],
] as const) {
  const { value } = check(ExtAuthConfig, { backend: { name: 'a' }, ...config });
  const filter = code.make(value as ExtAuthConfig, env);
  const rounds = 20_000;
  let bestNs = Infinity;
  for (let round = 0; round < 10; round++) {
    const startMs = performance.now();
    for (let i = 0; i < rounds; i++) await filter.onRequest!(x, { matchedPath: '/' });
    bestNs = Math.min(bestNs, ((performance.now() - startMs) * 1e6) / rounds);
  }
  console.log(JSON.stringify({ name: `extAuth, ${name}`, nsPerOp: Math.round(bestNs) }));
}

const cached = check(ExtAuthConfig, {
  backend: { name: 'a' },
  http: {},
  cache: { key: 'request.headers["authorization"] + request.path' },
});
const filter = code.make(cached.value as ExtAuthConfig, env);
await filter.onRequest!(x, { matchedPath: '/' });
bench('extAuth, a verdict that is known', () => keep(filter.onRequest!(x, { matchedPath: '/' })));
