import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { type Log, silentLog } from '../../base/log.ts';
import { PARTS } from '../../ir/testing/plans.ts';
import { type AdminServer, startAdmin } from './server.ts';
import type { Recording } from '../../control/recorder.ts';
import type { MeshSummary } from '../../control/mesh-summary.ts';
import type { RotationReport, TrustView } from './trust-view.ts';
import type { AdminView, Readiness } from './view.ts';

let readiness: Readiness = { ready: true, reason: '', version: 'v1', workers: [] };
let plan: ReturnType<AdminView['plan']> = { version: 'v1', ...PARTS };
const logged: string[] = [];
const orders: object[] = [];
let orderAnswers: Awaited<ReturnType<AdminView['order']>> = [];
const log: Log = { ...silentLog, error: (message) => logged.push(message) };

const SUMMARY: MeshSummary = {
  trustDomain: 'td',
  control: { listen: '127.0.0.1:1', leads: true },
  controls: [{ id: 'c', name: '127.0.0.1:1', state: 'this', leads: true }],
  store: { name: 'embedded', state: 'open', reason: '' },
  authority: { root: { id: 'r', until: '' }, issuer: { id: 'i', until: '' }, denied: 0 },
  proxies: { connected: 0, current: 0, behind: 0, refusing: 0 },
  services: [],
};

const REST: RotationReport = {
  phase: 'rest',
  kind: undefined,
  pace: 'spread-out',
  sinceMs: undefined,
  waits: undefined,
  root: 'r',
  issuer: 'i',
  isBrought: false,
};
const NO_TRUST: TrustView = {
  certificates: async () => [],
  roots: () => ({ trustDomain: 'a.test', caCertificates: 'PEM' }),
  rotation: async () => REST,
  rotate: async () => undefined,
  cancel: async () => undefined,
  drill: () => undefined,
  abortDrill: () => undefined,
};
const NOTHING_RECORDED: Recording = { state: 'none', heard: 0, unheard: [], kinds: 0, calls: 0, beyond: 0 };
const NO_PROXIES: NonNullable<AdminView['mesh']> = {
  trust: NO_TRUST,
  recorder: { recording: NOTHING_RECORDED, calls: [], start: () => true, stop: () => false },
  proxies: () => [],
  calls: () => undefined,
  summary: () => SUMMARY,
  createToken: () => Promise.resolve('none here'),
  denied: () => [],
  deny: () => Promise.resolve(undefined),
  allow: () => Promise.resolve(false),
};
let mesh: AdminView['mesh'] = NO_PROXIES;
const MEMBER: NonNullable<AdminView['member']> = {
  identity: 'spiffe://td/ns/shop/sa/web',
  instance: 'web-1',
  control: ['10.0.0.1:15010'],
  connected: '10.0.0.1:15010',
  certificate: {
    what: 'proxy',
    owner: 'spiffe://td/ns/shop/sa/web',
    where: 'web-1',
    serial: '0a',
    isBrought: false,
    from: '2026-01-01T00:00:00Z',
    until: '2026-01-02T00:00:00Z',
    alarm: 'none',
  },
};
let member: AdminView['member'] = MEMBER;

const view: AdminView = {
  readiness: () => readiness,
  metrics: async (accept) => ({ contentType: 'text/plain; version=0.0.4', body: `accept ${accept}\n` }),
  status: () => ({ apiVersion: 'v1', kind: 'List', items: [{ kind: 'Gateway' }] }),
  plan: () => plan,
  problems: () => ({ version: 'v1', problems: [] }),
  about: () => ({ version: '0.1.0', node: 'v26.0.0', pid: 1, source: '/etc', startedAt: '2026-01-01T00:00:00Z' }),
  certificates: async () => ({ orders: false, certificates: [] }),
  order: async (filter, order) => (orders.push({ filter, order }), orderAnswers),
  stats: () => Promise.reject(new Error('a defect')),
  get mesh() {
    return mesh;
  },
  proxiesToAsk: { list: () => [], onJoined: () => () => undefined },
  get member() {
    return member;
  },
};

let admin: AdminServer;
before(async () => {
  admin = await startAdmin({ host: '127.0.0.1', port: 0, view, clock: systemClock, log });
});
after(() => admin.close());

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

