import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateReport, CertificateRow } from '../api/admin/view.ts';
import type { MeshCertificate, RotationReport } from '../api/admin/trust-view.ts';
import { runCommand } from './main.ts';
import { type FakeIo, fakeIo } from './testing/fake-io.ts';

const OWN: CertificateRow = {
  owner: 'Gateway default/edge',
  listener: 'own',
  hostname: 'own.test',
  ports: ['*:443'],
  secret: 'default/own',
  state: 'valid',
  names: ['own.test'],
  until: '2027-02-01T00:00:00Z',
  source: { file: '/home/user/gw/secret.yaml', line: 3 },
};
const ORDERED: CertificateRow = {
  ...OWN,
  listener: 'shop',
  hostname: 'shop.test',
  secret: 'default/shop',
  source: { acme: 'AcmeIssuer default/authority' },
  next: '2027-01-01T00:00:00Z',
};

function ioOf(report: Partial<CertificateReport>): FakeIo {
  const body = JSON.stringify({ orders: true, certificates: [], ...report });
  return fakeIo({ answers: { 'http://127.0.0.1:9900/certificates': { status: 200, body } } });
}

test('certs: where each is served, until when, and where it came from', async () => {
  const io = ioOf({ certificates: [OWN, ORDERED] });
  assert.equal(await runCommand(['certs'], io), 0);
  const text = io.outLines.join('\n');
  for (const line of [
    /^LISTENER +PORT +HOST +SECRET +STATE +UNTIL +NEXT +FROM$/m,
    /^Gateway default\/edge own +\*:443 +own\.test +default\/own +valid +2027-02-01T00:00:00Z +- +gw\/secret\.yaml:3$/m,
    /^Gateway default\/edge shop .* 2027-01-01T00:00:00Z +AcmeIssuer default\/authority$/m,
  ]) {
    assert.match(text, line);
  }
});

const { until: _, ...awaited } = ORDERED;

const ROWS: [rule: string, report: Partial<CertificateReport>, code: number, want: RegExp][] = [
  ['one that ends soon is served', { certificates: [{ ...OWN, state: 'expires-soon' }] }, 0, /expires-soon/],
  ['one that has ended is a failure', { certificates: [{ ...OWN, state: 'expired' }] }, 1, /expired/],
  [
    'one that is awaited too, with the last error',
    { certificates: [{ ...awaited, state: 'awaited', error: 'no answer' }] },
    1,
    /^default\/shop: no answer$/m,
  ],
  ['none at all is said', {}, 0, /^No listener serves a certificate$/],
  [
    'a store that is away is said',
    { store: { name: 'PostgreSQL at db.test', state: 'away', reason: 'connection refused' } },
    0,
    /^The store is away: PostgreSQL at db\.test: connection refused$/m,
  ],
];

for (const [rule, report, code, want] of ROWS) {
  test(`certs: ${rule}`, async () => {
    const io = ioOf(report);
    assert.equal(await runCommand(['certs'], io), code);
    assert.match(io.outLines.join('\n'), want);
  });
}

test('certs: --json is the answer of the admin API', async () => {
  const io = ioOf({ certificates: [OWN] });
  assert.equal(await runCommand(['certs', '--json'], io), 0);
  assert.deepEqual(JSON.parse(io.outLines.join('')), { orders: true, certificates: [OWN] });
});

const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/orders';
const LEAF: MeshCertificate = {
  what: 'proxy',
  owner: IDENTITY,
  where: 'i1',
  serial: '01aabbccddeeff00112233',
  issuedBy: 'leaving',
  isBrought: false,
  from: '2027-01-01T00:00:00Z',
  until: '2027-01-02T00:00:00Z',
  alarm: 'none',
};
const ROOT: MeshCertificate = { ...LEAF, what: 'root', owner: 'cluster.local', where: 'active', isBrought: true };

test('certs: those of the mesh stand below, with who has them and by which issuer', async () => {
  const io = ioOf({ certificates: [OWN], mesh: [ROOT, { ...LEAF, alarm: 'late' }] });
  assert.equal(await runCommand(['certs'], io), 0);
  const text = io.outLines.join('\n');
  assert.match(text, /^root \(brought\) +cluster\.local +active +2027-01-02T00:00:00Z +- /m);
  assert.match(text, /^proxy +spiffe:\S+orders +i1 +2027-01-02T00:00:00Z +late +leaving +01aabbccddeeff00$/m);
});

const ALARMS: [rule: string, report: Partial<CertificateReport>, code: number][] = [
  ['all is well', { certificates: [OWN], mesh: [LEAF] }, 0],
  ['one of the mesh is late', { mesh: [{ ...LEAF, alarm: 'late' }] }, 1],
  ['one that is served ends soon', { certificates: [{ ...OWN, state: 'expires-soon' }] }, 1],
];
for (const [rule, report, code] of ALARMS) {
  test(`certs --alarm: ends with ${code} when ${rule}`, async () => {
    assert.equal(await runCommand(['certs', '--alarm'], ioOf(report)), code);
  });
}

