import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { ObservedCall } from '../ir/observed.ts';
import { check } from './check.ts';
import { runCommand } from './main.ts';
import { type FakeIo, fakeIo } from './testing/fake-io.ts';

const ADMIN = 'http://127.0.0.1:9900';
const WEB = 'spiffe://cluster.local/ns/shop/sa/web';
const RECORDING = { state: 'ended', fromMs: 0, untilMs: 60_000, heard: 2, unheard: [], kinds: 1, calls: 1, beyond: 0 };

const CONFIG = `apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: store, namespace: shop }
spec: { ports: [{ name: http, port: 80 }, { name: tcp-db, port: 5432 }] }
`;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fourways-record-'));
  writeFileSync(join(dir, 'mesh.yaml'), CONFIG);
});
afterEach(() => rmSync(dir, { recursive: true }));

function call(service: string, text: string, values: Partial<ObservedCall> = {}): ObservedCall {
  const [method = '', path = ''] = text.split(' ');
  const counts = { calls: 1, denied: 0, audited: 0, unwelcome: 0 };
  const protocol = text === '' ? 'tcp' : 'http';
  return { source: WEB, service: `shop/${service}`, port: 80, protocol, method, path, ...counts, ...values };
}

interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
  readonly io: FakeIo;
}

async function record(rows: readonly ObservedCall[], ...args: string[]): Promise<Ran> {
  const json = (value: object) => ({ status: 200, body: JSON.stringify(value) });
  const io = fakeIo({
    cwd: dir,
    answers: {
      [`${ADMIN}/mesh/recording`]: json(RECORDING),
      [`${ADMIN}/mesh/recording/calls`]: json({ ...RECORDING, rows }),
      [`${ADMIN}/mesh/recording/start`]: json({ ...RECORDING, began: true }),
      [`${ADMIN}/mesh/recording/stop`]: json(RECORDING),
    },
  });
  const exit = await runCommand(['record', ...args], io);
  return { exit, out: io.outLines.join('\n'), err: io.errLines.join('\n'), io };
}

/** That the configuration is one without problems, also with a policy in it. */
async function checked(): Promise<void> {
  const io = fakeIo({ cwd: dir });
  assert.equal(await check.run({ values: {}, positionals: ['.'] } as never, io), 0, io.outLines.join('\n'));
}

test('record: a new policy is shown as a diff against the file, is tried out, and can be applied', async () => {
  const { exit, out, err } = await record(
    [call('orders', 'GET /orders/*'), call('orders', 'POST /orders')],
    '--config',
    'mesh.yaml',
  );
  assert.equal(exit, 0);
  assert.equal(
    out,
    `--- a/mesh.yaml
+++ b/mesh.yaml
@@ -11,3 +11,30 @@
 kind: Service
 metadata: { name: store, namespace: shop }
 spec: { ports: [{ name: http, port: 80 }, { name: tcp-db, port: 5432 }] }
+---
+# Made by "fourways record" of calls that were seen. Change it as you like: recording again adds to it.
+apiVersion: fourways.io/v1alpha1
+kind: Policy
+metadata:
+  name: orders-callers
+  namespace: shop
+spec:
+  mode: audit
+  targetRefs:
+    - kind: Service
+      name: orders
+  filters:
+    authorize:
+      rules:
+        - workloads:
+            - ${WEB}
+          methods:
+            - POST
+          paths:
+            - /orders
+        - workloads:
+            - ${WEB}
+          methods:
+            - GET
+          paths:
+            - /orders/*`,
  );
  assert.match(
    err,
    /^1 calls of 1 kinds by 2 sidecars, from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z\nNobody has called in clear text$/,
  );
  assert.equal(readFileSync(join(dir, 'mesh.yaml'), 'utf8'), CONFIG, 'nothing is written');
  execFileSync('git', ['apply'], { input: `${out}\n`, cwd: dir });
  await checked();
});

