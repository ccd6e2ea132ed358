import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Fault } from '../base/fault.ts';
import type { Authentication, Filter } from '../filter/filter.ts';
import { identityOf } from '../filter/identity.ts';
import { makeExchange } from '../filter/testing/exchange.ts';
import { apiKey, ApiKeyConfig } from '../filters/api-key/config.ts';
import { sha256Of, writeRecord } from '../filters/api-key/record.ts';
import { basic, BasicConfig } from '../filters/basic/config.ts';
import { hashPassword } from '../filters/basic/password.ts';
import type { PlanFilter } from '../ir/plan.ts';
import { check } from '../schema/schema.ts';
import { Authenticator, type Method } from './authenticator.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';

// Two real methods, one of which answers in the same turn, the other with a promise; each rule puts them together in its own way.
const KEY = 'fw_0000000000000000000000000000000000000000000000000';
const scratch = mkdtempSync(join(tmpdir(), 'fourways-authenticator-'));
const keyFile = join(scratch, 'keys');
const userFile = join(scratch, 'users');

const keys = (more: object = {}): PlanFilter => ({
  filter: 'apiKey',
  owner: 'Policy d/p',
  config: { ...check(ApiKeyConfig, {}).value!, file: { file: keyFile } } as never,
  ...more,
});
const users = (more: object = {}): PlanFilter => ({
  filter: 'basic',
  owner: 'Policy d/p',
  // Nothing is kept: each request is answered with a promise.
  config: { ...check(BasicConfig, { cacheSeconds: 0 }).value!, file: { file: userFile } } as never,
  ...more,
});

const any = { alternative: 'p' };
const anonymous = { anonymous: { name: 'guest', groups: ['public'], labels: {} } };

const RULES: Readonly<Record<string, readonly PlanFilter[]>> = {
  any: [keys(any), users(any)],
  'any-late-first': [users(any), keys(any)],
  all: [keys(), users()],
  anonymous: [keys({ ...any, ...anonymous }), users({ ...any, ...anonymous })],
  audit: [keys({ ...any, audit: true }), users({ ...any, audit: true })],
};

let upstream: Upstream;
let harness: Harness;

before(async () => {
  const id = '00112233445566aa';
  writeFileSync(keyFile, `${writeRecord({ id, sha256: sha256Of(KEY), consumer: 'robot', groups: ['bots'] })}\n`);
  writeFileSync(userFile, `alice:${await hashPassword('secret', 'argon2id', Buffer.alloc(16))}:staff\n`);
  upstream = await Upstream.start(({ headers }, answer) => {
    const {
      'x-consumer': consumer = 'nobody',
      'x-consumer-groups': groups = '',
      authorization,
      'x-api-key': key,
    } = headers;
    answer.end(`${String(consumer)} ${String(groups)}${authorization ?? ''}${String(key ?? '')}`.trim());
  });
  harness = new Harness([apiKey, basic]);
  const routes = Object.entries(RULES).map(([name, filters]) => {
    const matches = [{ path: { kind: 'prefix', value: `/${name}` } as const, headers: [], query: [] }];
    return [name, routeOf(ruleTo({ name, matches, filters }))] as const;
  });
  await harness.start({ routes: Object.fromEntries(routes), clusters: { c: clusterTo([upstream.port]) } });
});

