import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/fault.ts';
import { seededRandom } from '../base/random.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { Headers } from '../http/headers.ts';
import {
  type AccessEntry,
  AccessLog,
  type AccessLogOptions,
  isSecretName,
  type LogPolicy,
  quote,
} from './access-log.ts';
import { LATENCY_FIELDS } from './latency.ts';

const POLICY: LogPolicy = { enabled: true, linesPerSecond: 100, sample: 0.1, headers: [], query: 'omit' };

const ENTRY: AccessEntry = {
  requestId: 'req-1',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  method: 'GET',
  scheme: 'https',
  host: 'shop.test',
  path: '/items/42',
  query: '?token=abc',
  status: 200,
  grpcStatus: -1,
  fault: undefined,
  rule: 'HTTPRoute/shop/web/0',
  cluster: 'Service/shop/web/80',
  endpoint: '10.0.0.1:8080',
  attempts: 1,
  listener: 'Gateway/shop/edge/https',
  clientIp: '192.0.2.7',
  proxyIp: '',
  bytesIn: 0,
  bytesOut: 512,
  tlsVersion: 'TLSv1.3',
  tlsCipher: 'TLS_AES_128_GCM_SHA256',
  clientCertificate: undefined,
  planVersion: '0123456789abcdef',
  headers: Headers.of([['User-Agent', 'curl/8.5.0']]),
  marks: {
    startMs: 0,
    headMs: 1,
    filteredMs: 1.5,
    attemptMs: 1.5,
    admittedMs: 2,
    connectedMs: 3,
    answeredMs: 7,
    endMs: 7.25,
  },
};

type Line = Record<string, string | number>;

function logWith(options: Partial<AccessLogOptions> = {}): { clock: ManualClock; log: AccessLog; batches: string[] } {
  const clock = new ManualClock(Date.UTC(2026, 5, 1));
  const batches: string[] = [];
  const log = new AccessLog({
    clock,
    random: seededRandom(1, 2, 3, 4),
    flush: (batch) => void batches.push(batch),
    ...options,
  });
  return { clock, log, batches };
}

/** The one line that `entry` gives. */
function lineOf(entry: Partial<AccessEntry>, policy: Partial<LogPolicy> = {}): Line {
  const { clock, log, batches } = logWith();
  clock.advance(7.25);
  const gate = log.gate({ ...POLICY, ...policy });
  const whole = { ...ENTRY, ...entry };
  assert.equal(gate.wants(whole.status, whole.fault), true);
  log.write(whole, gate);
  log.close();
  const text = batches.join('');
  assert.equal(text.split('\n').length, 2, 'one line');
  return JSON.parse(text) as Line;
}

test('a line says what happened, in numbers that add up', () => {
  assert.deepEqual(lineOf({}), {
    time: '2026-06-01T00:00:00.000Z',
    request_id: 'req-1',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    method: 'GET',
    scheme: 'https',
    host: 'shop.test',
    path: '/items/42',
    status: 200,
    rule: 'HTTPRoute/shop/web/0',
    cluster: 'Service/shop/web/80',
    endpoint: '10.0.0.1:8080',
    attempts: 1,
    listener: 'Gateway/shop/edge/https',
    client_ip: '192.0.2.7',
    bytes_in: 0,
    bytes_out: 512,
    user_agent: 'curl/8.5.0',
    tls_version: 'TLSv1.3',
    tls_cipher: 'TLS_AES_128_GCM_SHA256',
    plan: '0123456789ab',
    sample_weight: 1,
    client_ms: 1,
    filters_ms: 0.5,
    queue_ms: 0.5,
    connect_ms: 1,
    upstream_ms: 4,
    body_ms: 0.25,
    duration_ms: 7.25,
  });
});

test('a fault brings its code, who is to blame, and the detail', () => {
  const line = lineOf({ status: 502, fault: new Fault('upstream.closed', 'reset by "10.0.0.1"\n') });
  assert.equal(line['fault'], 'upstream.closed');
  assert.equal(line['blame'], 'upstream');
  assert.equal(line['detail'], 'reset by "10.0.0.1"\n');
});

test('the query is left out unless the policy keeps it', () => {
  assert.equal(lineOf({})['query'], undefined);
  assert.equal(lineOf({}, { query: 'keep' })['query'], '?token=abc');
});

