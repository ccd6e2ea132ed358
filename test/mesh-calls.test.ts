/**
 * What goes along with a call over several hops of a mesh of real programs: gateway → a → b → c, each with its sidecar.
 * a passes on the fields of its request, b nothing but `traceparent`.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-calls-'));
const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];

let door: number;
let program: Fourways;
const sidecars = new Map<Name, Sidecar>();

const DEADLINE_MS = 2_000;

/** Calls the next one as it was called, and answers what that answered; the last one is slow, or fails. */
const APPLICATION = `
  const http = require('node:http');
  const [port, own, next, passed] = process.argv.slice(1);
  const proxy = new URL(process.env.HTTP_PROXY);
  const say = (what) => console.log(JSON.stringify({ said: own, ...what }));
  http.createServer((request, answer) => {
    const began = performance.now();
    const { url, headers } = request;
    say({ url, deadline: headers['x-fourways-deadline-ms'], attempt: headers['x-fourways-attempt'] });
    answer.on('close', () => say({ url, closedMs: performance.now() - began }));
    if (next === '') {
      if (url.startsWith('/fail')) answer.writeHead(503).end();
      return;
    }
    const names = Object.keys(headers).filter((name) => new RegExp(passed).test(name));
    const to = { host: proxy.hostname, port: proxy.port, path: 'http://' + next + '.shop' + url, agent: false };
    const call = http.request({ ...to, headers: Object.fromEntries(names.map((name) => [name, headers[name]])) }, (got) => {
      answer.writeHead(got.statusCode);
      got.pipe(answer);
    });
    call.on('error', () => answer.destroy());
    call.end();
  }).listen(Number(port), '127.0.0.1');
`;

const NEXT: Readonly<Record<Name, readonly [next: Name | '', passed: string]>> = {
  a: ['b', '^(traceparent|x-fourways-)'],
  b: ['c', '^traceparent$'],
  c: ['', '^$'],
};

before(async () => {
  door = await freePort(DOOR_HOST);
  const mesh = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(join(dir, 'mesh.yaml'), manifests());
  program = await Fourways.start({ config: join(dir, 'mesh.yaml'), workers: 1, mesh, data: join(dir, 'data') });
  await Promise.all(NAMES.map(async (name) => sidecars.set(name, await startApplication(name, mesh))));
  await program.until(
    async () => (await fetch(url('/fail'))).status === 503 && linesOf('c').some((line) => line.url === '/fail'),
    'the last one is reached',
  );
});

after(async () => {
  await Promise.all([...sidecars.values()].map((sidecar) => sidecar.stop()));
  await program?.stop('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

async function startApplication(name: Name, mesh: string): Promise<Sidecar> {
  const port = String(await freePort('127.0.0.1'));
  return Sidecar.start({
    service: `${name}.shop`,
    dir,
    control: mesh,
    token: await tokenFor(program, `${name}.shop`),
    app: [port],
    command: [process.execPath, '-e', APPLICATION, port, name, ...NEXT[name]],
    drain: '1s',
  });
}

function manifests(): string {
  const retry = '{ attempts: 2, codes: [503], backoff: 10ms }';
  const services = NAMES.map(
    (name) => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: to-${name}, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: ${name} }]
  rules: [{ backendRefs: [{ name: ${name}, port: 80 }], retry: ${retry} }]
---`,
  );
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
---${services.join('')}
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - matches: [{ path: { value: /slow } }]
      backendRefs: [{ name: a, port: 80 }]
      timeouts: { request: ${DEADLINE_MS}ms }
    - backendRefs: [{ name: a, port: 80 }]
      retry: ${retry}
`;
}

function url(path: string): string {
  return `http://${DOOR_HOST}:${door}${path}`;
}

interface Line {
  readonly url: string;
  readonly deadline?: string;
  readonly attempt?: string;
  readonly closedMs?: number;
}

/** What an application has said. */
function linesOf(name: Name): Line[] {
  const lines = sidecars.get(name)?.out.split('\n') ?? [];
  return lines.flatMap((line) => (line.startsWith('{"said"') ? (JSON.parse(line) as Line) : []));
}

test('the deadline of the edge shrinks from hop to hop, and all of them give up when it is over', async () => {
  const beganMs = performance.now();
  const answer = await fetch(url('/slow'), {
    headers: { 'x-fourways-deadline-ms': '60000', 'x-fourways-attempt': '2' },
  });
  const tookMs = performance.now() - beganMs;
  assert.equal(answer.status, 504);
  assert.ok(tookMs >= DEADLINE_MS - 5, `it took ${tookMs} ms`);
  const about = (name: Name): Line[] => linesOf(name).filter((line) => line.url === '/slow');
  await program.until(
    () => NAMES.every((name) => about(name).some(({ closedMs }) => closedMs !== undefined)),
    'every hop has given up',
  );
  let before = DEADLINE_MS;
  for (const name of NAMES) {
    const [came, closed] = about(name);
    assert.equal(came!.attempt, undefined, `${name}: the word of a client counts for nothing`);
    const deadlineMs = Number(came!.deadline);
    assert.ok(deadlineMs > 0 && deadlineMs <= before, `${name} has ${deadlineMs} ms, whoever called has ${before} ms`);
    // Nobody would end it otherwise.
    assert.ok(closed!.closedMs! <= deadlineMs + 2_000, `${name} gave up after ${closed!.closedMs} ms`);
    before = deadlineMs;
  }
});

test('three hops that may try three times make seven calls of one that fails, and not 27', async () => {
  const before = linesOf('c').length;
  const retriesBefore = await retries();
  const path = '/fail?counted';
  assert.equal((await fetch(url(path))).status, 503);
  const called = (name: Name): Line[] =>
    linesOf(name).filter((line) => line.url === path && line.closedMs === undefined);
  await program.until(() => linesOf('c').length > before, 'the last one says that it was called');
  assert.deepEqual(
    NAMES.map((name) => called(name).length),
    [3, 5, 7],
  );
  // The first call of each hop is the only one that may be tried again.
  assert.deepEqual(
    NAMES.map((name) => called(name).filter(({ attempt }) => attempt === undefined).length),
    [1, 1, 1],
  );
  assert.equal((await retries()) - retriesBefore, 2, 'those of the gateway are counted');
});

async function retries(): Promise<number> {
  const text = await program.adminText('/metrics');
  const counts = [...text.matchAll(/^fourways_upstream_retries_total\{[^}]*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
