import { parseDuration } from '../../base/duration.ts';
import { checkExpression, type Want } from '../../expr/expression.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import { type LimitConfig, limitName, type RateLimitConfig } from './config.ts';

const PER_MS_MAX = 720 * 3_600_000;

/** What the schema cannot say. */
export function check({ limits, scope, global }: RateLimitConfig): ConfigIssue[] {
  const issues = limits.flatMap((limit, i) => limitIssues(limit, `/limits/${i}`));
  const names = limits.map(limitName);
  for (const [i, name] of names.entries()) {
    const first = names.indexOf(name);
    if (first < i) {
      issues.push({
        pointer: `/limits/${i}/name`,
        message: `Name is "${name}" as that of limit ${first + 1}: give it another`,
      });
    }
  }
  if (scope === 'global' && global === undefined) {
    issues.push({ pointer: '/global', message: 'Is left out: scope "global" needs "proxies" and "maxOvershoot"' });
  }
  if (scope === 'local' && global !== undefined) {
    issues.push({
      pointer: '/global',
      message: 'Is given with scope "local", which does not use it: set scope to "global"',
    });
  }
  return issues;
}

function limitIssues({ requests, units, per, burst, key, when, cost }: LimitConfig, pointer: string): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const say = (field: string, message: string): void => void issues.push({ pointer: `${pointer}${field}`, message });
  if ((requests === undefined) === (units === undefined)) {
    say('', `Has ${requests === undefined ? 'neither' : 'both'} "requests" and "units": give one of them`);
  }
  if (requests !== undefined && cost !== undefined) {
    say('/cost', 'Is given with "requests", of which each counts as one: say "units" instead of "requests"');
  }
  const perMs = parseDuration(per) ?? 0;
  if (perMs < 1 || perMs > PER_MS_MAX) say('/per', `Is "${per}": must be from 1ms to 720h`);
  const most = burst ?? requests ?? units ?? Infinity;
  if (requests === undefined && typeof cost === 'number' && cost > most)
    say('/cost', `Is ${cost} of at most ${most} at once: no request fits`);
  const expressions: [field: string, source: unknown, want: Want][] = [
    ['/key', key, 'string'],
    ['/when', when, 'bool'],
    ['/cost', cost, 'int'],
  ];
  for (const [field, source, want] of expressions) {
    const wrong = typeof source === 'string' ? checkExpression(source, want) : undefined;
    if (wrong !== undefined) say(field, wrong);
  }
  return issues;
}
