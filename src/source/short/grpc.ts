/** `grpc` of a route in the short form: which calls it takes, and what of a route calls cannot have. */
import { error, nameFrom, type ShortFinding } from './draft.ts';
import { readCors } from './filter.ts';
import { namedMatches, type ReadMatch } from './match.ts';
import type { GrpcMatch, Route } from './schema.ts';

export function readGrpcMatches(grpc: NonNullable<Route['grpc']>, pointer: string): ReadMatch[] {
  if (Array.isArray(grpc)) return grpc.map((one, i) => readGrpcMatch(one, `${pointer}/grpc/${i}`));
  return [readGrpcMatch(grpc, `${pointer}/grpc`)];
}

function readGrpcMatch(grpc: GrpcMatch, pointer: string): ReadMatch {
  const { calls = '*', host = [], headers } = typeof grpc === 'string' ? { calls: grpc } : grpc;
  const [service = '', method] = calls.split('/');
  const named = { service, ...(method !== undefined && { method }) };
  const match = {
    ...(calls !== '*' && { method: named }),
    ...(headers !== undefined && { headers: namedMatches(headers) }),
  };
  const place = typeof grpc === 'string' || grpc.calls === undefined ? pointer : `${pointer}/calls`;
  return {
    hosts: typeof host === 'string' ? [host] : host,
    matches: [match],
    path: { type: 'Exact', value: `/${nameFrom(calls, 'calls')}` },
    pointer,
    pathPointer: place,
  };
}

/** What has a meaning for requests of HTTP only. */
export function wrongForGrpc(route: Route, pointer: string): ShortFinding[] {
  if (route.grpc === undefined) return [];
  const refuse = (field: string): ShortFinding =>
    error(
      `${pointer}/${field}`,
      'field.value',
      `Cannot use "${field.split('/')[0]}" with "grpc": calls have no such thing`,
    );
  const findings = (['match', 'redirect', 'respond', 'rewrite'] as const).flatMap((field) =>
    route[field] === undefined ? [] : [refuse(field)],
  );
  if (typeof route.timeout === 'object' && route.timeout.backend !== undefined)
    findings.push(refuse('timeout/backend'));
  if (typeof route.retry === 'object' && route.retry.codes !== undefined) findings.push(refuse('retry/codes'));
  return findings;
}

/** What a GRPCRoute has no fields for, as fields of a Policy with the place where it was written. */
export function grpcPolicies({ timeout, retry, cors }: Route): { field: string; from: string; value: object }[] {
  const whole = typeof timeout === 'string' ? timeout : timeout?.request;
  const again = typeof retry === 'number' ? { attempts: retry } : retry;
  const grpc = { ...(whole !== undefined && { timeout: whole }), ...(again !== undefined && { retry: again }) };
  const marks = cors === undefined ? undefined : readCors(cors);
  return [
    ...(Object.keys(grpc).length === 0
      ? []
      : [{ field: 'grpc', from: timeout === undefined ? 'retry' : 'timeout', value: grpc }]),
    ...(marks === undefined ? [] : [{ field: 'filters', from: 'cors', value: { cors: marks.cors } }]),
  ];
}
