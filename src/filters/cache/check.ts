import { parseDuration } from '../../base/duration.ts';
import { checkExpression } from '../../expr/expression.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import type { CacheConfig } from './config.ts';

/** Largest share of the memory that one answer may take: with less, one would push out all others. */
const SHARE = 4;

export function check(config: CacheConfig): readonly ConfigIssue[] {
  const { key, bypass, memoryBytesMax, objectBytesMax, defaults } = config;
  const issues: ConfigIssue[] = [];
  const extra = key.expression === undefined ? undefined : checkExpression(key.expression, 'any');
  if (extra !== undefined) issues.push({ pointer: '/key/expression', message: extra });
  const passed = bypass === undefined ? undefined : checkExpression(bypass, 'bool');
  if (passed !== undefined) issues.push({ pointer: '/bypass', message: passed });
  if (objectBytesMax > memoryBytesMax / SHARE) {
    const message = `objectBytesMax is ${objectBytesMax}: it should be at most a quarter of memoryBytesMax, which is ${memoryBytesMax}`;
    issues.push({ pointer: '/objectBytesMax', message });
  }
  defaults.forEach(({ lifetime }, i) => {
    if (parseDuration(lifetime) === 0) {
      issues.push({ pointer: `/defaults/${i}/lifetime`, message: 'Lifetime is 0: it should be longer, or left out' });
    }
  });
  return issues;
}
