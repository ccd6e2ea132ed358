import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rule } from '../filters/authorize/config.ts';
import { authorize, AuthorizeConfig } from '../filters/authorize/config.ts';
import type { ObservedCall } from '../ir/observed.ts';
import { check } from '../schema/schema.ts';
import { proposeRules, standingOf } from './least-privilege.ts';

const id = (account: string): string => `spiffe://td/ns/shop/sa/${account}`;

/** `web GET /a`, or `web` below HTTP. */
function call(text: string, values: Partial<ObservedCall> = {}): ObservedCall {
  const [account = '', method, path] = text.split(' ');
  const common = { service: 'shop/orders', port: 80, calls: 3, denied: 0, audited: 0, unwelcome: 0 };
  const what =
    method === undefined || path === undefined
      ? ({ protocol: 'tcp', method: '', path: '' } as const)
      : ({ protocol: 'http', method, path } as const);
  return { source: account === '-' ? '' : id(account), ...common, ...what, ...values };
}

const STANDINGS: [rule: string, call: ObservedCall, want: string][] = [
  ['a call', call('web GET /a'), 'wanted'],
  ['a connection', call('web'), 'wanted'],
  ['in clear text', call('- GET /a'), 'clear'],
  ['refused each time', call('web GET /a', { denied: 3 }), 'refused'],
  ['refused once', call('web GET /a', { denied: 1 }), 'wanted'],
  ['refused by what is tried out', call('web GET /a', { audited: 3 }), 'wanted'],
  ['not there', call('web GET /wp-admin', { unwelcome: 3 }), 'unwelcome'],
  ['not there, or refused', call('web GET /wp-admin', { unwelcome: 2, denied: 1 }), 'unwelcome'],
  ['not there once', call('web GET /a', { unwelcome: 2 }), 'wanted'],
  ['of the server itself', call('web OPTIONS *'), 'unsayable'],
  ['with an odd method', call('web gEt /a'), 'unsayable'],
];

for (const [rule, observed, want] of STANDINGS) {
  test(`a call that is ${rule} is ${want}`, () => assert.equal(standingOf(observed), want));
}

/** `web,job GET,POST /a /b` */
function rule(text: string, more: Partial<Rule> = {}): Rule {
  const [accounts = '', methods, ...paths] = text.split(' ');
  return {
    effect: 'allow',
    workloads: accounts.split(',').map(id),
    ...(methods !== undefined && { methods: methods.split(','), paths }),
    ...more,
  };
}

const ROWS: [rule: string, calls: string[], before: Rule[], want: Rule[]][] = [
  ['one call', ['web GET /a'], [], [rule('web GET /a')]],
  ['paths of one method', ['web GET /b', 'web GET /a'], [], [rule('web GET /a /b')]],
  ['methods of the same paths', ['web GET /a', 'web HEAD /a'], [], [rule('web GET,HEAD /a')]],
  [
    'methods of different paths',
    ['web GET /a', 'web POST /a', 'web GET /b'],
    [],
    [rule('web GET /a /b'), rule('web POST /a')],
  ],
  ['callers who do the same', ['web GET /a', 'job GET /a'], [], [rule('job,web GET /a')]],
  ['callers who do not', ['web GET /a', 'job GET /b'], [], [rule('job GET /b'), rule('web GET /a')]],
  ['connections', ['web', 'job'], [], [rule('job,web')]],
  ['nothing that is new leaves it as it is written', ['web GET /a'], [rule('web GET /b /a')], [rule('web GET /b /a')]],
  ['what is new is added to it', ['web GET /c'], [rule('web GET /a /b')], [rule('web GET /a /b /c')]],
  ['for another caller', ['job GET /a'], [rule('web GET /a')], [rule('job,web GET /a')]],
  [
    'what somebody wrote stays as it is',
    ['web GET /c'],
    [
      rule('web GET /a', { groups: ['staff'] }),
      rule('job GET /x', { effect: 'deny' }),
      rule('web', { name: 'all of it', methods: ['PUT'] }),
    ],
    [
      rule('web GET /a', { groups: ['staff'] }),
      rule('job GET /x', { effect: 'deny' }),
      rule('web', { name: 'all of it', methods: ['PUT'] }),
      rule('web GET /c'),
    ],
  ],
  [
    'what a rule narrows further is not allowed without that',
    ['web GET /a'],
    [rule('web GET /a', { groups: ['staff'] })],
    [rule('web GET /a', { groups: ['staff'] })],
  ],
  ['a folder has it already', ['web GET /a/*/b', 'web GET /a'], [rule('web GET /a/**')], [rule('web GET /a/**')]],
  ['a star has it already', ['web GET /a/*/b', 'web GET /a/x/b'], [rule('web GET /a/*/b')], [rule('web GET /a/*/b')]],
  [
    'a part with a star has some',
    ['web GET /f/a.json', 'web GET /f/*'],
    [rule('web GET /f/*.json')],
    [rule('web GET /f/* /f/*.json')],
  ],
  ['a star of a template is more than a name', ['web GET /a/*'], [rule('web GET /a/x')], [rule('web GET /a/* /a/x')]],
  ['all of a namespace', ['web GET /a'], [rule('* GET /a')], [rule('* GET /a')]],
  ['all that a caller does', ['web GET /a', 'web'], [rule('web')], [rule('web')]],
];

