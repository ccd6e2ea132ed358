import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import type { Authority } from '../identity/authority.ts';
import { refusal } from '../identity/refusal.ts';
import { Drill, type DrillReport } from './drill.ts';
import type { RotationStatus } from './trust-turner.ts';

const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';
const REST: RotationStatus = {
  phase: 'rest',
  kind: undefined,
  pace: 'spread-out',
  sinceMs: undefined,
  waits: undefined,
  root: 'r',
  issuer: 'i0',
  isBrought: false,
};
const WAITS = { for: 'trust', count: 1, named: [{ proxy: 'p1', identity: ORDERS }] } as const;

interface World {
  /** What is told from one look to the next after something was asked for; the last one stays. */
  readonly statuses?: readonly Partial<RotationStatus>[];
  readonly first?: Partial<RotationStatus>;
  /** Whether the proxy renews. */
  readonly renews?: boolean;
  readonly refusesCancel?: boolean;
  /** Bundle by which the proxy works at first. */
  readonly works?: string;
}

/** One proxy, and an authority that is over with each rotation as fast as it is asked. */
function drillIn({ statuses = [{}], first = {}, renews = true, refusesCancel = false, works = 'b0' }: World): Drill {
  let turns = 0;
  let left: Partial<RotationStatus>[] = [];
  let bundle = { hash: 'b0', issuer: 'i0' };
  let leaf = { serial: 's0', proxy: 'p1', identity: ORDERS, issuer: 'i0', notAfterMs: 1, bundle: works };
  const authority = {
    get bundle() {
      return bundle;
    },
    options: { store: { leaves: async () => [leaf] } },
  } as unknown as Authority;
  return new Drill({
    authority,
    trust: {
      async ask(kind) {
        turns++;
        bundle = { hash: kind === 'root' ? `b${turns}` : bundle.hash, issuer: `i${turns}` };
        if (renews) leaf = { ...leaf, serial: `s${turns}`, issuer: bundle.issuer, bundle: bundle.hash };
        left = [...statuses];
        return undefined;
      },
      cancel: async () => (refusesCancel ? refusal('rotation.impossible', 'no') : undefined),
      async status() {
        const next = left.length > 1 ? left.shift() : left[0];
        return { ...REST, ...(next ?? first) };
      },
      turn: async () => undefined,
    },
    clock: systemClock,
    log: silentLog,
    phaseMsMax: 20,
  });
}

async function reportOf(drill: Drill): Promise<DrillReport> {
  await drill.ended;
  return drill.report();
}

test('drill: issuer, then root, each to its end, with a look at every certificate', async () => {
  const report = await reportOf(drillIn({ statuses: [{ phase: 'spread' }, { phase: 'renew' }, {}] }));
  assert.deepEqual([report.state, report.reason], ['passed', undefined]);
  assert.deepEqual(
    report.phases.map(({ name }) => name),
    ['check', 'issuer: asked', 'issuer: spread', 'issuer: renew', 'issuer: verify'].concat([
      'root: asked',
      'root: spread',
      'root: renew',
      'root: verify',
    ]),
  );
});

const ROWS: [rule: string, world: World, reason: RegExp, why: RegExp | undefined][] = [
  ['a rotation that runs is left alone', { first: { phase: 'renew' } }, /runs already, and goes on/, undefined],
  ['what was brought cannot be drilled', { first: { isBrought: true } }, /was brought/, undefined],
  [
    'nothing begins while a proxy is behind',
    { works: 'b-1' },
    /^1 proxies are not up to date: nothing was changed$/,
    /has not said/,
  ],
  [
    'what can be taken back is',
    { statuses: [{ phase: 'spread', waits: WAITS }] },
    /^1 certificates are waited for after 0\.02 s: the rotation was taken back, and all is as before$/,
    /has not said that it works by the new trust/,
  ],
  [
    'what cannot goes on',
    { statuses: [{ phase: 'renew', waits: { ...WAITS, for: 'renewal' } }], refusesCancel: true },
    /goes on by itself from "renew" to its end$/,
    /a certificate of the issuer before/,
  ],
  ['a proxy that has not renewed is found', { renews: false }, /not on the new issuer$/, /certificate of before/],
];
for (const [rule, world, reason, why] of ROWS) {
  test(`drill: ${rule}`, async () => {
    const report = await reportOf(drillIn(world));
    assert.equal(report.state, 'failed');
    assert.match(report.reason ?? '', reason);
    const missing = report.phases.at(-1)?.missing ?? [];
    if (why === undefined) assert.deepEqual(missing, []);
    else assert.match(missing[0]?.why ?? '', why);
  });
}

test('drill: one that is aborted leaves a good state', async () => {
  const drill = drillIn({ statuses: [{ phase: 'spread', waits: WAITS }] });
  drill.abort();
  const report = await reportOf(drill);
  assert.equal(report.state, 'aborted');
  assert.match(report.reason ?? '', /^It was aborted: the rotation was taken back/);
});
