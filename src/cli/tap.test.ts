import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SurveyLine } from '../control/survey.ts';
import type { TappedRequest } from '../ir/observed.ts';
import type { HttpAnswer } from './command.ts';
import { runCommand } from './main.ts';
import { type FakeIo, fakeIo, type FakeIoOptions } from './testing/fake-io.ts';

const WEB = 'spiffe://td/ns/shop/sa/web';

const REQUEST: TappedRequest = {
  timeMs: Date.UTC(2026, 0, 1, 12, 30, 5, 7),
  direction: 'out',
  protocol: 'http',
  source: '127.0.0.1',
  service: 'shop/orders:80',
  endpoint: '10.0.0.2:15008',
  method: 'GET',
  host: 'orders',
  path: '/stock',
  status: 200,
  grpcStatus: -1,
  fault: '',
  durationMs: 3.14159,
  upstreamMs: 2,
  attempts: 1,
  bytesIn: 0,
  bytesOut: 5,
  route: 'HTTPRoute/shop/orders/0',
  user: '',
  requestId: 'r-1',
  traceId: '',
};

const ASKED: SurveyLine = {
  kind: 'asked',
  proxies: [{ instance: 'web-1', identity: WEB, role: 'sidecar', services: ['shop/web'] }],
};

function said(requests: readonly TappedRequest[], left = 0): SurveyLine {
  return { kind: 'answer', proxy: 'web-1', answer: { requests, left }, lost: 0 };
}

const OVER: SurveyLine = { kind: 'over', why: 'time', lost: 0, unheard: [] };
const ALL = 'seconds=3600&rows=1000000';

interface Ran extends FakeIo {
  readonly code: number;
  readonly text: string;
  readonly errors: string;
}

async function run(answer: HttpAnswer, query: string, args: string[], options: FakeIoOptions = {}): Promise<Ran> {
  const io = fakeIo({ answers: { [`http://127.0.0.1:9900/requests?${query}`]: answer }, ...options });
  const code = await runCommand(['tap', ...args], io);
  return Object.assign(io, { code, text: io.outLines.join('\n'), errors: io.errLines.join('\n') });
}

function answerOf(...lines: SurveyLine[]): HttpAnswer {
  return { status: 200, body: [ASKED, ...lines].map((line) => `${JSON.stringify(line)}\n`).join('') };
}

test('tap: a row for each request; beside its application the proxy is the client', async () => {
  const { code, text, errors } = await run(answerOf(said([]), { kind: 'alive' }, said([REQUEST]), OVER), ALL, []);
  assert.equal(code, 0);
  assert.match(text, /^TIME +WAY +CLIENT/);
  assert.match(
    text,
    /^12:30:05\.007 +out +spiffe:\/\/td\/ns\/shop\/sa\/web +shop\/orders:80 +200 +3\.1ms +GET \/stock +HTTPRoute\/shop\/orders\/0 +r-1 +-$/m,
  );
  assert.equal(errors, '1 request of 1 proxy; the time is over');
});

