/**
 * What is special about the rules of a GRPCRoute: service and method become
 * paths, and settings come from Policies, because the kind has no fields for them.
 */
import type { PlanGrpc, PlanMatch, PlanPathMatch, PlanRetry, PlanRule } from '../ir/plan.ts';
import { GRPC_CODES, type GrpcCodeName } from '../base/grpc-codes.ts';
import { durationOr } from '../base/duration.ts';
import type { GRPCRouteMatch, GRPCRouteRule } from '../resource/kinds/grpc-route.ts';
import type { PolicySpec } from '../resource/kinds/policy.ts';
import { sizeOr } from '../resource/size.ts';
import { GRPC, RETRY } from './defaults.ts';
import { EVERY_PATH, firstFlaw, lowerNamed, type MatchFlaw, regexesOf } from './match.ts';
import { type Asked, routeTimeouts } from './settings.ts';
import { NONE, settled } from './settled.ts';

export function lowerGrpcMatches({ matches }: Pick<GRPCRouteRule, 'matches'>): PlanMatch[] {
  if (matches.length === 0) return [{ path: EVERY_PATH, headers: NONE, query: NONE }];
  return matches.map(({ method, headers }) => ({
    path: pathOf(method),
    headers: settled(headers.map((header) => lowerNamed(header, header.name.toLowerCase()))),
    query: NONE,
  }));
}

/** More than the longest method: characters of the service always count more. */
const SERVICE_WEIGHT = 2_048;

/**
 * The path of a call is `/SERVICE/METHOD`. What is exact finds its place in the
 * tree of paths; the rest hangs at the longest prefix that is known, narrowed by
 * an expression.
 */
function pathOf(match: GRPCRouteMatch['method']): PlanPathMatch {
  if (match === undefined) return EVERY_PATH;
  const { type, service = '', method = '' } = match;
  const rank = service.length * SERVICE_WEIGHT + method.length;
  if (type === 'Exact' && service !== '') {
    return method === ''
      ? { kind: 'prefix', value: `/${service}`, rank }
      : { kind: 'exact', value: `/${service}/${method}` };
  }
  // An exact name alone is that of a method, which holds nothing that an expression would read otherwise.
  const part = (text: string): string => (text === '' ? '[^/]+' : type === 'Exact' ? text : `(?:${text})`);
  const narrowedBy = `/${part(service)}/${part(method)}`;
  return { kind: 'prefix', value: '/', narrowedBy, ...(type === 'Exact' && { lastSegment: method }), rank };
}

export function grpcMatchFlaw({ matches }: Pick<GRPCRouteRule, 'matches'>): MatchFlaw | undefined {
  return firstFlaw(
    matches.flatMap(({ method, headers }, i) => {
      const at = `/matches/${i}`;
      const fields = method?.type === 'RegularExpression' ? (['service', 'method'] as const) : [];
      return [
        ...fields.flatMap((field) => {
          const value = method?.[field];
          return value === undefined ? [] : [{ field: `${at}/method/${field}`, value }];
        }),
        ...regexesOf(headers, `${at}/headers`),
      ];
    }),
  );
}

export interface GrpcSettings {
  readonly grpc: PlanGrpc;
  readonly timeouts: PlanRule['timeouts'];
  readonly retry: PlanRetry | undefined;
}

type GrpcPolicy = NonNullable<PolicySpec['grpc']>;

/** @param asked  by policies on the route and on the rule */
export function grpcSettings(rule: GRPCRouteRule, asked: Asked): GrpcSettings {
  const get = <K extends keyof GrpcPolicy>(name: K): GrpcPolicy[K] | undefined =>
    asked.get(`grpc/${name}`)?.value as GrpcPolicy[K] | undefined;
  const bytes = (name: 'requestMessageBytesMax' | 'answerMessageBytesMax'): number => sizeOr(get(name), GRPC[name]);
  return {
    grpc: {
      requestMessageBytesMax: bytes('requestMessageBytesMax'),
      answerMessageBytesMax: bytes('answerMessageBytesMax'),
      services: settled([...new Set(rule.matches.flatMap(({ method }) => exactService(method)))]),
    },
    timeouts: routeTimeouts({ request: get('timeout') }),
    retry: retryOf(get('retry')),
  };
}

function exactService(match: GRPCRouteMatch['method']): string[] {
  return match?.type === 'Exact' && match.service !== undefined ? [match.service] : [];
}

function retryOf(retry: GrpcPolicy['retry']): PlanRetry | undefined {
  if (retry === undefined) return undefined;
  const { attempts, codes, backoff } = retry;
  return {
    attempts: attempts ?? RETRY.attempts,
    backoffMs: durationOr(backoff, RETRY.backoffMs),
    codes: [],
    grpcCodes: codes.map((name: GrpcCodeName) => GRPC_CODES[name]),
  };
}