test('certs: one of the mesh that has ended is a failure', async () => {
  assert.equal(await runCommand(['certs'], ioOf({ mesh: [{ ...LEAF, alarm: 'over' }] })), 1);
});

const AT_REST: RotationReport = {
  phase: 'rest',
  kind: undefined,
  pace: 'spread-out',
  sinceMs: undefined,
  waits: undefined,
  root: 'r'.repeat(64),
  issuer: 'i'.repeat(64),
  isBrought: false,
};
const RENEWS: RotationReport = {
  ...AT_REST,
  phase: 'renew',
  kind: 'root',
  waits: { for: 'renewal', count: 3, named: [{ proxy: 'i1', identity: IDENTITY }] },
};

function trustIo(answers: Readonly<Record<string, object>>): FakeIo {
  const entries = Object.entries(answers).map(([path, report]) => [
    `http://127.0.0.1:9900${path}`,
    { status: 200, body: JSON.stringify(report) },
  ]);
  return fakeIo({ answers: Object.fromEntries(entries) });
}

const ORDERS: [
  args: string,
  answers: Readonly<Record<string, object>>,
  posted: object[],
  want: RegExp,
  code: number,
][] = [
  ['rotate', { '/mesh/rotation': AT_REST }, [], /^At rest: root r{12}, issuer i{12}$/, 0],
  [
    'rotate',
    { '/mesh/rotation': RENEWS },
    [],
    /^Rotation of the root: renew, both are trusted, the new one issues; waits for 3 certificates to renew:\n  spiffe:\S+ \(i1\)\n  and 2 more$/,
    0,
  ],
  ['rotate --issuer', { '/mesh/rotate': AT_REST }, [{ kind: 'issuer' }], /^At rest/, 0],
  ['rotate --root --now', { '/mesh/rotate': AT_REST }, [{ kind: 'root', pace: 'at-once' }], /^At rest/, 0],
  [
    'rotate --issuer --wait',
    { '/mesh/rotate': { ...RENEWS, kind: 'issuer' }, '/mesh/rotation': AT_REST },
    [{ kind: 'issuer' }],
    /^Rotation of the issuer(.|\n)*\nAt rest/,
    0,
  ],
  ['rotate --cancel', { '/mesh/rotate/cancel': AT_REST }, [{}], /^At rest/, 0],
  [
    'drill --phase 5s',
    {
      '/mesh/drill': { ...AT_REST, drill: { state: 'running', startedMs: 0, phases: [] } },
      '/mesh/rotation': {
        ...AT_REST,
        drill: { state: 'passed', startedMs: 0, phases: [{ name: 'check', tookMs: 1_200, missing: [] }] },
      },
    },
    [{ phaseMs: 5_000 }],
    /^PHASE +TOOK\ncheck +1\.2 s\nThe drill has passed in 1\.2 s$/,
    0,
  ],
  [
    'drill',
    {
      '/mesh/drill': {
        ...AT_REST,
        drill: {
          state: 'failed',
          startedMs: 0,
          phases: [
            { name: 'root: spread', tookMs: 9, missing: [{ proxy: 'i1', identity: IDENTITY, why: 'it is slow' }] },
          ],
          reason: 'taken back',
        },
      },
    },
    [{}],
    /\nroot: spread: spiffe:\S+ \(i1\): it is slow\nThe drill has failed in 0\.0 s: taken back$/,
    1,
  ],
  [
    `deny ${IDENTITY} --reason lost`,
    { '/mesh/deny': {} },
    [{ identity: IDENTITY, reason: 'lost' }],
    /orders is denied/,
    0,
  ],
  ['roots', { '/mesh/roots': { trustDomain: 'a.test', caCertificates: 'PEM\n' } }, [], /^PEM$/, 0],
  [
    'roots --json',
    { '/mesh/roots': { trustDomain: 'a.test', caCertificates: 'PEM\n' } },
    [],
    /^\{"trustDomain":"a\.test","caCertificates":"PEM\\n"\}$/,
    0,
  ],
  [`allow ${IDENTITY}`, { '/mesh/allow': {} }, [{ identity: IDENTITY }], /orders is allowed again$/, 0],
];
for (const [args, answers, posted, want, code] of ORDERS) {
  test(`certs ${args}: ${want.source.slice(0, 40)}`, async () => {
    const io = trustIo(answers);
    assert.equal(await runCommand(['certs', ...args.split(' ')], io), code);
    assert.match(io.outLines.join('\n'), want);
    assert.deepEqual(
      io.posted.map(({ body }) => JSON.parse(JSON.stringify(body)) as object),
      posted,
    );
  });
}

for (const args of [
  'rotate --issuer --root',
  'rotate --now',
  'rotate --cancel --root',
  'rotate x',
  'drill --wait',
  'deny',
  'allow a b',
  'roots x',
  '--now',
  'turn',
]) {
  test(`certs ${args}: the arguments are wrong`, async () => {
    assert.equal(await runCommand(['certs', ...args.split(' ')], trustIo({})), 2);
  });
}