async function ask(
  path: string,
  { body, ...options }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const call = request({ host: '127.0.0.1', port: admin.port, path, agent: false, ...options });
  call.end(body);
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  let text = '';
  for await (const part of answer.setEncoding('utf8')) text += part;
  return { status: answer.statusCode!, headers: answer.headers, text };
}

test('admin: every path that it lists answers', async () => {
  const { paths } = JSON.parse((await ask('/')).text) as { paths: { path: string; method: string }[] };
  assert.deepEqual(
    paths.map(({ path }) => path),
    [
      '/',
      '/healthz',
      '/readyz',
      '/metrics',
      '/status',
      '/plan',
      '/problems',
      '/endpoints',
      '/certificates',
      '/mesh',
      '/proxies',
      '/member',
      '/calls',
      '/tokens',
      '/mesh/denied',
      '/mesh/deny',
      '/mesh/allow',
      '/mesh/roots',
      '/mesh/rotation',
      '/mesh/rotate',
      '/mesh/rotate/cancel',
      '/mesh/drill',
      '/mesh/drill/abort',
      '/mesh/recording',
      '/mesh/recording/calls',
      '/mesh/recording/start',
      '/mesh/recording/stop',
      '/connections',
      '/requests',
      '/cache',
      '/cache/purge',
      '/version',
    ],
  );
  for (const { path, method } of paths) {
    // The first is a defect here, and there is no proxy that the others could ask (survey-routes.test.ts).
    if (['/endpoints', '/connections', '/requests'].includes(path) || method === 'POST') continue;
    const { status, headers } = await ask(path);
    assert.equal(status, 200, path);
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['access-control-allow-origin'], undefined);
    assert.equal(headers['content-type'], path === '/metrics' ? 'text/plain; version=0.0.4' : 'application/json');
  }
});

test('admin: readyz is 503 while a worker is missing, and says which', async () => {
  const workers = [{ worker: 1, state: 'missing', version: undefined, restarts: 3 }] as const;
  const before = readiness;
  readiness = { ready: false, reason: 'Worker 1 is missing', version: 'v1', workers };
  const { status, text } = await ask('/readyz');
  readiness = before;
  assert.equal(status, 503);
  assert.deepEqual(JSON.parse(text), {
    ready: false,
    reason: 'Worker 1 is missing',
    version: 'v1',
    workers: [{ worker: 1, state: 'missing', restarts: 3 }],
  });
});

test('admin: there is no plan before the first', async () => {
  const before = plan;
  plan = undefined;
  const { status, text } = await ask('/plan');
  plan = before;
  assert.equal(status, 404);
  assert.equal((JSON.parse(text) as { detail: string }).detail, 'No plan is applied yet');
});

