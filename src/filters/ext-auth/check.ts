import { parseDuration } from '../../base/duration.ts';
import { checkExpression } from '../../expr/expression.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import type { ExtAuthConfig } from './config.ts';
import { isSettable } from './field-guard.ts';

/** From 1 ms on: none of them may be without end. */
const DURATION_MS_MAX = { '/timeout': 60_000, '/cache/ttl': 3_600_000 } as const;

export function check({ http, grpc, upstreamHeaders, withBody, cache, timeout }: ExtAuthConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = [...durationIssues('/timeout', timeout), ...durationIssues('/cache/ttl', cache?.ttl)];
  if ((http === undefined) === (grpc === undefined)) {
    const said = http === undefined ? 'Neither http nor grpc is there' : 'Both http and grpc are there';
    issues.push({ pointer: http === undefined ? '' : '/grpc', message: `${said}: one of them should be` });
  }
  if (http?.method === 'GET' && withBody !== undefined) {
    issues.push({ pointer: '/http/method', message: 'GET carries no body: it should be "original" beside withBody' });
  }
  const lists = [
    ['/upstreamHeaders', upstreamHeaders],
    ['/http/answerHeaders', http?.answerHeaders ?? []],
    ['/http/refusalHeaders', http?.refusalHeaders ?? []],
  ] as const;
  for (const [pointer, names] of lists) {
    names.forEach((name, i) => {
      if (isSettable(name.toLowerCase())) return;
      issues.push({ pointer: `${pointer}/${i}`, message: `"${name}" may not be set by an authorizer: leave it out` });
    });
  }
  const wrong = cache === undefined ? undefined : checkExpression(cache.key, 'string');
  if (wrong !== undefined) issues.push({ pointer: '/cache/key', message: wrong });
  return issues;
}

function durationIssues(pointer: keyof typeof DURATION_MS_MAX, text: string | undefined): ConfigIssue[] {
  const ms = text === undefined ? 1 : parseDuration(text)!;
  const maxMs = DURATION_MS_MAX[pointer];
  if (ms >= 1 && ms <= maxMs) return [];
  return [{ pointer, message: `"${text}" is out of range: it should be from 1ms to ${maxMs / 60_000}m` }];
}