test('headers that are asked for are logged, and secrets are not', () => {
  const headers = Headers.of([
    ['X-Tenant', 'a'],
    ['X-Tenant', 'b'],
    ['Cookie', 'sid=1'],
    ['Authorization', 'Bearer x'],
    ['X-Auth-Token', 'x'],
  ]);
  const names = ['x-tenant', 'cookie', 'authorization', 'x-auth-token', 'x-absent'];
  const line = lineOf({ headers }, { headers: names });
  assert.equal(line['header_x_tenant'], 'a, b');
  assert.equal(line['header_cookie'], '[redacted]');
  assert.equal(line['header_authorization'], '[redacted]');
  assert.equal(line['header_x_auth_token'], '[redacted]');
  assert.equal('header_x_absent' in line, false);
});

for (const name of ['authorization', 'cookie', 'set-cookie', 'proxy-authorization', 'x-api-key', 'x-csrf-token']) {
  test(`the value of ${name} is never printed`, () => assert.equal(isSecretName(name), true));
}
for (const name of ['x-client-secret', 'x-password', 'x-amz-security-token', 'x-session-id']) {
  test(`the value of ${name} is never printed`, () => assert.equal(isSecretName(name), true));
}
for (const name of ['accept', 'x-tenant', 'user-agent', 'content-type']) {
  test(`the value of ${name} may be printed`, () => assert.equal(isSecretName(name), false));
}

const TEXTS: [rule: string, text: string, want: string][] = [
  ['plain text stays', 'a b/c?d=e', '"a b/c?d=e"'],
  ['quotes and backslashes are escaped', 'a"b\\c', '"a\\"b\\\\c"'],
  ['line ends are escaped', 'a\r\nb', '"a\\u000d\\u000ab"'],
  ['terminal controls are escaped', '\u001b[2J\u009b\u0007\u007f', '"\\u001b[2J\\u009b\\u0007\\u007f"'],
  ['bytes that are UTF-8 are read as such', 'caf\u00c3\u00a9', '"café"'],
  ['bytes that are not UTF-8 stay latin1', 'caf\u00e9', '"café"'],
  ['controls hidden in UTF-8 are escaped', '\u00e2\u0080\u00ae', '"\\u202e"'],
  ['NEL hidden in UTF-8 is escaped', '\u00c2\u0085', '"\\u0085"'],
  ['long text is cut', 'x'.repeat(50), `"${'x'.repeat(40)}…"`],
];
for (const [rule, text, want] of TEXTS) {
  test(`quote: ${rule}`, () => {
    assert.equal(quote(text, 40), want);
    JSON.parse(want);
  });
}

test('hostile input cannot forge a line: each parses, is one line, is bounded, and its parts add up', () => {
  const random = seededRandom(9, 8, 7, 6);
  const piece = (): string => {
    const alphabet = [
      '"',
      '\\',
      '\n',
      '\r',
      '\0',
      '\u001b',
      '}',
      '{"a":1}',
      '\u00ff',
      '\u0085',
      'x',
      '%0a',
      '\u2028',
      '\ud800',
    ];
    const length = random.unit() < 0.05 ? 20_000 : Math.floor(random.unit() * 12);
    return Array.from({ length }, () => alphabet[random.bits32() % alphabet.length]!).join('');
  };
  const number = (): number => [0, -1, 5.5, NaN, Infinity, 1e21, 200][random.bits32() % 7]!;
  const { log, batches } = logWith();
  const gate = log.gate({ ...POLICY, linesPerSecond: 1e9, query: 'keep', headers: ['x-a', 'x-"b'] });
  for (let i = 0; i < 500; i++) {
    assert.equal(gate.wants(200, undefined), true);
    const mark = (): number => (random.unit() < 0.3 ? -1 : random.unit() * 100);
    const marks = {
      startMs: 0,
      headMs: mark(),
      filteredMs: mark(),
      attemptMs: mark(),
      admittedMs: mark(),
      connectedMs: mark(),
      answeredMs: mark(),
      endMs: random.unit() * 100,
    };
    const strings = Object.fromEntries(
      Object.entries(ENTRY)
        .filter(([, value]) => typeof value === 'string')
        .map(([key]) => [key, piece()]),
    );
    const headers = Headers.of([
      ['user-agent', piece()],
      ['x-a', piece()],
      ['x-"b', piece()],
    ]);
    const fault = random.unit() < 0.3 ? new Fault('request.malformed', piece()) : undefined;
    log.write({ ...ENTRY, ...strings, status: number(), bytesIn: number(), fault, headers, marks }, gate);
  }
  log.close();
  const lines = batches.join('').split('\n');
  assert.equal(lines.pop(), '');
  assert.equal(lines.length, 500);
  for (const text of lines) {
    assert.ok(text.length < 64 * 1024);
    assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
    const line = JSON.parse(text) as Line;
    // The text of each figure, as whole microseconds: exact.
    const us = (name: string): number =>
      Number(new RegExp(`"${name}":(\\d+)\\.(\\d{3})[,}]`).exec(text)?.slice(1).join('') ?? 0);
    assert.equal(
      LATENCY_FIELDS.reduce((sum, { name }) => sum + us(name), 0),
      us('duration_ms'),
    );
    assert.equal(line['rule'] !== undefined, true);
  }
});