test('admin: HEAD has the head of GET and no body', async () => {
  const get = await ask('/plan');
  const head = await ask('/plan', { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.text, '');
  assert.equal(head.headers['content-length'], String(Buffer.byteLength(get.text)));
});

const REFUSED: [rule: string, path: string, options: Parameters<typeof ask>[1], status: number, detail: RegExp][] = [
  ['an unknown path', '/nope', {}, 404, /no such path/],
  ['a path that only begins like one', '/plan/x', {}, 404, /no such path/],
  ['a method that would change something', '/plan', { method: 'POST' }, 405, /Only GET and HEAD/],
  ['a preflight', '/plan', { method: 'OPTIONS' }, 405, /Only GET and HEAD/],
  ['a type that it does not have', '/plan', { headers: { accept: 'text/html' } }, 406, /application\/json/],
  ['JSON refused by name', '/plan', { headers: { accept: '*/*, application/json;q=0' } }, 406, /application\/json/],
  ['metrics as JSON', '/metrics', { headers: { accept: 'application/json' } }, 406, /text\/plain/],
  ['the name of a stranger', '/plan', { headers: { host: 'rebound.test:9900' } }, 421, /Host must be/],
  ['a name that ends like ours', '/plan', { headers: { host: 'evil-localhost' } }, 421, /Host must be/],
  ['a Host that is no host', '/plan', { headers: { host: '127.0.0.1@evil.test' } }, 400, /The Host header/],
];

for (const [rule, path, options, status, detail] of REFUSED) {
  test(`admin: refuses ${rule}`, async () => {
    const answer = await ask(path, options);
    assert.equal(answer.status, status);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    const problem = JSON.parse(answer.text) as { type: string; title: string; status: number; detail: string };
    assert.equal(problem.status, status);
    assert.match(problem.detail, detail);
    assert.equal(answer.headers.allow, status === 405 ? 'GET, HEAD' : undefined);
  });
}

const JSON_TYPE = { 'content-type': 'application/json' };

const ORDERS: [
  rule: string,
  options: Parameters<typeof ask>[1],
  answers: typeof orderAnswers,
  status: number,
  said: RegExp,
][] = [
  [
    'is done by all workers',
    { method: 'POST', headers: JSON_TYPE, body: '{"by":"tag","value":"a","kind":"stats"}' },
    [{ kind: 'done', answer: { purged: 2 } }, { kind: 'done', answer: { purged: 1 } }, { kind: 'nobody' }],
    200,
    /"workers": 3,\s+"purged": 3/,
  ],
  [
    'that makes no sense says why',
    { method: 'POST', headers: JSON_TYPE, body: '{"by":"x"}' },
    [{ kind: 'refused', reason: 'By should be something' }],
    400,
    /By should be something/,
  ],
  ['is no JSON', { method: 'POST', headers: JSON_TYPE, body: 'by=all' }, [], 400, /JSON object/],
  ['is a list', { method: 'POST', headers: JSON_TYPE, body: '[]' }, [], 400, /JSON object/],
  [
    'comes from a form',
    { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' },
    [],
    415,
    /application\/json/,
  ],
  [
    'comes from a page',
    { method: 'POST', headers: { ...JSON_TYPE, origin: 'http://x' }, body: '{}' },
    [],
    403,
    /browsers/,
  ],
  ['by another method', { headers: JSON_TYPE }, [], 405, /Only POST/],
];

for (const [rule, options, answers, status, said] of ORDERS) {
  test(`admin: an order ${rule}`, async () => {
    orders.length = 0;
    orderAnswers = answers;
    const answer = await ask('/cache/purge', options);
    orderAnswers = [];
    assert.equal(answer.status, status);
    assert.match(answer.text, said);
    assert.equal(orders.length, answers.length > 0 ? 1 : 0);
    if (status === 200)
      assert.deepEqual(orders, [{ filter: 'cache', order: { kind: 'purge', by: 'tag', value: 'a' } }]);
  });
}

test('admin: what caches hold is summed over workers', async () => {
  const zone = { owner: 'Policy a/b', entries: 1, bytes: 2, bytesMax: 3, filling: 4 };
  orderAnswers = [zone, { ...zone, owner: 'Policy a/c' }, zone].map((one) => ({
    kind: 'done',
    answer: { zones: [one] },
  }));
  const { text } = await ask('/cache');
  orderAnswers = [];
  assert.deepEqual(JSON.parse(text), {
    workers: 3,
    zones: [
      { owner: 'Policy a/b', entries: 2, bytes: 4, bytesMax: 6, filling: 8 },
      { owner: 'Policy a/c', entries: 1, bytes: 2, bytesMax: 3, filling: 4 },
    ],
  });
});

const TAKEN: [rule: string, path: string, headers: Record<string, string>][] = [
  ['localhost', '/plan', { host: 'localhost:9900' }],
  ['a name below localhost', '/plan', { host: 'gateway.localhost' }],
  ['an IPv6 address', '/plan', { host: '[::1]:9900' }],
  ['an address of this machine', '/plan', { host: '192.0.2.7:9900' }],
  ['what browsers accept', '/plan', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }],
  ['a family of types', '/plan', { accept: 'application/*' }],
  ['what Prometheus accepts', '/metrics', { accept: 'application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1' }],
  ['a query', '/plan?pretty', {}],
];

for (const [rule, path, headers] of TAKEN) {
  test(`admin: takes ${rule}`, async () => assert.equal((await ask(path, { headers })).status, 200));
}

test('admin: a defect is answered and logged, without its text', async () => {
  const { status, text } = await ask('/endpoints');
  assert.equal(status, 500);
  assert.doesNotMatch(text, /a defect/);
  assert.deepEqual(logged, ['The admin API failed']);
});

test('admin: a request without Host is refused', async () => {
  const socket = connect(admin.port, '127.0.0.1');
  socket.end('GET /plan HTTP/1.1\r\n\r\n');
  let text = '';
  for await (const part of socket.setEncoding('utf8')) text += part;
  assert.match(text, /^HTTP\/1\.1 400 /);
});

test('admin: a large document reaches a slow reader whole', async () => {
  const before = plan;
  const routes = Object.fromEntries(
    Array.from({ length: 5_000 }, (_, i) => [`HTTPRoute/shop/r${i}`, PARTS.routes['HTTPRoute/shop/web']!]),
  );
  plan = { version: 'v2', ...PARTS, routes };
  const call = request({ host: '127.0.0.1', port: admin.port, path: '/plan', agent: false });
  call.end();
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  await new Promise((resolve) => setTimeout(resolve, 50));
  let text = '';
  for await (const part of answer.setEncoding('utf8')) text += part;
  plan = before;
  assert.ok(text.length > 1_000_000);
  assert.equal(Object.keys((JSON.parse(text) as { routes: object }).routes).length, 5_000);
});

test('admin: many requests on one connection', async () => {
  const socket = connect(admin.port, '127.0.0.1');
  const get = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n';
  socket.write(`${get}\r\n${get}\r\n${get}Connection: close\r\n\r\n`);
  let text = '';
  for await (const part of socket.setEncoding('utf8')) text += part;
  assert.equal(text.match(/HTTP\/1\.1 200 /g)?.length, 3);
});

test('admin: close finishes, and nobody listens afterwards', async () => {
  const other = await startAdmin({ host: '127.0.0.1', port: 0, view, clock: systemClock, log });
  const { port } = other;
  const idle = connect(port, '127.0.0.1');
  await once(idle, 'connect');
  await other.close();
  idle.destroy();
  const again = connect(port, '127.0.0.1');
  const [error] = (await once(again, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
});

test('admin: the name that it was told to listen on is its own', async (t) => {
  const named = await startAdmin({ host: 'localhost', port: 0, view, clock: systemClock, log });
  t.after(() => named.close());
  assert.ok(named.port > 0);
});

test('admin: a port that is taken is an error with its code', async () => {
  await assert.rejects(startAdmin({ host: '127.0.0.1', port: admin.port, view, clock: systemClock, log }), {
    code: 'EADDRINUSE',
  });
});

function postJson(path: string, body: object): Promise<Answer> {
  return ask(path, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body) });
}

test('/proxies and /tokens: 404 where no mesh is run', async (t) => {
  t.after(() => (mesh = NO_PROXIES));
  mesh = undefined;
  assert.equal((await ask('/proxies')).status, 404);
  assert.equal((await ask('/mesh')).status, 404);
  assert.equal((await postJson('/tokens', {})).status, 404);
});

test('/calls: what is asked for is checked, and 404 before the first plan', async (t) => {
  t.after(() => (mesh = NO_PROXIES));
  const asked: object[] = [];
  const answer = { trustDomain: 'td', callees: [] };
  mesh = { ...NO_PROXIES, calls: (question) => (asked.push(question), answer) };
  const question = { from: { namespace: 'shop', host: 'orders' }, services: ['Service/shop/orders'] };
  assert.deepEqual(JSON.parse((await postJson('/calls', question)).text), answer);
  assert.deepEqual(JSON.parse((await postJson('/calls', {})).text), answer);
  assert.deepEqual(asked, [question, { services: [] }]);
  for (const wrong of [{ services: 'x' }, { services: [1] }, { from: 'web' }, { from: { namespace: 'shop' } }]) {
    assert.equal((await postJson('/calls', wrong)).status, 400);
  }
  mesh = NO_PROXIES;
  assert.equal((await postJson('/calls', {})).status, 404);
});

test('/member: is of proxies whose plan comes from elsewhere', async (t) => {
  t.after(() => (member = MEMBER));
  assert.deepEqual(JSON.parse((await ask('/member')).text), MEMBER);
  member = undefined;
  const { status, text } = await ask('/member');
  assert.equal(status, 404);
  assert.match(text, /The plan of this Fourways is its own/);
});

test('/tokens: what is asked for is checked, and what is refused is said', async (t) => {
  t.after(() => (mesh = NO_PROXIES));
  const wishes: object[] = [];
  mesh = {
    ...NO_PROXIES,
    createToken: async (wish) => (wishes.push(wish), wish.uses > 5 ? 'too often' : { id: '1', token: 'fwj_x' }),
  };
  assert.deepEqual(JSON.parse((await ask('/proxies')).text), { proxies: [] });
  assert.deepEqual(JSON.parse((await ask('/mesh')).text), SUMMARY);
  const wish = { namespace: 'shop', account: 'orders', uses: 1, lastsMs: 1_000 };
  assert.deepEqual(JSON.parse((await postJson('/tokens', wish)).text), { id: '1', token: 'fwj_x' });
  assert.equal((await postJson('/tokens', { ...wish, uses: 6 })).status, 400);
  assert.equal((await postJson('/tokens', { ...wish, lastsMs: '1h' })).status, 400);
  assert.equal((await postJson('/tokens', { uses: 1, lastsMs: 1 })).status, 400);
  assert.deepEqual(wishes, [wish, { ...wish, uses: 6 }]);
});

test('/mesh/deny, /mesh/allow and /mesh/denied: an identity is denied, listed and allowed again', async (t) => {
  t.after(() => (mesh = NO_PROXIES));
  const denied = new Map<string, { identity: string; reason: string; atMs: number }>();
  mesh = {
    ...NO_PROXIES,
    denied: () => [...denied.values()],
    async deny(identity, reason) {
      if (!identity.startsWith('spiffe://')) return 'no identity';
      denied.set(identity, { identity, reason, atMs: 5 });
      return undefined;
    },
    allow: async (identity) => denied.delete(identity),
  };
  const identity = 'spiffe://a/ns/shop/sa/web';
  const row = { identity, reason: 'lost', atMs: 5 };
  assert.deepEqual(JSON.parse((await postJson('/mesh/deny', { identity, reason: 'lost' })).text), { denied: [row] });
  assert.deepEqual(JSON.parse((await ask('/mesh/denied')).text), { denied: [row] });
  for (const wrong of [{}, { identity: 'web' }, { identity, reason: 5 }, { identity, reason: 'x'.repeat(501) }]) {
    assert.equal((await postJson('/mesh/deny', wrong)).status, 400);
  }
  assert.deepEqual(JSON.parse((await postJson('/mesh/allow', { identity })).text), { denied: [] });
  assert.equal((await postJson('/mesh/allow', { identity })).status, 400);
});

const ASKED: [path: string, body: object, status: number, calls: string[]][] = [
  ['/mesh/rotate', { kind: 'issuer' }, 200, ['rotate issuer spread-out']],
  ['/mesh/rotate', { kind: 'root', pace: 'at-once' }, 200, ['rotate root at-once']],
  ['/mesh/rotate', { kind: 'leaf' }, 400, []],
  ['/mesh/rotate', { kind: 'root', pace: 'soon' }, 400, []],
  ['/mesh/rotate/cancel', {}, 200, ['cancel']],
  ['/mesh/drill', {}, 200, ['drill undefined']],
  ['/mesh/drill', { phaseMs: 5_000 }, 200, ['drill 5000']],
  ['/mesh/drill', { phaseMs: 0 }, 400, []],
  ['/mesh/drill', { phaseMs: 'long' }, 400, []],
];

for (const [path, body, status, calls] of ASKED) {
  test(`${path} ${JSON.stringify(body)}: ${status === 200 ? 'is done, and answered with where it stands' : 'is refused'}`, async (t) => {
    t.after(() => (mesh = NO_PROXIES));
    const made: string[] = [];
    const trust: TrustView = {
      ...NO_TRUST,
      rotate: async (kind, pace) => void made.push(`rotate ${kind} ${pace}`),
      cancel: async () => void made.push('cancel'),
      drill: (phaseMs) => void made.push(`drill ${phaseMs}`),
    };
    mesh = { ...NO_PROXIES, trust };
    const answer = await postJson(path, body);
    assert.deepEqual([answer.status, made], [status, calls]);
    if (status === 200) assert.equal((JSON.parse(answer.text) as RotationReport).phase, 'rest');
  });
}

test('/mesh/rotate: why it cannot be is said', async (t) => {
  t.after(() => (mesh = NO_PROXIES));
  mesh = { ...NO_PROXIES, trust: { ...NO_TRUST, rotate: async () => 'A rotation is not over yet' } };
  const { status, text } = await postJson('/mesh/rotate', { kind: 'root' });
  assert.equal(status, 400);
  assert.match(text, /A rotation is not over yet/);
});
