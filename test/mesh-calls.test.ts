/**
 * What goes along with a call over several hops of a mesh of real programs: gateway → a → b → c, each with its sidecar.
 * a passes on the fields of its request, b nothing but `traceparent` and the user.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
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

const users = generateKeyPairSync('ec', { namedCurve: 'P-256' });

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
      if (url.startsWith('/user')) answer.end(headers['x-fourways-user']);
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
  b: ['c', '^(traceparent|x-fourways-user)$'],
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
---${policy(name)}`,
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
    - name: user
      matches: [{ path: { value: /user } }]
      backendRefs: [{ name: a, port: 80 }]
    - backendRefs: [{ name: a, port: 80 }]
      retry: ${retry}
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: users, namespace: shop }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: all, sectionName: user }]
  authentication: { anonymous: { consumer: nobody } }
  filters:
    jwt:
      issuers:
        - issuer: https://id.test
          audiences: [shop]
          jwks: { inline: { keys: [${JSON.stringify({ ...users.publicKey.export({ format: 'jwk' }), alg: 'ES256' })}] } }
`;
}

/** a asks who calls, b who the user is, c for both. */
const WHO: Readonly<Record<Name, string>> = {
  a: "workloads: ['spiffe://cluster.local/ns/fourways/sa/gateway']",
  b: 'claims: { role: [admin] }',
  c: "workloads: ['spiffe://cluster.local/ns/shop/sa/b'], when: \"identity.subject == 'ann' && 'userContext' in identity.methods\"",
};

function policy(name: Name): string {
  return `
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: ${name}, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: ${name} }]
  filters: { authorize: { rules: [{ paths: [/slow, /fail] }, { paths: [/user], ${WHO[name]} }] } }
---`;
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

function signed(header: object, payload: object, key: KeyObject): string {
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** Of a user, as the issuer signs it. */
function tokenOf(subject: string, role: string): string {
  const exp = Math.floor(Date.now() / 1_000) + 600;
  return signed({ alg: 'ES256' }, { iss: 'https://id.test', aud: 'shop', sub: subject, role, exp }, users.privateKey);
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function askEdge(headers: Record<string, string>): Promise<Answer> {
  const answer = await fetch(url('/user'), { headers });
  return { status: answer.status, body: await answer.text() };
}

/** As the application a, through its sidecar. */
async function askAsA(user: string): Promise<Answer> {
  const { hostname: host, port } = new URL(sidecars.get('a')!.proxy);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { 'x-fourways-user': user };
  get({ host, port, path: 'http://b.shop/user', headers, agent: false }, (answer) => {
    let body = '';
    answer.setEncoding('utf8').on('data', (text: string) => (body += text));
    answer.on('end', () => resolve({ status: answer.statusCode!, body }));
  }).on('error', reject);
  return promise;
}

const EDGE: [rule: string, headers: () => Record<string, string>, want: number][] = [
  ['the user that the gateway has verified', () => ({ authorization: `Bearer ${tokenOf('ann', 'admin')}` }), 200],
  ['another role, at b', () => ({ authorization: `Bearer ${tokenOf('ann', 'guest')}` }), 403],
  ['another user, at c', () => ({ authorization: `Bearer ${tokenOf('bob', 'admin')}` }), 403],
  ['nobody', () => ({}), 403],
  ['nobody, with a context that the client made up', () => ({ 'x-fourways-user': 'forged' }), 403],
];

test('policies of services decide by who calls, by who the user is, and by both, as the gateway has verified', async () => {
  for (const [rule, headers, want] of EDGE) {
    const { status, body } = await askEdge(headers());
    assert.equal(status, want, `${rule}: ${body}`);
  }
});

/** A workload's own certificate and key, from its disk. */
function kept(name: Name): { readonly x5c: readonly string[]; readonly keyPem: string } {
  for (const file of globSync(join(dir, 'sidecar-*/certificate.json'))) {
    const { chainPem, keyPem } = JSON.parse(readFileSync(file, 'utf8')) as { chainPem: string; keyPem: string };
    if (new X509Certificate(chainPem).subjectAltName?.endsWith(`/sa/${name}`) !== true) continue;
    const chain = chainPem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
    return { keyPem, x5c: chain.map((pem) => new X509Certificate(pem).raw.toString('base64')) };
  }
  throw new Error(`${name} has no certificate`);
}

const FORGED: [rule: string, make: (good: string) => string, words: RegExp][] = [
  ['made up', () => 'ann', /is no signed text/],
  [
    'changed on its way',
    (good) => {
      const [header, body = '', signature] = good.split('.');
      const said = JSON.parse(Buffer.from(body, 'base64url').toString()) as object;
      return [header, Buffer.from(JSON.stringify({ ...said, sub: 'root' })).toString('base64url'), signature].join('.');
    },
    /does not fit its signature/,
  ],
  [
    'signed by a workload of the mesh that is no gateway',
    (good) => {
      const { x5c, keyPem } = kept('a');
      const [header, body] = good.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
      return signed({ ...header, x5c }, body, createPrivateKey(keyPem));
    },
    /signed by spiffe:\/\/cluster\.local\/ns\/shop\/sa\/a, which may not say who a user is/,
  ],
];

test('a user context is handed on as it is, and refused and logged when it is forged', async () => {
  const { body: good } = await askEdge({ authorization: `Bearer ${tokenOf('ann', 'admin')}` });
  assert.deepEqual(await askAsA(good), { status: 200, body: good });
  for (const [rule, make, words] of FORGED) {
    const { status, body } = await askAsA(make(good));
    assert.deepEqual([status, (JSON.parse(body) as { code: string }).code], [401, 'user-context.invalid'], rule);
    // In the access log each time; as a warning not more often than people can read.
    const isLogged = (line: string): boolean => line.includes('"fault":"user-context.invalid"') && words.test(line);
    await program.until(() => sidecars.get('b')!.out.split('\n').some(isLogged), `the log says why: ${rule}`);
  }
  const { err, out } = sidecars.get('b')!;
  assert.match(err, /A user context was refused: .*"sender":"spiffe:\/\/cluster\.local\/ns\/shop\/sa\/a"/);
  assert.ok(!err.includes(good) && !out.replaceAll(/^\{"said".*$/gm, '').includes(good), 'no log holds one');
});
