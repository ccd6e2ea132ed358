import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpAnswer } from './command.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const ABOUT = { version: '0.1.0', node: 'v26.0.0', pid: 7, source: '/etc/gw', startedAt: '2026-11-20T10:00:00Z' };
const WORKER = { worker: 1, state: 'ready', version: 'abcdefabcdefabcdef', restarts: 0 };
const STATUS = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      kind: 'Gateway',
      metadata: { name: 'edge', namespace: 'default' },
      status: {
        conditions: [{ type: 'Programmed', status: 'True', reason: 'Programmed' }],
        listeners: [{ name: 'http', conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted' }] }],
      },
    },
    {
      kind: 'HTTPRoute',
      metadata: { name: 'web', namespace: 'default' },
      status: {
        parents: [
          {
            parentRef: { kind: 'Gateway', name: 'edge', sectionName: 'http' },
            conditions: [{ type: 'ResolvedRefs', status: 'False', reason: 'BackendNotFound' }],
          },
        ],
      },
    },
  ],
};

function answers(changes: Readonly<Record<string, unknown>> = {}, readyStatus = 200): Record<string, HttpAnswer> {
  const documents: Readonly<Record<string, unknown>> = {
    '/version': ABOUT,
    '/readyz': { ready: true, reason: '', version: WORKER.version, workers: [WORKER] },
    '/problems': { version: WORKER.version, problems: [] },
    '/endpoints': { workers: [{ ...WORKER, connections: 3, exchanges: 1 }], endpoints: {} },
    '/status': STATUS,
    '/certificates': { orders: false, certificates: [] },
    ...changes,
  };
  const absent = { status: 404, body: JSON.stringify({ detail: 'This Fourways runs no mesh' }) };
  return Object.fromEntries([
    ['http://127.0.0.1:9900/mesh', absent],
    ['http://127.0.0.1:9900/member', absent],
    ...Object.entries(documents).map(
      ([path, document]) =>
        [
          `http://127.0.0.1:9900${path}`,
          { status: path === '/readyz' ? readyStatus : 200, body: JSON.stringify(document) },
        ] as const,
    ),
  ]);
}

test('status: says who runs, whether it is ready, workers and conditions', async () => {
  const io = fakeIo({ answers: answers() });
  assert.equal(await runCommand(['status'], io), 0);
  const text = io.outLines.join('\n');
  for (const line of [
    /^Fourways 0\.1\.0 \(pid 7, Node\.js v26\.0\.0\) serves \/etc\/gw since 2026-11-20T10:00:00Z$/m,
    /^Ready: plan abcdefabcdef is applied on every worker$/m,
    /^1 +ready +abcdefabcdef +3 +1 +0$/m,
    /^Gateway default\/edge +- +Programmed +True +Programmed$/m,
    /^Gateway default\/edge +listener http +Accepted +True +Accepted$/m,
    /^HTTPRoute default\/web +Gateway edge \(http\) +ResolvedRefs +False +BackendNotFound$/m,
  ]) {
    assert.match(text, line);
  }
});

test('status: a gateway that is not ready ends with 1 and says why', async () => {
  const notReady = { ready: false, reason: 'worker 1 has no plan', version: undefined, workers: [] };
  const io = fakeIo({ answers: answers({ '/readyz': notReady }, 503) });
  assert.equal(await runCommand(['status'], io), 1);
  assert.match(io.outLines.join('\n'), /^Not ready: worker 1 has no plan$/m);
});

test('status: a refused configuration ends with 1 and names its problems', async () => {
  const problem = {
    level: 'error',
    code: 'x',
    at: { file: 'a.yaml', line: 2, column: 3 },
    message: 'Field is unknown',
  };
  const io = fakeIo({
    answers: answers({ '/problems': { version: 'v', refused: 'nothing can be read', problems: [problem] } }),
  });
  assert.equal(await runCommand(['status'], io), 1);
  assert.match(io.outLines.join('\n'), /not served: nothing can be read\na\.yaml:2:3: error: Field is unknown/);
});

test('status: --json holds the documents', async () => {
  const io = fakeIo({ answers: answers() });
  assert.equal(await runCommand(['status', '--json'], io), 0);
  const report = JSON.parse(io.outLines.join('\n')) as Record<string, unknown>;
  assert.deepEqual(Object.keys(report), ['about', 'readiness', 'problems', 'endpoints', 'status', 'certificates']);
  assert.deepEqual(report['about'], ABOUT);
});

test('status: nobody there', async () => {
  const io = fakeIo();
  assert.equal(await runCommand(['status', '--admin', 'localhost:1'], io), 1);
  assert.match(
    io.errLines.join('\n'),
    /Cannot reach http:\/\/localhost:1\/version: connection refused\. Is "fourways up" running/,
  );
});

