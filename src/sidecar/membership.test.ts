import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Fault } from '../base/fault.ts';
import { silentLog } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { pushFault } from '../push/faults.ts';
import type { Issued } from '../push/joining.ts';
import { type Member, Membership, type MembershipOptions } from './membership.ts';

const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';
const HOUR_MS = 3_600_000;
const HALF: Random = { unit: () => 0.5, bits32: () => 0 };

const trust = { hash: 'h1', trustDomain: 'cluster.local', roots: ['ROOT'], federated: [], issuer: 'i1' };
const root = makeCertificate({ kind: 'ca', subject: 'Root' });

/** As long as the clock of a test has it: from now on for a day. */
function certified(clock: ManualClock, identity = ORDERS, lifeMs = 24 * HOUR_MS): Issued {
  const notBeforeMs = clock.wallMs();
  const uris = [identity];
  const { certificatePem } = makeCertificate({
    kind: 'client',
    uris,
    issuer: root,
    notBeforeMs,
    notAfterMs: notBeforeMs + lifeMs,
  });
  return { chainPem: certificatePem, trust };
}

interface World {
  readonly clock: ManualClock;
  readonly saved: Member[];
  readonly changes: Member[];
  readonly open: (wishes: Partial<MembershipOptions> & { readonly kept?: Member }) => Promise<Membership | Fault>;
}

function world(t: TestContext): World {
  const clock = new ManualClock();
  const saved: Member[] = [];
  const changes: Member[] = [];
  return {
    clock,
    saved,
    changes,
    async open({ kept, ...wishes }) {
      const membership = await Membership.open({
        identity: ORDERS,
        keep: { load: async () => kept, save: async (member) => void saved.push(member) },
        renew: async () => certified(clock),
        clock,
        random: HALF,
        log: silentLog,
        onChange: (member) => changes.push(member),
        ...wishes,
      });
      if (membership instanceof Membership) t.after(() => membership.close());
      return membership;
    },
  };
}

function memberOf(issued: Issued): Member {
  return { ...issued, keyPem: 'KEY' };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('membership: a certificate that is kept and good is used as it is', async (t) => {
  const { clock, open, saved } = world(t);
  const kept = memberOf(certified(clock));
  const membership = (await open({ kept, join: () => assert.fail('nobody has to join') })) as Membership;
  assert.equal(membership.member, kept);
  assert.deepEqual(saved, []);
});

const NOT_GOOD: [rule: string, kept: (clock: ManualClock) => Member | undefined][] = [
  ['there is none', () => undefined],
  ['it is of another identity', (clock) => memberOf(certified(clock, 'spiffe://cluster.local/ns/shop/sa/web'))],
  ['it has ended', (clock) => memberOf(certified(clock, ORDERS, 0))],
  ['it cannot be read', (clock) => ({ ...memberOf(certified(clock)), chainPem: 'damaged' })],
  ['its key is missing', (clock) => ({ ...memberOf(certified(clock)), keyPem: '' })],
];

for (const [rule, kept] of NOT_GOOD) {
  test(`membership: it joins where ${rule}, and keeps what it gets`, async (t) => {
    const { clock, open, saved } = world(t);
    const had = kept(clock);
    const issued = certified(clock);
    const membership = (await open({
      ...(had !== undefined && { kept: had }),
      join: async () => issued,
    })) as Membership;
    assert.equal(membership.member.chainPem, issued.chainPem);
    assert.match(membership.member.keyPem, /^-----BEGIN PRIVATE KEY-----/);
    assert.deepEqual(saved, [membership.member]);
  });

  test(`membership: without a token it is refused where ${rule}`, async (t) => {
    const { clock, open } = world(t);
    const had = kept(clock);
    const refused = await open(had === undefined ? {} : { kept: had });
    assert.ok(refused instanceof Fault);
    assert.equal(refused.code, 'mesh.no-certificate');
  });
}

test('membership: who may not join is told at once; a control plane that is away is waited for', async (t) => {
  const { clock, open } = world(t);
  const refused = await open({ join: async () => pushFault('push.join-refused', 'used already') });
  assert.ok(refused instanceof Fault);
  assert.equal(refused.code, 'push.join-refused');

  let tries = 0;
  const opening = open({ join: async () => (++tries < 3 ? pushFault('push.away', 'nobody there') : certified(clock)) });
  for (let i = 0; i < 5; i++) {
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    await turn();
    clock.advance(5_000);
  }
  assert.ok((await opening) instanceof Membership);
  assert.equal(tries, 3);
});

test('membership: it renews at half of the life, with a new key, and again', async (t) => {
  const { clock, open, changes, saved } = world(t);
  const kept = memberOf(certified(clock));
  const membership = (await open({ kept })) as Membership;
  clock.advance(11 * HOUR_MS);
  await turn();
  assert.deepEqual(changes, []);
  clock.advance(2 * HOUR_MS);
  await turn();
  assert.equal(changes.length, 1);
  assert.notEqual(membership.member.chainPem, kept.chainPem);
  clock.advance(13 * HOUR_MS);
  await turn();
  assert.equal(changes.length, 2);
  assert.equal(new Set(changes.map(({ keyPem }) => keyPem)).size, 2);
  assert.deepEqual(saved, changes);
});

test('membership: what cannot be renewed is tried again until it can, and used meanwhile', async (t) => {
  const { clock, open, changes } = world(t);
  const kept = memberOf(certified(clock));
  let tries = 0;
  const renew = async (): Promise<Issued | Fault> =>
    ++tries < 4 ? pushFault('push.away', 'nobody there') : certified(clock);
  const membership = (await open({ kept, renew })) as Membership;
  clock.advance(13 * HOUR_MS);
  for (let i = 0; i < 20 && changes.length === 0; i++) {
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    await turn();
    assert.equal(membership.member, kept);
    clock.advance(HOUR_MS / 10);
    // oxlint-disable-next-line no-await-in-loop
    await turn();
  }
  assert.equal(tries, 4);
  assert.equal(changes.length, 1);
});

test('membership: other roots are trusted at once; where another issuer issues, its certificate is got soon', async (t) => {
  const { clock, open, changes } = world(t);
  const membership = (await open({ kept: memberOf(certified(clock)) })) as Membership;
  await membership.trust(trust);
  assert.deepEqual(changes, []);
  await membership.trust({ ...trust, hash: 'h2', roots: ['ROOT', 'NEW'] });
  assert.deepEqual(membership.member.trust.roots, ['ROOT', 'NEW']);
  assert.equal(changes.length, 1);
  await membership.trust({ ...trust, hash: 'h2', roots: ['ROOT', 'NEW'], issuer: 'i2' });
  clock.advance(HOUR_MS);
  await turn();
  assert.equal(changes.length, 3);
});
