/** What the authorizer is asked and what its answers come to, over HTTP; the rest is in http.test.ts and grpc.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import type { UpstreamAnswer, UpstreamQuestion } from '../../filter/env.ts';
import type { Filter, Reply, Verdict } from '../../filter/filter.ts';
import {
  linesOf,
  makeEnv,
  makeExchange,
  makeResponse,
  type TestEnv,
  type TestExchange,
} from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import { check as checkSchema } from '../../schema/schema.ts';
import { check } from './check.ts';
import { ExtAuthConfig } from './config.ts';
import { code } from './filter.ts';
import { changeQuery } from './verdict.ts';

type Fields = readonly (readonly [string, string])[];

interface Answer {
  readonly status: number;
  readonly headers?: Fields;
  readonly body?: string;
}

class Asked {
  readonly questions: UpstreamQuestion[] = [];
  readonly env: TestEnv;
  readonly filter: Filter;

  constructor(config: object, answer: Answer | Fault = { status: 200 }) {
    this.env = makeEnv({
      upstream: ({ cluster }) => ({
        ask: (question) => {
          assert.equal(cluster, 'authorizer');
          this.questions.push(question);
          return Promise.resolve(answer instanceof Fault ? answer : answerOf(answer));
        },
      }),
    });
    this.filter = code.make(configOf(config), this.env);
  }

  async decide(x: TestExchange): Promise<Verdict> {
    return (await this.filter.onRequest!(x, { matchedPath: '/' })) as Verdict;
  }
}

function configOf(config: object): ExtAuthConfig {
  const { value, issues } = checkSchema(ExtAuthConfig, { backend: { name: 'a' }, ...config });
  assert.deepEqual(issues, []);
  return { ...(value as ExtAuthConfig), backend: { cluster: 'authorizer' } };
}

function answerOf({ status, headers = [], body = '' }: Answer): UpstreamAnswer {
  return { status, headers: Headers.of(headers), body: Buffer.from(body), trailers: undefined };
}

const URL = 'https://shop.test:8443/a%20b/c?d=e&f';
/** What every question says. */
const OWN = [
  'x-forwarded-method: PUT',
  'x-forwarded-proto: https',
  'x-forwarded-host: shop.test:8443',
  'x-forwarded-uri: /a%20b/c?d=e&f',
  'x-forwarded-for: 192.0.2.1',
  `x-original-url: ${URL}`,
  'x-request-id: 0123456789abcdef',
];

const QUESTIONS: [rule: string, config: object, headers: Record<string, string | string[]>, want: string[]][] = [
  [
    'is a GET at the address that was asked for, and says what that was',
    { http: {} },
    { authorization: 'Bearer t', 'X-Other': '1', Cookie: 'a=b', 'content-length': '0' },
    ['GET /a%20b/c?d=e&f shop.test:8443', 'authorization: Bearer t', 'cookie: a=b'],
  ],
  [
    'goes to one path',
    { http: { path: { value: '/verify' }, authority: 'auth.test', requestHeaders: [] } },
    { authorization: 'Bearer t' },
    ['GET /verify auth.test'],
  ],
  [
    'goes to a path under a prefix, in the method of the request',
    { http: { path: { kind: 'prefix', value: '/verify/' }, method: 'original', requestHeaders: [] } },
    {},
    ['PUT /verify/a%20b/c?d=e&f shop.test:8443'],
  ],
  [
    'has every header, but nothing that could pass for what it says itself or for what the authorizer vouches for',
    { http: { path: { value: '/' }, requestHeaders: ['*'] }, upstreamHeaders: ['X-User'] },
    {
      'X-Forwarded-For': '203.0.113.9',
      'x-original-url': 'https://other.test/',
      'x-request-id': 'forged',
      'x-envoy-auth-partial-body': 'false',
      X_Forwarded_Uri: '/other',
      'x_forwarded-for': '203.0.113.9',
      'X-User': ['admin', 'root'],
      X_User: 'admin',
      'X-Other': ['1', '2'],
      host: 'other.test',
    },
    ['GET / shop.test:8443', 'x-other: 1', 'x-other: 2'],
  ],
];

for (const [rule, config, headers, want] of QUESTIONS) {
  test(`extAuth: a question ${rule}`, async () => {
    const asked = new Asked(config);
    assert.equal(await asked.decide(makeExchange({ method: 'PUT', url: URL, headers })), undefined);
    const [question] = asked.questions;
    assert.ok(question !== undefined);
    const lines = linesOf(question.headers);
    assert.deepEqual([`${question.method} ${question.target} ${question.authority}`, ...lines], [...want, ...OWN]);
    assert.equal(question.timeoutMs, 1_000);
    assert.equal(question.answerBytesMax, 65_536);
  });
}