test('status: a store that is away is said, and is no reason not to serve', async () => {
  const store = { name: 'PostgreSQL at db.test', state: 'away', reason: 'connection refused' };
  const io = fakeIo({ answers: answers({ '/certificates': { store, orders: false, certificates: [] } }) });
  assert.equal(await runCommand(['status'], io), 0);
  assert.match(io.outLines.join('\n'), /^The store is away: PostgreSQL at db\.test: connection refused$/m);
});

const MESH = {
  trustDomain: 'cluster.local',
  control: { listen: '10.0.0.1:9901', leads: true },
  controls: [
    { id: 'a', name: '10.0.0.1:9901', state: 'this', leads: true },
    { id: 'b', name: '10.0.0.2:9901', state: 'live', leads: false },
    { id: 'c', name: '10.0.0.3:9901', state: 'lost', leads: false },
  ],
  store: { name: 'PostgreSQL at db.test', state: 'open', reason: '' },
  authority: {
    root: { id: 'r', until: '2036-01-01T00:00:00.000Z' },
    issuer: { id: 'i', until: '2027-01-01T00:00:00.000Z' },
    rotation: { kind: 'root', phase: 'spread', since: '2026-11-29T00:00:00.000Z' },
    denied: 1,
  },
  proxies: { connected: 3, current: 1, behind: 1, refusing: 1 },
  services: [{ service: 'shop/orders', ready: 0, notReady: 1, draining: 1, sidecars: 1, learned: { 25: 'tcp' } }],
};
const REFUSING = { instance: 'i-1', services: ['shop/web'], refused: 'unknown filter' };

test('status: of a mesh, the summary comes first, and a proxy that refuses its plan ends with 1', async () => {
  const io = fakeIo({ answers: answers({ '/mesh': MESH, '/proxies': { proxies: [REFUSING] } }) });
  assert.equal(await runCommand(['status'], io), 1);
  const text = io.outLines.join('\n');
  for (const line of [
    /^Mesh cluster\.local: proxies connect to 10\.0\.0\.1:9901; this control plane leads$/m,
    /^Control planes: 10\.0\.0\.1:9901 \(this one, leads\), 10\.0\.0\.2:9901 \(follows\), 10\.0\.0\.3:9901 \(gone\)$/m,
    /^1 of 3 proxies serve their plan \(1 on their way to it, 1 refuse it\)$/m,
    /^Authority: root until 2036-\S+, issuer until 2027-\S+; the root is rotated: spread since 2026-11-29/m,
    /^1 identity is denied$/m,
    /^Store: PostgreSQL at db\.test$/m,
    /^shop\/web \(i-1\) refuses its plan: unknown filter$/m,
    /^shop\/orders +0 +1 +1 +1 of 2 +25 tcp$/m,
  ]) {
    assert.match(text, line);
  }
  assert.ok(text.indexOf('Mesh cluster.local') < text.indexOf('WORKER'));
  const json = fakeIo({ answers: answers({ '/mesh': MESH, '/proxies': { proxies: [] } }) });
  assert.equal(await runCommand(['status', '--json'], json), 1);
  assert.deepEqual((JSON.parse(json.outLines.join('')) as { mesh: unknown }).mesh, MESH);
});

test('status: a proxy of a mesh says whether it has a control plane, and until when its certificate is good', async () => {
  const identity = 'spiffe://td/ns/shop/sa/web';
  const member = {
    identity,
    instance: 'w',
    control: ['10.0.0.1:15010'],
    certificate: { until: '2026-11-30T10:00:00Z' },
  };
  const said = async (more: object): Promise<string> => {
    const io = fakeIo({ answers: answers({ '/member': { ...member, ...more } }) });
    assert.equal(await runCommand(['status'], io), 0);
    return io.outLines.join('\n');
  };
  const until = 'its certificate is good until 2026-11-30T10:00:00Z';
  const connected = await said({ connected: '10.0.0.1:15010' });
  assert.ok(connected.includes(`\nProxy of ${identity}: connected to 10.0.0.1:15010; ${until}\n`), connected);
  const alone = await said({ missing: { forMs: 90_000, reason: '' } });
  assert.ok(alone.includes(`\nProxy of ${identity}: without a control plane for 90s; ${until}\n`), alone);
});

test('status: what is not true is said with its message', async () => {
  const item = {
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'default' },
    status: {
      conditions: [{ type: 'Programmed', status: 'False', reason: 'Pending', message: '1 of 3 proxies serve it' }],
    },
  };
  const io = fakeIo({ answers: answers({ '/status': { ...STATUS, items: [item] } }) });
  await runCommand(['status'], io);
  assert.match(io.outLines.join('\n'), /Programmed +False +Pending: 1 of 3 proxies serve it$/m);
});
