import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateReport, CertificateRow } from '../api/admin/view.ts';
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