for (const [name, calls, before, want] of ROWS) {
  test(`rules of calls: ${name}`, () => {
    const { rules } = proposeRules({ calls: calls.map((text) => call(text)), before, unseen: 'keep' });
    assert.deepEqual(rules, want);
    const config = check(AuthorizeConfig, { rules }).value!;
    assert.deepEqual(authorize.check(config), []);
    const again = proposeRules({ calls: calls.map((text) => call(text)), before: rules, unseen: 'keep' });
    assert.equal(again.rules, rules, 'with all of it there, nothing changes');
    assert.deepEqual(again.added, []);
  });
}

test('rules of calls: what nobody calls is said, and goes when it is asked for', () => {
  const before = [rule('web GET /a /old'), rule('old'), rule('web PUT /x', { name: 'mine' })];
  const calls = [call('web GET /a')];
  const kept = proposeRules({ calls, before, unseen: 'keep' });
  assert.deepEqual([kept.rules, kept.unseen], [before, [before[1], before[2]]]);
  const dropped = proposeRules({ calls, before, unseen: 'drop' });
  assert.deepEqual(dropped.rules, [before[2], rule('web GET /a')]);
});

test('rules of calls: too many names in one place are a star, and there is a bound on rules', () => {
  const many = Array.from({ length: 25 }, (_, i) => `web GET /u/${'abcdefghijklmnopqrstuvwxyz'[i]}x/keys`);
  const few = proposeRules({ calls: many.slice(1).map((text) => call(text)), before: [], unseen: 'keep' });
  assert.deepEqual([few.rules[0]!.paths!.length, few.widened], [24, []]);
  const { rules, widened } = proposeRules({
    calls: [...many, 'web GET /u', 'web GET /other'].map((text) => call(text)),
    before: [],
    unseen: 'keep',
  });
  assert.deepEqual([rules, widened], [[rule('web GET /other /u /u/*/keys')], ['/u/']]);
  const callers = Array.from({ length: 300 }, (_, i) => call(`w${i} GET /p${i}`));
  const full = proposeRules({ calls: callers, before: [], unseen: 'keep' });
  assert.deepEqual([full.rules.length, full.beyond], [256, 44]);
  const alike = Array.from({ length: 300 }, (_, i) => call(`w${i} GET /p`));
  const parted = proposeRules({ calls: alike, before: [], unseen: 'keep' });
  assert.deepEqual(
    parted.rules.map(({ workloads }) => workloads?.length),
    [256, 44],
  );
});