const HTTP = {
  http: { path: { value: '/v' }, answerHeaders: ['Set-Cookie'] },
  upstreamHeaders: ['X-User', 'X-Groups'],
};

const VERDICTS: [
  rule: string,
  config: object,
  answer: Answer | Fault,
  want: { said?: unknown; request?: string[]; answer?: string[] },
][] = [
  [
    '2xx allows, and its headers go where they are named for',
    HTTP,
    {
      status: 204,
      headers: [
        ['x-user', 'ann'],
        ['X-Groups', 'a'],
        ['X-Groups', 'b'],
        ['x-evil', '1'],
        ['set-cookie', 's=1'],
      ],
    },
    { request: ['x-kept: 1', 'x-user: ann', 'x-groups: a', 'x-groups: b'], answer: ['set-cookie: s=1'] },
  ],
  [
    'what a client says of itself is gone, also when the authorizer says nothing',
    HTTP,
    { status: 200 },
    { request: ['x-kept: 1'] },
  ],
  [
    '401 goes to the client with what it says',
    HTTP,
    {
      status: 401,
      headers: [
        ['www-authenticate', 'Basic'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['x-secret', 's'],
      ],
      body: 'who?',
    },
    {
      said: {
        status: 401,
        headers: [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
          ['www-authenticate', 'Basic'],
        ],
        body: 'who?',
      },
    },
  ],
  [
    'a redirect does too',
    HTTP,
    { status: 302, headers: [['location', 'https://login.test/?rd=x']] },
    { said: { status: 302, headers: [['location', 'https://login.test/?rd=x']], body: '' } },
  ],
  [
    'framing of a refusal is not passed on, whatever is named',
    { http: { refusalHeaders: ['content-type'] } },
    {
      status: 403,
      headers: [
        ['content-type', 'text/html'],
        ['content-length', '999'],
        ['transfer-encoding', 'chunked'],
      ],
      body: 'no',
    },
    { said: { status: 403, headers: [['content-type', 'text/html']], body: 'no' } },
  ],
  ['5xx is no answer', HTTP, { status: 503 }, { said: 'extAuth.away 503' }],
  ['no answer is none', HTTP, new Fault('upstream.timeout', 'No answer in 1000 ms'), { said: 'extAuth.away 503' }],
  [
    'its status can be chosen',
    { ...HTTP, awayStatus: 403 },
    new Fault('upstream.closed', 'x'),
    { said: 'extAuth.away 403' },
  ],
  [
    'requests pass where that is said',
    { ...HTTP, whenAway: 'allow' },
    new Fault('upstream.no-endpoint', 'x'),
    { request: ['x-kept: 1'] },
  ],
  ['and with 5xx', { ...HTTP, whenAway: 'allow' }, { status: 500 }, { request: ['x-kept: 1'] }],
  [
    'but not with an answer that is too long, which a client could bring about',
    { ...HTTP, whenAway: 'allow' },
    new Fault('upstream.answer-too-large', 'x'),
    { said: 'extAuth.answer-invalid 502' },
  ],
  [
    'nor with one that is no HTTP',
    { ...HTTP, whenAway: 'allow' },
    new Fault('upstream.malformed', 'x'),
    { said: 'extAuth.answer-invalid 502' },
  ],
];

for (const [rule, config, given, want] of VERDICTS) {
  test(`extAuth: ${rule}`, async () => {
    const asked = new Asked(config, given);
    const x = makeExchange({ headers: { 'x-user': 'admin', 'x-groups': ['root', 'wheel'], 'x-kept': '1' } });
    const said = await asked.decide(x);
    assert.deepEqual(shown(said), want.said);
    if (said !== undefined) return;
    assert.deepEqual(linesOf(x.request.headers), want.request);
    const response = makeResponse();
    asked.filter.onResponse!(x, response);
    assert.deepEqual(linesOf(response.headers), want.answer ?? []);
  });
}

function shown(said: Verdict): unknown {
  if (said === undefined) return undefined;
  if (said instanceof Fault) return `${said.code} ${said.kind.status}`;
  const { status, headers, body } = said;
  return { status, headers, body: body.toString() };
}

test('extAuth: what became of requests is counted and noted', async () => {
  const asked = new Asked({ ...HTTP, whenAway: 'allow' }, { status: 500 });
  const x = makeExchange();
  await asked.decide(x);
  assert.deepEqual(
    [...asked.env.counts],
    [
      ['away', 1],
      ['let_through', 1],
    ],
  );
  assert.deepEqual([...x.notes], [['extAuth', 'away']]);
  assert.deepEqual(asked.env.warnings, ['The authorizer is away']);
});

test('extAuth: a verdict is kept for its time, for requests with the same key', async () => {
  const asked = new Asked(
    { ...HTTP, cache: { key: 'request.headers["authorization"] + request.path', ttl: '2s', entriesMax: 2 } },
    { status: 200, headers: [['x-user', 'ann']] },
  );
  const go = async (token: string | undefined, path = '/'): Promise<string[]> => {
    const x = makeExchange({
      url: `http://shop.test${path}`,
      headers: token === undefined ? {} : { authorization: token },
    });
    assert.equal(await asked.decide(x), undefined);
    return linesOf(x.request.headers).slice(-1);
  };
  const rows: [token: string | undefined, path: string, questions: number][] = [
    ['a', '/', 1],
    ['a', '/', 1],
    ['b', '/', 2],
    ['a', '/x', 3],
    ['b', '/', 3],
    // It was asked for the longest time ago, and has made room.
    ['a', '/', 4],
    // Without a key there is no entry.
    [undefined, '/', 5],
    [undefined, '/', 6],
  ];
  for (const [token, path, questions] of rows) {
    assert.deepEqual(await go(token, path), ['x-user: ann']);
    assert.equal(asked.questions.length, questions, `${token} ${path}`);
  }
  asked.env.advance(2_000);
  await go('a');
  assert.equal(asked.questions.length, 7);
  assert.equal(asked.env.counts.get('cache_hit'), 2);
});

test('extAuth: a refusal is kept, and settles at once; being away is not', async () => {
  const cache = { key: '"all"' };
  const refused = new Asked({ http: {}, cache }, { status: 403, body: 'no' });
  await refused.decide(makeExchange());
  const again = refused.filter.onRequest!(makeExchange(), { matchedPath: '/' }) as Reply;
  assert.equal(again.status, 403);
  const long = new Asked({ http: {}, cache }, { status: 403, body: 'x'.repeat(5_000) });
  for (let i = 0; i < 2; i++) await long.decide(makeExchange());
  assert.equal(long.questions.length, 2, 'what is long is not kept');
  const away = new Asked({ http: {}, cache }, { status: 500 });
  for (let i = 0; i < 2; i++) await away.decide(makeExchange());
  assert.equal(away.questions.length, 2);
});

const HTTP_ONLY = { backend: { name: 'a' }, http: {} };
const WRONG: [rule: string, config: object, want: string[]][] = [
  ['nothing is wrong', HTTP_ONLY, []],
  ['neither protocol', { backend: { name: 'a' } }, ['']],
  ['both protocols', { ...HTTP_ONLY, grpc: {} }, ['/grpc']],
  ['GET with a body', { ...HTTP_ONLY, withBody: {} }, ['/http/method']],
  ['a body in the method of the request', { ...HTTP_ONLY, http: { method: 'original' }, withBody: {} }, []],
  ['Host from the authorizer', { ...HTTP_ONLY, upstreamHeaders: ['X-User', 'Host'] }, ['/upstreamHeaders/1']],
  ['no time at all', { ...HTTP_ONLY, timeout: '0s' }, ['/timeout']],
  ['too much of it', { ...HTTP_ONLY, timeout: '2m' }, ['/timeout']],
  ['a key that is no text', { ...HTTP_ONLY, cache: { key: '1 + 1' } }, ['/cache/key']],
  ['a key for too long', { ...HTTP_ONLY, cache: { key: 'request.path', ttl: '2h' } }, ['/cache/ttl']],
];

for (const [rule, config, want] of WRONG) {
  test(`extAuth configuration: ${rule}`, () => {
    const { value, issues } = checkSchema(ExtAuthConfig, config);
    assert.deepEqual(issues, []);
    assert.deepEqual(
      check(value as ExtAuthConfig).map(({ pointer }) => pointer),
      want,
    );
  });
}

for (const [path, field] of [
  ['/a?b', 'path'],
  ['a', 'path'],
  ['/a\r\nb', 'path'],
] as const) {
  test(`extAuth configuration: ${JSON.stringify(path)} is refused as a ${field}`, () => {
    const { issues } = checkSchema(ExtAuthConfig, { ...HTTP_ONLY, http: { path: { value: path } } });
    assert.notEqual(issues.length, 0);
  });
}

const QUERIES: [query: string, set: [string, string][], remove: string[], want: string][] = [
  ['', [], ['a'], ''],
  ['?a=1&b=2', [], ['a'], '?b=2'],
  ['?a=1', [], ['a'], ''],
  ['?a=1&b=2&a=3', [['a', 'x y&z']], [], '?b=2&a=x%20y%26z'],
  ['?%61=1&b', [], ['a'], '?b'],
  ['?a+b=1', [], ['a b'], ''],
  ['?%zz=1', [], ['a'], '?%zz=1'],
  ['', [['a', '']], [], '?a='],
];
for (const [query, set, remove, want] of QUERIES) {
  test(`changeQuery: ${query} without ${remove.join()} with ${set.join()} is ${want}`, () => {
    assert.equal(changeQuery(query, { set, remove }), want);
  });
}