test('record: what is written is known the next time; what is new changes the policy where it stands, with its comments', async () => {
  const first = await record([call('orders', 'GET /a')], '--config', '.', '--write', '.');
  assert.match(first.err, /Wrote shop-orders-callers.yaml/);
  assert.deepEqual(readdirSync(dir).toSorted(), ['mesh.yaml', 'shop-orders-callers.yaml']);
  const path = join(dir, 'shop-orders-callers.yaml');
  assert.equal(statSync(path).mode & 0o444, 0o444);
  await checked();
  const again = await record([call('orders', 'GET /a')], '--config', '.', '--write', '.');
  assert.match(again.err, /Nothing to propose/);
  assert.equal(again.out, '');

  const text = readFileSync(path, 'utf8');
  const mine = `  # reviewed by ann\n        - { name: users, groups: [staff], methods: [DELETE], workloads: ['${WEB}'] }\n`;
  writeFileSync(path, text.replace('      rules:\n', `      rules:\n      ${mine}`));
  await checked();
  const more = await record(
    [call('orders', 'GET /a'), call('orders', 'GET /b'), call('orders', 'DELETE /b')],
    '--config',
    '.',
  );
  const changed = more.out.split('\n').filter((line) => /^[+-] /.test(line));
  assert.deepEqual(changed, ['+            - /b']);
  await record([call('orders', 'GET /b')], '--config', '.', '--write', '.', '--drop-unseen', '--enforce');
  const last = readFileSync(path, 'utf8');
  assert.match(last, /# reviewed by ann/);
  assert.match(last, /\{ name: users, groups: \[ *staff *\], methods: \[ *DELETE *\]/);
  assert.doesNotMatch(last, /- \/a|mode: audit/);
  await checked();
});

test('record: what was written before is changed and not written twice, also without --config', async () => {
  await record([call('orders', 'GET /a')], '--write', 'policies.yaml');
  const { out, err } = await record([call('orders', 'GET /b')], '--write', 'policies.yaml');
  assert.deepEqual(
    out.split('\n').filter((line) => /^[+-] /.test(line)),
    ['+            - /b'],
  );
  assert.match(err, /Allowed, and called by nobody[^]*GET {2}\/a/);
  assert.equal(readFileSync(join(dir, 'policies.yaml'), 'utf8').match(/kind: Policy/g)?.length, 1);
  await checked();
});

test('record: a policy of the same name on something else is not touched', async () => {
  const other = `apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: orders-callers, namespace: shop }
spec: { targetRefs: [{ kind: Service, name: store }], filters: { cors: {} } }
`;
  writeFileSync(join(dir, 'other.yaml'), other);
  const { exit, err } = await record([call('orders', 'GET /a')], '--config', '.', '--write', '.');
  assert.equal(exit, 1);
  assert.match(err, /Policy shop\/orders-callers of .*other.yaml is not on Service shop\/orders/);
  assert.equal(readFileSync(join(dir, 'other.yaml'), 'utf8'), other);
});

test('record: a policy for each port of a Service that has several, and none that would open one to callers of the other', async () => {
  const rows = [call('store', 'GET /a'), call('store', '', { port: 5_432, source: WEB.replace('web', 'job') })];
  const { io } = await record(rows, '--config', 'mesh.yaml', '--write', 'more.yaml', '--json');
  const { policies, diff } = JSON.parse(io.outLines[0]!) as { policies: Record<string, unknown>[]; diff: string };
  assert.deepEqual(
    policies.map(({ policy, port, mode, rules }) => [policy, port, mode, rules]),
    [
      [
        'shop/store-callers-http',
        'http',
        'audit',
        [{ effect: 'allow', workloads: [WEB], methods: ['GET'], paths: ['/a'] }],
      ],
      ['shop/store-callers-tcp-db', 'tcp-db', 'audit', [{ effect: 'allow', workloads: [WEB.replace('web', 'job')] }]],
    ],
  );
  assert.match(diff, /^--- \/dev\/null\n\+\+\+ b\/more.yaml\n/);
  await checked();
  const { err, out } = await record(rows);
  assert.match(err, /several ports and nothing says their names \(--config\):\n  shop\/store:80  GET \/a /);
  assert.equal(out, '');
});

test('record: says what stands in the way of strict, and what is not proposed', async () => {
  const { err, out } = await record([
    call('orders', 'GET /clear', { source: '', calls: 7 }),
    call('orders', 'GET /no', { denied: 1 }),
    call('orders', 'GET /.env', { unwelcome: 1 }),
    call('orders', 'OPTIONS *'),
  ]);
  assert.equal(out, '');
  for (const line of [
    'In clear text, by nobody knows whom; mtls strict would refuse it:\n  shop/orders:80  GET /clear  7 calls',
    `Refused already, and not proposed:\n  shop/orders:80  GET /no  ${WEB}  1 call`,
    'Answered 401, 403, 404 or 405 by the application, and not proposed:\n  shop/orders:80  GET /.env',
    'because no rule can name it:\n  shop/orders:80  OPTIONS *',
  ]) {
    assert.ok(err.includes(line), err);
  }
});

test('record: for one Service or namespace, and only what was asked for', async () => {
  const rows = [call('orders', 'GET /a'), call('web', 'GET /b')];
  const policies = async (...args: string[]): Promise<string[]> => {
    const { io } = await record(rows, '--json', ...args);
    return (JSON.parse(io.outLines[0]!) as { policies: { policy: string }[] }).policies.map(({ policy }) => policy);
  };
  assert.deepEqual(await policies(), ['shop/orders-callers', 'shop/web-callers']);
  assert.deepEqual(await policies('--service', 'web'), ['shop/web-callers']);
  assert.deepEqual(await policies('--service', 'web.shop'), ['shop/web-callers']);
  assert.deepEqual(await policies('--service', 'web.other'), []);
  assert.deepEqual(await policies('--namespace', 'other'), []);
});

test('record: records for a time, and starts and stops without waiting', async () => {
  const timed = await record([call('orders', 'GET /a')], '--seconds', '1');
  assert.deepEqual(
    timed.io.posted.map(({ url, body }) => [url.slice(ADMIN.length), body]),
    [
      ['/mesh/recording/start', { lastsMs: 31_000 }],
      ['/mesh/recording/stop', {}],
    ],
  );
  const started = await record([], 'start', '--seconds', '3600');
  assert.deepEqual(started.io.posted[0]?.body, { lastsMs: 3_600_000 });
  assert.match((await record([], 'stop')).out, /Recorded 1 calls of 1 kinds, 2 sidecars/);
});

const WRONG: [args: string[], words: RegExp][] = [
  [['begin'], /Expected start, stop or nothing, not "begin"/],
  [['start', '--write', 'x.yaml'], /--write is for proposals/],
  [['stop', '--seconds', '5'], /--seconds is not for stop/],
  [['--service', 'a.b.c'], /no name of a Service/],
  [['--service', 'a.b', '--namespace', 'c'], /is not in namespace "c"/],
  [['--write', 'fourways.config.ts'], /must be a folder, or a file that ends in .yaml/],
  [['--seconds', '0'], /--seconds is "0"/],
];

for (const [args, words] of WRONG) {
  test(`record: ${args.join(' ')} is wrong`, async () => {
    const { exit, err } = await record([call('orders', 'GET /a')], ...args);
    assert.equal(exit, 2);
    assert.match(err, words);
  });
}

test('record: a file that would not be read afterwards is left alone', async () => {
  writeFileSync(join(dir, 'fourways.yaml'), 'listen: 8080\nroutes: []\n');
  const { exit, err } = await record([call('orders', 'GET /a')], '--write', 'fourways.yaml');
  assert.equal(exit, 1);
  assert.match(err, /Cannot put policies into fourways.yaml: name another file or a folder with --write/);
});
