/**
 * Finding: a problem before it has a place. Results are kept between compiles
 * while the text around a resource may move, so places are looked up when the
 * list of problems is made, never before.
 */
import type { Position, Problem, ProblemLevel, RelatedOwner } from '../base/problem.ts';
import { describe, type Resource } from '../resource/resource.ts';

export interface Finding {
  readonly level: ProblemLevel;
  /** `area.what`; see {@link Problem.code}. */
  readonly code: string;
  readonly resource: Resource;
  /** JSON pointer into the resource. */
  readonly field: string;
  readonly message: string;
  /** Keys of the other owners. */
  readonly related?: readonly string[];
  /** What does not exist: the problem says which name that exists is the nearest. */
  readonly absent?: Absent;
}

/** An object that somebody refers to and that is not there. */
export interface Absent {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

type Rest = Pick<Finding, 'field' | 'message' | 'related' | 'absent'>;

/** An error: something that was asked for is not done. */
export function error(code: string, resource: Resource, rest: Rest): Finding {
  return { level: 'error', code, resource, ...rest };
}

/** A warning: all that was asked for is done, and it is likely not what was meant. */
export function warning(code: string, resource: Resource, rest: Rest): Finding {
  return { level: 'warning', code, resource, ...rest };
}

interface Place {
  /** Line of the document when the place was looked up; another one means that the text has moved. */
  readonly line: number;
  readonly at: Position;
}

const places = new WeakMap<Resource, Map<string, Place>>();

/** Place of a field. Reading it costs a parse of the document, so it is kept until the document moves. */
export function placeOf(resource: Resource, field: string): Position {
  let known = places.get(resource);
  if (known === undefined) places.set(resource, (known = new Map()));
  const { line } = resource.origin;
  const place = known.get(field);
  if (place !== undefined && place.line === line) return place.at;
  const at = resource.origin.locate(field);
  known.set(field, { line, at });
  return at;
}

/**
 * The problem of a finding. Its places are found when they are read, so that a
 * thousand warnings nobody looks at cost nothing and lines are never out of date.
 */
export function problemOf(finding: Finding, find: (key: string) => Resource | undefined): Problem {
  const { level, code, resource, field, message, related = [] } = finding;
  const owners = related.flatMap((key) => relatedOwner(find(key)) ?? []);
  return {
    level,
    code,
    resource: describe(resource),
    get at() {
      return placeOf(resource, field);
    },
    ...(field !== '' && { field }),
    message,
    ...(owners.length > 0 && { related: owners }),
  };
}

function relatedOwner(resource: Resource | undefined): RelatedOwner | undefined {
  if (resource === undefined) return undefined;
  return {
    resource: describe(resource),
    get at() {
      return placeOf(resource, '');
    },
  };
}
