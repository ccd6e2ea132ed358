/** What an issuance remembers, with a real store: no authority is asked here (test/acme.test.ts does that). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { type Clock, sleep, systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import type { AcmeChallenge } from '../compile/acme.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { WorkerMetrics } from '../observe/metrics.ts';
import { allocateSlab } from '../observe/slab.ts';
import { Seal } from '../store/seal.ts';
import { Store } from '../store/store.ts';
import { Issuance } from './issuance.ts';
import { Records } from './records.ts';

const WAIT_MS_MAX = 60_000;
/** Twice what it takes from one look to the next. */
const BEATS_MS = 2_000;
const DAY_MS = 86_400_000;
let aheadMs = 0;
const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + aheadMs };

const store = new Store({
  place: { kind: 'embedded', dir: undefined },
  seal: new Seal(randomBytes(32)),
  clock: systemClock,
  log: silentLog,
  onChange: () => undefined,
});
const records = new Records(store);
after(() => store.close());

function issuance(): Issuance {
  return new Issuance({
    store,
    keepsake: undefined,
    clock,
    random: seededRandom(1, 2, 3, 4),
    log: silentLog,
    metrics: new WorkerMetrics({ slab: allocateSlab(), announce: () => undefined }),
    replica: 'one',
    userAgent: 'fourways/test',
    onChange: () => Promise.resolve(),
    onProgress: () => undefined,
  });
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = systemClock.nowMs() + WAIT_MS_MAX;
  while (!(await holds())) {
    if (systemClock.nowMs() > endMs) assert.fail(`Waited in vain: ${what}`);
    await sleep(systemClock, 20);
  }
}

function failed(name: string, nextMs: number): Promise<number> {
  return records.keepProgress({ name, failures: 2, error: 'refused', nextMs });
}

async function keep(name: string, notAfterMs: number): Promise<void> {
  const { certificatePem: chainPem, privateKeyPem } = makeCertificate({
    hosts: ['shop.test'],
    notBeforeMs: notAfterMs - DAY_MS,
    notAfterMs,
  });
  const progress = { name, failures: 0, error: undefined, nextMs: notAfterMs - 1 };
  await records.keepCertificate({ name, terms: '', chainPem, privateKeyPem }, progress);
}

async function kept(): Promise<string[]> {
  const { certificates, progress } = await records.load();
  return [...new Set([...certificates, ...progress].map(({ name }) => name))].toSorted();
}

const CHALLENGE: AcmeChallenge = {
  kind: 'http-01',
  secret: 'Secret/default/other',
  hostname: 'other.test',
  token: 'token',
  keyAuthorization: 'token.key',
};
const ALL = ['awaited', 'ended', 'failed', 'held'].map((name) => `Secret/default/${name}`);
const [AWAITED, ENDED, FAILED, HELD] = ALL as [string, string, string, string];

test('what nobody wants and is over is let go, from the store by who leads; answers and failures are kept', async () => {
  await until(() => store.status.state === 'open', 'the store');
  const nowMs = clock.wallMs();
  await keep(ENDED, nowMs - 1_000);
  await keep(HELD, nowMs + 10 * DAY_MS);
  await failed(FAILED, nowMs - 1);
  await failed(AWAITED, nowMs + 10 * DAY_MS);
  await records.present(CHALLENGE.secret, [CHALLENGE]);

  const follower = issuance();
  const known = (): string[] => ALL.filter((name) => follower.progressOf(name) !== undefined);
  follower.beat();
  await until(() => follower.issued().challenges.length === 1, 'the answer of another process');
  await until(() => known().length === 2, 'what is over to be let go');
  assert.deepEqual(known(), [AWAITED, HELD]);
  assert.deepEqual(await kept(), ALL, 'a follower leaves the store alone');
  await sleep(systemClock, BEATS_MS);
  assert.deepEqual(follower.issued().challenges, [CHALLENGE], 'it answers as long as the store says so');

  const leader = issuance();
  leader.lead(true);
  await until(async () => (await kept()).length === 2, 'the store to be swept');
  assert.deepEqual(await kept(), [AWAITED, HELD]);
  aheadMs = 11 * DAY_MS;
  await until(async () => (await kept()).length === 0, 'the rest, when its time has come');
  await until(() => known().length === 0 && follower.issued().challenges.length === 0, 'the follower to see it');
  await Promise.all([leader.close(), follower.close()]);
});
