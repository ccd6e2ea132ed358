/**
 * Cost of a request whose identity has a token. Budget: 1 µs.
 * Run: `node src/filters/identity-header/filter.bench.ts`.
 */
import { generateKeyPairSync } from 'node:crypto';
import { bench, keep } from '../../../tools/bench.ts';
import { identityOf } from '../../filter/identity.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { IdentityHeaderConfig } from './config.ts';
import { code } from './filter.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { value } = check(IdentityHeaderConfig, {
  token: { key: { name: 'a', key: 'b' }, issuer: 'https://edge.test', audience: ['orders'] },
});
const env = makeEnv({ secret: () => privateKey.export({ format: 'pem', type: 'pkcs8' }) as string });
const filter = code.make(value!, env);
const x = makeExchange({ identity: identityOf({ method: 'jwt', subject: 'alice' }), headers: { accept: '*/*' } });
await filter.onRequest!(x, { matchedPath: '/' });

bench('a known identity', () => keep(filter.onRequest!(x, { matchedPath: '/' })));
