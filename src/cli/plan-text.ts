/** Pieces of a plan in few words, for tables and trees. */
import { isAbsolute, relative } from 'node:path';
import type { Position } from '../base/problem.ts';
import { portKey } from '../ir/key.ts';
import type { PlanEndpoint, PlanMatch, PlanNamedMatch } from '../ir/plan.ts';

/** `GET /cart/* x-version=2 ?lang=de`. Prefixes end in `/*`, expressions start with `~`. */
export function matchText({ path, method, headers, query }: PlanMatch): string {
  return [
    ...(method === undefined ? [] : [method]),
    pathText(path),
    ...headers.map((test) => namedText(test)),
    ...query.map((test) => `?${namedText(test)}`),
  ].join(' ');
}

function pathText({ kind, value, narrowedBy }: PlanMatch['path']): string {
  if (narrowedBy !== undefined) return `~${narrowedBy}`;
  if (kind === 'regex') return `~${value}`;
  if (kind === 'exact') return value;
  return value.endsWith('/') ? `${value}*` : `${value}/*`;
}

function namedText({ name, kind, value }: PlanNamedMatch): string {
  return kind === 'regex' ? `${name}~${value}` : `${name}=${value}`;
}

/** What one backend of a route gets. */
export interface BackendShare {
  readonly cluster?: string;
  /** Why its share goes nowhere. */
  readonly invalid?: string;
  readonly weight: number;
}

/** `Service/shop/web/80`, or each with its weight where there is more than one. */
export function backendsText(backends: readonly BackendShare[]): string {
  return backends
    .map(({ cluster, invalid, weight }) => {
      const name = cluster ?? `invalid (${invalid})`;
      return backends.length === 1 ? name : `${name} ${weight}`;
    })
    .join(', ');
}

/** 0 to 1. Where every weight is 0, nobody gets anything. */
export function shareOf(weight: number, total: number): number {
  return total === 0 ? 0 : weight / total;
}

/** `33.3%`. @param share  0 to 1 */
export function percentText(share: number): string {
  return `${Math.round(share * 1000) / 10}%`;
}

/** `gateway/routes.yaml:12`, or a dash. @param cwd  files below it are named from there */
export function placeText(at: Pick<Position, 'file' | 'line'> | undefined, cwd: string): string {
  return at === undefined ? '-' : `${shortPath(at.file, cwd)}:${at.line}`;
}

/** A file as the user would name it from `cwd`; absolute where that is not below. */
export function shortPath(file: string, cwd: string): string {
  const short = isAbsolute(file) ? relative(cwd, file) : file;
  return short.startsWith('..') ? file : short;
}

/** Where it is, and what makes it different from others: `10.0.0.1:80 in eu/a`, `SRV _http._tcp.orders.example`. */
export function endpointName({ address, port, records, zone, priority }: PlanEndpoint): string {
  const place = records === 'srv' ? `SRV ${address}` : portKey(address, port);
  return `${place}${zone === undefined ? '' : ` in ${zone}`}${priority === undefined ? '' : `, priority ${priority}`}`;
}
