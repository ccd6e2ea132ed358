import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlanStreamAccess } from '../ir/plan.ts';
import { decideAccess } from './stream-access.ts';

const WEB = 'spiffe://cluster.local/ns/shop/sa/web';
const JOB = 'spiffe://cluster.local/ns/batch/sa/job';

const allow = (...workloads: string[]): PlanStreamAccess => ({
  owner: 'Policy shop/who',
  rules: [{ name: 'web', effect: 'allow', workloads }],
  default: 'deny',
});
const NOBODY: PlanStreamAccess = { owner: 'Mesh mesh', rules: [], default: 'deny' };
const NOT_BATCH: PlanStreamAccess = {
  owner: 'Policy shop/not',
  rules: [{ name: 'no jobs', effect: 'deny', workloads: ['spiffe://cluster.local/ns/batch/*'] }],
  default: 'allow',
};

const audited = (access: PlanStreamAccess): PlanStreamAccess => ({ ...access, audit: true });
const denied = (rule: string) => `Rule "${rule}" of Policy shop/not denies it`;
const notAllowed = (owner: string, who: string) => `No rule of ${owner} allows ${who}`;

/** `refused` or what is said of it in an audit. */
const ROWS: [
  rule: string,
  accesses: PlanStreamAccess[],
  caller: string | undefined,
  refused?: string | undefined,
  audit?: string,
][] = [
  ['nobody says anything', [], undefined],
  ['who is named', [allow(WEB)], WEB],
  ['who is not named', [allow(WEB)], JOB, notAllowed('Policy shop/who', `"${JOB}"`)],
  ['the beginning of a name is not the name', [allow(WEB)], `${WEB}2`, notAllowed('Policy shop/who', `"${WEB}2"`)],
  ['a namespace', [allow('spiffe://cluster.local/ns/shop/*')], WEB],
  ['anybody with an identity', [allow('*')], JOB],
  ['clear text', [allow('*')], undefined, notAllowed('Policy shop/who', 'a client without an identity')],
  ['a rule that denies, for others', [NOT_BATCH], WEB],
  ['a rule that denies', [NOT_BATCH], JOB, denied('no jobs')],
  ['a rule that denies comes before those that allow', [allow('*'), NOT_BATCH], JOB, denied('no jobs')],
  ['a default that denies', [NOBODY], WEB, notAllowed('Mesh mesh', `"${WEB}"`)],
  ['tried out', [audited(NOBODY)], WEB, undefined, notAllowed('Mesh mesh', `"${WEB}"`)],
  [
    'one of both is enforced',
    [audited(NOT_BATCH), allow(WEB)],
    JOB,
    notAllowed('Policy shop/who', `"${JOB}"`),
    denied('no jobs'),
  ],
];

for (const [rule, accesses, caller, refused, audit] of ROWS) {
  test(`access of a connection: ${rule}`, () => {
    assert.deepEqual(decideAccess(accesses, caller), { refused, audited: audit });
  });
}
