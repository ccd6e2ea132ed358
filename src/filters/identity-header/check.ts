/** What the schema cannot say of `identityHeader`. */
import { parseDuration } from '../../base/duration.ts';
import { checkExpression } from '../../expr/expression.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import type { IdentityHeaderConfig } from './config.ts';

/** Fields that mean something to everybody on the way. */
const RESERVED: ReadonlySet<string> = new Set(['host', 'authorization', 'cookie', 'content-type']);

export function check({ token, headers }: IdentityHeaderConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  if (token === undefined && headers.length === 0) issues.push({ pointer: '', message: 'Set token, headers, or both' });
  if (token !== undefined) {
    reserved(issues, '/token/header', token.header);
    const ms = parseDuration(token.lifetime)!;
    if (ms < 10_000 || ms > 3_600_000) {
      issues.push({ pointer: '/token/lifetime', message: `Expected a duration of 10s to 1h, got "${token.lifetime}"` });
    }
  }
  headers.forEach(({ name, value }, i) => {
    reserved(issues, `/headers/${i}/name`, name);
    if (name.toLowerCase() === token?.header.toLowerCase()) {
      issues.push({ pointer: `/headers/${i}/name`, message: `"${name}" is the header of the token` });
    }
    const wrong = checkExpression(value, 'string');
    if (wrong !== undefined) issues.push({ pointer: `/headers/${i}/value`, message: wrong });
  });
  return issues;
}

function reserved(issues: ConfigIssue[], pointer: string, name: string): void {
  if (!RESERVED.has(name.toLowerCase())) return;
  issues.push({ pointer, message: `Expected a header of its own, got "${name}"` });
}