test('the allowance of a second is written, then a sample whose weights add up', () => {
  const { clock, log } = logWith();
  const gate = log.gate({ ...POLICY, linesPerSecond: 10, sample: 0.1 });
  let lines = 0;
  let weight = 0;
  for (let i = 0; i < 100_010; i++) {
    if (!gate.wants(200, undefined)) continue;
    lines++;
    weight += gate.weight;
  }
  assert.ok(lines > 9_500 && lines < 10_600, `${lines} lines`);
  assert.ok(Math.abs(weight - 100_010) <= 20, `weights add up to ${weight}`);
  clock.advance(1_001);
  for (let i = 0; i < 10; i++) assert.deepEqual([gate.wants(200, undefined), gate.weight], [true, 1]);
  log.close();
});

test('faults and 5xx have an allowance of their own', () => {
  const { log } = logWith();
  const gate = log.gate({ ...POLICY, linesPerSecond: 5, sample: 0 });
  const wanted = (status: number, fault?: Fault): number =>
    Array.from({ length: 20 }, () => gate.wants(status, fault)).filter(Boolean).length;
  assert.equal(wanted(200), 5);
  assert.equal(wanted(503), 5);
  assert.equal(wanted(404, new Fault('route.none', '')), 0, 'shared with 5xx');
  log.close();
});

test('a sample of 1 writes everything, a policy that is off nothing', () => {
  const { log } = logWith();
  const all = log.gate({ ...POLICY, linesPerSecond: 0, sample: 1 });
  const none = log.gate({ ...POLICY, enabled: false });
  for (let i = 0; i < 100; i++) {
    assert.equal(all.wants(200, undefined), true);
    assert.equal(all.weight, 1);
    assert.equal(none.wants(500, undefined), false);
  }
  log.close();
});

test('lines are written in batches, and the timers sleep when nothing is left', () => {
  const { clock, log, batches } = logWith({ flushMs: 200 });
  const gate = log.gate(POLICY);
  for (let i = 0; i < 3; i++) log.write(ENTRY, gate);
  clock.advance(199);
  assert.equal(batches.length, 0);
  clock.advance(1);
  assert.equal(batches.length, 1);
  gate.close();
  clock.advance(2_000);
  assert.equal(clock.pending, 0);
});

test('a reader that is too slow costs lines, not memory, and they are counted', async () => {
  let release = (): void => undefined;
  const counts = { written: 0, dropped: 0 };
  const batches: string[] = [];
  const { log } = logWith({
    flush: (batch) => {
      batches.push(batch);
      return new Promise((resolve) => {
        release = resolve;
      });
    },
    onWritten: (lines) => (counts.written += lines),
    onDropped: (lines) => (counts.dropped += lines),
  });
  const gate = log.gate(POLICY);
  for (let i = 0; i < 10_000; i++) log.write(ENTRY, gate);
  assert.equal(batches.length, 1, 'one batch at a time');
  assert.ok(counts.dropped > 5_000);
  while (counts.written + counts.dropped < 10_000) {
    release();
    await Promise.resolve();
  }
  assert.ok(batches.every((batch) => batch.length < 1.1 * 1024 * 1024));
  assert.equal(batches.join('').split('\n').length - 1, counts.written);
});

test('a batch that could not be written is counted as dropped', async () => {
  const counts = { written: 0, dropped: 0 };
  const { log } = logWith({
    flush: () => Promise.reject(new Error('disk full')),
    onWritten: (lines) => (counts.written += lines),
    onDropped: (lines) => (counts.dropped += lines),
  });
  log.write(ENTRY, log.gate(POLICY));
  log.flush();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(counts, { written: 0, dropped: 1 });
  log.close();
});