const ROWS: [rule: string, changes: Partial<TappedRequest>, row: RegExp][] = [
  [
    'what comes in shows who has called',
    { direction: 'in', source: 'spiffe://td/ns/a/sa/b' },
    / in +spiffe:\/\/td\/ns\/a\/sa\/b /,
  ],
  ['a fault', { status: 503, fault: 'upstream.connect-failed' }, / 503 .* upstream\.connect-failed$/],
  ['a status of gRPC', { protocol: 'grpc', grpcStatus: 14 }, / 200\/14 /],
  [
    'a connection below HTTP',
    { protocol: 'tcp', method: '', path: '', host: 'db.shop', status: 0 },
    / - +3\.1ms +tcp db\.shop /,
  ],
  ['what would move the cursor', { path: '/\u001b[2J' }, /GET \/\uFFFD\[2J/],
  ['header fields below it', { headers: { 'x-a': 'b' } }, /\n {4}x-a: b$/],
];

for (const [rule, changes, row] of ROWS) {
  test(`tap: ${rule}`, async () => {
    assert.match((await run(answerOf(said([{ ...REQUEST, ...changes }]), OVER), ALL, [])).text, row);
  });
}

test('tap: what it was asked for goes to the proxies; --limit ends it', async () => {
  const query =
    'service=orders.shop&namespace=shop&proxy=web-&filter=response.status+%3D%3D+200&headers=show&seconds=9&rows=2';
  const args = [
    '--service',
    'orders.shop',
    '--namespace',
    'shop',
    '--proxy',
    'web-',
    '--headers',
    '--seconds',
    '9',
    '--limit',
    '2',
  ];
  const { code, outLines, errors } = await run(answerOf(said([REQUEST, REQUEST, REQUEST]), OVER), query, [
    'response.status == 200',
    ...args,
    '--json',
  ]);
  assert.deepEqual([code, outLines.length, errors], [0, 3, '']);
  const { proxy } = JSON.parse(outLines[0]!) as { proxy: { instance: string } };
  assert.equal(proxy.instance, 'web-1');
  assert.deepEqual(JSON.parse(outLines[2]!), {
    over: { why: 'enough', shown: 2, left: 0, lost: 0, heard: 1, unheard: [] },
  });
});

test('tap: what was not shown, who did not answer and what was lost is said', async () => {
  const unheard = [
    { proxy: 'o-1', identity: 'spiffe://td/ns/shop/sa/orders', kind: 'unsupported', reason: 'What?' },
  ] as const;
  const { code, errors } = await run(answerOf(said([REQUEST], 7), said([], 5), { ...OVER, lost: 3, unheard }), ALL, []);
  assert.equal(code, 0);
  assert.match(errors, /^12 more were not shown: of each proxy at most 100 a second are$/m);
  assert.match(errors, /^\S+orders \(o-1\) did not answer: What\?$/m);
  assert.match(errors, /^3 answers were lost on the way/m);
});

test('tap: Ctrl-C ends it well, and it says what there was', async () => {
  const { code, errors } = await run(answerOf(said([REQUEST], 2)), ALL, [], { interrupted: true });
  assert.equal(code, 0);
  assert.match(errors, /^1 request of 1 proxy\n2 more/);
});

test('tap: a connection that is cut ends with 1, and so does one on which nobody was heard', async () => {
  const cut = await run(answerOf(said([REQUEST])), ALL, []);
  assert.deepEqual([cut.code, cut.errors], [1, '1 request of 1 proxy; the connection was cut']);
  assert.equal((await run(answerOf(OVER), ALL, [])).code, 1);
});

const FLAWS: [expression: string, words: RegExp][] = [
  ['response.state == 1', /No such key: state; .*\n {2}response\.state == 1\n {11}\^$/m],
  ['request.method ==', /\n {2}request\.method ==\n {2,}\^$/m],
  ['"text"', /should come to true or false/],
  ['true &&\n  nobody.there', /Unknown variable: nobody.*\n {4}nobody\.there\n {4}\^$/m],
];

for (const [expression, words] of FLAWS) {
  test(`tap: ${JSON.stringify(expression)} is refused with its place, and nobody is asked`, async () => {
    const { code, errors } = await run({ status: 500, body: '' }, ALL, [expression]);
    assert.equal(code, 2);
    assert.match(errors, words);
  });
}

test('tap: what the other end refuses is said', async () => {
  const body = JSON.stringify({ detail: 'No proxy that is connected here is meant' });
  const { code, errors } = await run({ status: 404, body }, ALL, []);
  assert.deepEqual([code, errors], [1, 'No proxy that is connected here is meant']);
});

test('tap: arguments that make no sense', async () => {
  for (const args of [
    ['a', 'b'],
    ['--limit', '0'],
    ['--seconds', '4000'],
    ['--service', 'a.b.c'],
  ]) {
    assert.equal((await run(answerOf(OVER), ALL, args)).code, 2, args.join(' '));
  }
});
