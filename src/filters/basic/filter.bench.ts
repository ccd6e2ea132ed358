/**
 * Cost of a request with a user name and a password that were checked lately. Budget: 2 µs.
 * Run: `node src/filters/basic/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { BasicConfig } from './config.ts';
import { code } from './filter.ts';
import { hashPassword } from './password.ts';

const hash = await hashPassword('correct horse battery staple', 'argon2id', Buffer.alloc(16));
const env = makeEnv({ readFile: () => Buffer.from(`alice:${hash}`) });
const filter = code.make({ ...check(BasicConfig, {}).value!, file: { file: 'users' } }, env);
const authorization = `Basic ${Buffer.from('alice:correct horse battery staple').toString('base64')}`;
const x = makeExchange({ headers: { host: 'a.test', accept: '*/*', authorization } });

const startMs = performance.now();
await filter.authenticate!(x);
console.log(JSON.stringify({ name: 'a password that was not checked lately', ms: performance.now() - startMs }));
bench('a password that was checked lately', () => keep(filter.authenticate!(x)));
