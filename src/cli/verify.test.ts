import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SurveyLine } from '../control/survey.ts';
import type { ConnectionRow, ConnectionsAnswer } from '../ir/connection.ts';
import { runCommand } from './main.ts';
import { type FakeIo, fakeIo } from './testing/fake-io.ts';

const idOf = (name: string): string => `spiffe://td/ns/shop/sa/${name}`;
const shown = (name: string): { identity: string; serial: string; notAfterMs: number } => ({
  identity: idOf(name),
  serial: name,
  notAfterMs: Date.now() + 3_600_000 * 5,
});

const OUT: ConnectionRow = {
  direction: 'out',
  kind: 'mtls',
  part: 'Service/shop/orders/80',
  local: '10.0.0.1:4000',
  remote: '10.0.0.2:15008',
  openMs: 5,
  requests: 7,
  isMesh: true,
  tls: {
    version: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    speaks: 'h2',
    resumed: false,
    binding: 'b',
    own: shown('web'),
    peer: shown('orders'),
  },
};
const IN: ConnectionRow = {
  ...OUT,
  direction: 'in',
  part: 'Inbound/shop/orders/80',
  local: OUT.remote,
  remote: OUT.local,
  tls: { ...OUT.tls!, own: shown('orders'), peer: shown('web') },
};
const CLEAR: ConnectionRow = {
  direction: 'in',
  kind: 'clear',
  part: 'Inbound/shop/orders/80@clear',
  local: '10.0.0.2:8080',
  remote: '10.0.0.9:5555',
  openMs: 1,
  requests: 1,
  isMesh: true,
  why: 'the port is permissive',
};

const COUNTS = { mtls: 1, tls: 0, clear: 0, local: 0, unread: 0 };
const proxyOf = (name: string): Extract<SurveyLine, { kind: 'asked' }>['proxies'][number] => ({
  instance: `${name}-1`,
  identity: idOf(name),
  role: 'sidecar',
  services: [`shop/${name}`],
});
const OVER: SurveyLine = { kind: 'over', why: 'done', lost: 0, unheard: [] };

function said(name: string, answer: ConnectionsAnswer): SurveyLine {
  return { kind: 'answer', proxy: `${name}-1`, answer, lost: 0 };
}

async function run(lines: readonly SurveyLine[], ...args: string[]): Promise<FakeIo & { code: number; text: string }> {
  const asked: SurveyLine = { kind: 'asked', proxies: [proxyOf('web'), proxyOf('orders')] };
  const body = [asked, ...lines].map((line) => `${JSON.stringify(line)}\n`).join('');
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/connections': { status: 200, body } } });
  const code = await runCommand(['verify', ...args], io);
  return Object.assign(io, { code, text: io.outLines.join('\n') });
}

const WEB = said('web', { rows: [OUT], counts: COUNTS });
const ORDERS = said('orders', { rows: [IN], counts: COUNTS });

test('verify: one row for connections of one kind, proved by both ends', async () => {
  const more = [OUT, IN].map((row) => ({ ...row, tls: { ...row.tls!, binding: 'c' } }));
  const lines = [
    said('web', { rows: [OUT, more[0]!] }),
    said('orders', { rows: [IN] }),
    said('orders', { rows: [more[1]!] }),
    OVER,
  ];
  const { code, text } = await run(lines, '--strict');
  assert.equal(code, 0);
  assert.match(
    text,
    /\S+sa\/web +\S+sa\/orders +shop\/orders:80 +h2 +TLSv1\.3 +TLS_AES_128_GCM_SHA256 +2 +14 +5h +both ends$/m,
  );
  assert.match(text, /^2 proxies have answered\. 2 connections are proved by both ends$/m);
  assert.match(text, /^Nothing between services is in clear text$/m);
});

const STRICT: [rule: string, lines: SurveyLine[], words: RegExp][] = [
  ['clear text', [WEB, said('orders', { rows: [IN, CLEAR] }), OVER], /^Not proved: 1 connection in clear text$/m],
  [
    'ends that disagree',
    [WEB, said('orders', { rows: [{ ...IN, tls: { ...IN.tls!, binding: 'x' } }] }), OVER],
    /nobody: its two ends have other keys[^]*^Not proved: 1 connection whose ends disagree$/m,
  ],
  [
    'a proxy that did not answer',
    [
      WEB,
      {
        ...OVER,
        unheard: [{ proxy: 'orders-1', identity: idOf('orders'), kind: 'silent', reason: 'No answer in 5 s' }],
      },
    ],
    /orders \(orders-1\) did not answer: No answer in 5 s\nNot proved: 1 proxy not heard/,
  ],
  ['answers that were lost', [WEB, ORDERS, { ...OVER, lost: 2 }], /Not proved: 2 answers lost/],
  [
    'connections beyond what is told',
    [WEB, said('orders', { rows: [IN], counts: { ...COUNTS, mtls: 1_500 } }), OVER],
    /Not proved: 500 older connections not shown/,
  ],
];

