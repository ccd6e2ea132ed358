/**
 * Cost of counting one request. Budget: 1 µs for one local limit by address.
 * Run: `node src/filters/rate-limit/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { RateLimitConfig } from './config.ts';
import { code } from './filter.ts';

const PLENTY = { requests: 1_000_000_000, per: '1s' };
const CASES: Record<string, object> = {
  'one limit': { limits: [PLENTY], headers: 'none' },
  'one limit, headers': { limits: [PLENTY] },
  'one limit by a header': { limits: [{ ...PLENTY, key: 'request.headers["x-tenant"]' }], headers: 'none' },
  'three limits': {
    limits: [PLENTY, { ...PLENTY, name: 'b', per: '1m' }, { ...PLENTY, name: 'c', per: '1h' }],
    headers: 'none',
  },
  'one limit, refused': { limits: [{ requests: 1, per: '720h' }], headers: 'none' },
};

const match = { matchedPath: undefined };
for (const [name, config] of Object.entries(CASES)) {
  const env = makeEnv();
  env.advance(1_000);
  const filter = code.make(check(RateLimitConfig, config).value!, env);
  // A client each time, as in a table that is in use; always the same objects, as nothing else is measured.
  const xs = Array.from({ length: 1_000 }, (_, i) =>
    makeExchange({ clientIp: `192.0.${i >> 8}.${i & 255}`, headers: { 'x-tenant': `tenant ${i}` } }),
  );
  let i = 0;
  bench(name, () => keep(filter.onRequest!(xs[(i = (i + 1) % xs.length)]!, match)));
}
