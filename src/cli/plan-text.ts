/** Pieces of a plan in few words, for tables and trees. */
import { isAbsolute, relative } from 'node:path';
import type { Position } from '../base/problem.ts';
import type { PlanBackend, PlanMatch, PlanNamedMatch } from '../ir/plan.ts';

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

/** `Service/shop/web/80` and its weight, where there is more than one. */
export function backendText({ target, weight }: PlanBackend, alone: boolean): string {
  const name = target.kind === 'cluster' ? target.cluster : `invalid (${target.why})`;
  return alone ? name : `${name} ${weight}`;
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