after(async () => {
  await harness[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

const basicLine = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;
const GOOD_KEY = { 'x-api-key': KEY };
const BAD_KEY = { 'x-api-key': `${KEY}0` };
const GOOD_USER = { authorization: basicLine('alice:secret') };
const BAD_USER = { authorization: basicLine('alice:wrong') };
const FORGED = { 'x-consumer': 'root', 'x-consumer-groups': 'admin' };

/** Which rule, with what, and what the upstream sees of it, or status and code. */
const ROWS: [rule: keyof typeof RULES, what: string, headers: Record<string, string>, want: string][] = [
  ['any', 'nothing', {}, '401 authentication.missing'],
  ['any', 'the first', GOOD_KEY, '200 robot bots'],
  ['any', 'the second', GOOD_USER, '200 alice staff'],
  ['any', 'both', { ...GOOD_KEY, ...GOOD_USER }, '200 robot bots'],
  ['any', 'the first, the second is bad', { ...GOOD_KEY, ...BAD_USER }, '200 robot bots'],
  ['any', 'the second, the first is bad', { ...BAD_KEY, ...GOOD_USER }, '200 alice staff'],
  ['any', 'both bad: the first says why', { ...BAD_KEY, ...BAD_USER }, '401 api-key.invalid'],
  ['any', 'one bad', BAD_USER, '401 basic.invalid'],
  ['any', 'credentials of a method that nobody asked for', { authorization: 'Bearer x' }, '401 authentication.missing'],
  ['any', 'forged headers', FORGED, '401 authentication.missing'],
  ['any', 'forged headers and a good key', { ...FORGED, ...GOOD_KEY }, '200 robot bots'],

  ['any-late-first', 'nothing', {}, '401 authentication.missing'],
  ['any-late-first', 'the one behind the promise', { ...BAD_USER, ...GOOD_KEY }, '200 robot bots'],
  ['any-late-first', 'the promise', { ...GOOD_USER, ...BAD_KEY }, '200 alice staff'],
  ['any-late-first', 'both bad: the first says why', { ...BAD_USER, ...BAD_KEY }, '401 basic.invalid'],

  ['all', 'nothing', {}, '401 authentication.missing'],
  ['all', 'the first alone', GOOD_KEY, '401 authentication.missing'],
  ['all', 'the second alone', GOOD_USER, '401 authentication.missing'],
  ['all', 'both: the first says who', { ...GOOD_KEY, ...GOOD_USER }, '200 robot bots'],
  ['all', 'the second is bad', { ...GOOD_KEY, ...BAD_USER }, '401 basic.invalid'],
  ['all', 'the first is bad', { ...BAD_KEY, ...GOOD_USER }, '401 api-key.invalid'],

  ['anonymous', 'nothing', {}, '200 guest public'],
  ['anonymous', 'nothing but forged headers', FORGED, '200 guest public'],
  ['anonymous', 'the first', GOOD_KEY, '200 robot bots'],
  ['anonymous', 'the second', GOOD_USER, '200 alice staff'],
  ['anonymous', 'a bad key', BAD_KEY, '401 api-key.invalid'],
  ['anonymous', 'a bad password', BAD_USER, '401 basic.invalid'],
  ['anonymous', 'a bad one beside a good one', { ...BAD_KEY, ...GOOD_USER }, '200 alice staff'],
  ['anonymous', 'two keys', { 'x-api-key': `${KEY},${KEY}` }, '400 api-key.ambiguous'],

  ['audit', 'nothing passes, as nobody', FORGED, '200 nobody'],
  [
    'audit',
    'what is bad passes, as nobody, and is left to the upstream',
    { ...BAD_KEY, ...FORGED },
    `200 nobody ${KEY}0`,
  ],
  ['audit', 'what is good, too', { ...GOOD_KEY, ...FORGED }, `200 robot bots${KEY}`],
  ['audit', 'and passwords', GOOD_USER, `200 alice staff${GOOD_USER.authorization}`],
];

for (const [rule, what, headers, want] of ROWS) {
  test(`authenticator, ${rule}: ${what}: ${want}`, async () => {
    const { status, body } = await request(harness.port, { path: `/${rule}`, headers });
    const said = status === 200 ? body : (JSON.parse(body) as { code: string }).code;
    assert.equal(`${status} ${said}`, want);
  });
}

test('authenticator: whoever comes with nothing is told every method', async () => {
  const { headers } = await request(harness.port, { path: '/any' });
  assert.equal(headers['www-authenticate'], 'ApiKey realm="api", Basic realm="api", charset="UTF-8"');
});

test('authenticator: all: both methods stand in the log', async () => {
  await request(harness.port, { path: '/all', headers: { ...GOOD_KEY, ...GOOD_USER } });
  const { auth_method: methods, consumer } = harness.lines().at(-1)!;
  assert.deepEqual([methods, consumer], ['apiKey+basic', 'robot']);
});

const OTHERS: Readonly<Record<string, Authentication>> = {
  content: identityOf({ method: 'other', subject: 'alice' }),
  absent: 'absent',
  refusing: new Fault('authentication.missing', 'By the test'),
};

/** One that fails beside another one, and what comes of it; with an identity for whoever comes with nothing, too. */
const FAILING: [other: keyof typeof OTHERS, order: 'before' | 'after', want: string][] = [
  ['content', 'before', 'alice'],
  ['content', 'after', 'alice'],
  ['absent', 'before', 'filter.failed'],
  ['absent', 'after', 'filter.failed'],
  ['refusing', 'before', 'authentication.missing'],
  ['refusing', 'after', 'filter.failed'],
];

const FAILURES: [how: string, authenticate: NonNullable<Filter['authenticate']>][] = [
  [
    'throws',
    () => {
      throw new TypeError('of the test');
    },
  ],
  ['rejects', () => Promise.reject(new TypeError('of the test'))],
];

for (const [how, authenticate] of FAILURES) {
  for (const [other, order, want] of FAILING) {
    test(`authenticator: a method ${order === 'before' ? 'behind' : 'before'} one that is ${other} ${how}: ${want}`, async () => {
      const failing: Method = { name: 'failing', filter: { authenticate } };
      const answering: Method = { name: 'other', filter: { authenticate: () => OTHERS[other]! } };
      const methods = order === 'before' ? [answering, failing] : [failing, answering];
      for (const anonymous of [undefined, { name: 'guest', groups: [], labels: {} }]) {
        const x = makeExchange();
        const said = await new Authenticator(methods, anonymous).onRequest(x);
        assert.equal(said === undefined ? x.identity?.subject : (said as Fault).code, want);
      }
    });
  }
}