for (const [rule, lines, words] of STRICT) {
  test(`verify --strict: ${rule} ends with 1; without it with 0`, async () => {
    const strict = await run(lines, '--strict');
    assert.match(strict.text, words);
    assert.equal(strict.code, 1);
    assert.equal((await run(lines)).code, 0);
  });
}

test('verify: clear text has a table of its own, and ports that take it are named', async () => {
  const rows = [IN, CLEAR, { ...CLEAR, remote: '10.0.0.9:5556' }];
  const { text } = await run([WEB, said('orders', { rows, open: ['Inbound/shop/orders/80@clear'] }), OVER]);
  assert.match(text, /^clear text +in +\S+sa\/orders +shop\/orders:80 +10\.0\.0\.9 +2 +the port is permissive$/m);
  assert.match(text, /^Clear text is taken at shop\/orders:80$/m);
});

test('verify: --service keeps what has to do with it; what is none between services is counted', async () => {
  const edge: ConnectionRow = {
    ...CLEAR,
    part: 'Gateway/shop/edge/http',
    isMesh: false,
    why: 'the listener has no TLS',
  };
  const lines = [WEB, said('orders', { rows: [IN, CLEAR, edge] }), OVER];
  const { text } = await run(lines, '--service', 'billing.shop');
  assert.match(text, /^No connection between services/);
  assert.doesNotMatch(text, /permissive/);
  assert.match(text, /^Not between services: 1 in clear text$/m);
  assert.equal((await run(lines, '--service', 'web')).text.includes('both ends'), true);
});

test('verify: --json has each connection', async () => {
  const { text } = await run([WEB, ORDERS, OVER], '--json');
  const report = JSON.parse(text) as { connections: { provedBy: string }[] };
  assert.deepEqual(Object.keys(report), [
    'asked',
    'unheard',
    'lost',
    'notShown',
    'connections',
    'clear',
    'open',
    'outside',
  ]);
  assert.deepEqual(
    report.connections.map(({ provedBy }) => provedBy),
    ['both'],
  );
});

test('verify: when nobody answers nothing is proved', async () => {
  const unheard = ['web', 'orders'].map(
    (name) => ({ proxy: `${name}-1`, identity: idOf(name), kind: 'silent', reason: 'x' }) as const,
  );
  assert.equal((await run([{ ...OVER, unheard }])).code, 1);
});

test('verify: of several control planes each is asked; proxies that are connected to another one are named by it', async () => {
  const elsewhere = { kind: 'elsewhere', reason: 'It is connected to the control plane b: ask there' } as const;
  const far = { ...elsewhere, proxy: 'orders-1', identity: idOf('orders') };
  const body = (...lines: SurveyLine[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const here = body({ kind: 'asked', proxies: [proxyOf('web'), proxyOf('orders')] }, WEB, { ...OVER, unheard: [far] });
  const there = body({ kind: 'asked', proxies: [proxyOf('orders')] }, ORDERS, OVER);
  const answers = {
    'http://127.0.0.1:9900/connections': { status: 200, body: here },
    'http://127.0.0.1:9901/connections': { status: 200, body: there },
  };
  const one = fakeIo({ answers });
  assert.equal(await runCommand(['verify', '--strict'], one), 1);
  const text = one.outLines.join('\n');
  assert.match(text, /client only$/m);
  assert.match(text, /^\S+orders \(orders-1\) was not asked: It is connected to the control plane b: ask there$/m);
  assert.match(text, /^1 proxy has answered[^]*^Not proved: 1 proxy not heard$/m);
  const both = fakeIo({ answers });
  const admins = ['--admin', '127.0.0.1:9900', '--admin', '127.0.0.1:9901'];
  assert.equal(await runCommand(['verify', '--strict', ...admins], both), 0);
  assert.match(both.outLines.join('\n'), /both ends$/m);
});

test('verify: an answer that breaks off is no answer', async () => {
  const { code, errLines } = await run([WEB]);
  assert.equal(code, 1);
  assert.match(errLines.join(), /Broken off/);
});

test('verify: what cannot be a service is refused', async () => {
  assert.equal((await run([OVER], '--service', 'a.b.c')).code, 2);
});
