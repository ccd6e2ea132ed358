import { checkExpression } from '../../expr/expression.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import type { ConcurrencyConfig } from './config.ts';

/** What the schema cannot say. */
export function check({ key }: ConcurrencyConfig): ConfigIssue[] {
  const wrong = key === undefined ? undefined : checkExpression(key, 'string');
  return wrong === undefined ? [] : [{ pointer: '/key', message: wrong }];
}
