/**
 * Versions: the hash of each part, and the version of a plan, which is the hash
 * over the names and hashes of all of its parts.
 *
 * Positions do not count: moving a resource inside its file is not a change of
 * the plan, so an edit at the top of a large file stays one small diff.
 */
import { hashOf, hashText } from '../base/canonical.ts';
import type {
  Plan,
  PlanCluster,
  PlanFilter,
  PlanListener,
  PlanPort,
  PlanRoute,
  PlanRule,
  PlanSecret,
  PlanStream,
} from './plan.ts';

export type PlanPart = PlanPort | PlanListener | PlanRoute | PlanStream | PlanCluster;

/** The named parts of a plan, before it has a version. */
export type PlanParts = Omit<Plan, 'version'>;

/** Order of the kinds of parts in a version. */
export const PART_KINDS = [
  'ports',
  'listeners',
  'routes',
  'streams',
  'clusters',
] as const satisfies (keyof PlanParts)[];

const partHashes = new WeakMap<PlanPart, string>();
const secretHashes = new WeakMap<PlanSecret, string>();

/** SHA-256 of a part, positions left out; computed once per object, because parts never change. */
export function hashPart(part: PlanPart): string {
  const known = partHashes.get(part);
  if (known !== undefined) return known;
  const hash = hashOf('rules' in part ? withoutPositions(part) : part);
  partHashes.set(part, hash);
  return hash;
}

/** What a {@link PlanSecretRef} carries as `hash`. */
export function hashSecret(secret: PlanSecret): string {
  const known = secretHashes.get(secret);
  if (known !== undefined) return known;
  const hash = hashOf(secret);
  secretHashes.set(secret, hash);
  return hash;
}

/**
 * Version of a plan made of these parts: 64 hex digits. Costs 1 to 3 ms for
 * 5,000 parts that were hashed before; a kind whose record is the same object
 * as before costs nothing.
 */
export function versionOf(parts: PlanParts): string {
  return hashText(PART_KINDS.map((kind) => `${kind} ${hashNamed(parts[kind])}`).join('\n'));
}

type Named = Readonly<Record<string, PlanPart>>;

const namedHashes = new WeakMap<Named, string>();

function hashNamed(named: Named): string {
  const known = namedHashes.get(named);
  if (known !== undefined) return known;
  // A name has no line break, so no two sets of parts give the same text.
  let text = '';
  for (const name of Object.keys(named).toSorted()) text += `${name} ${hashPart(named[name]!)}\n`;
  const hash = hashText(text);
  namedHashes.set(named, hash);
  return hash;
}

function withoutPositions(route: PlanRoute): unknown {
  return {
    ...route,
    rules: route.rules.map((rule) => ({
      ...withoutPosition(rule),
      filters: rule.filters.map(withoutPosition),
      backends: rule.backends.map((backend) => ({ ...backend, filters: backend.filters.map(withoutPosition) })),
    })),
  };
}

function withoutPosition<T extends PlanRule | PlanFilter>(part: T): Omit<T, 'at'> {
  const kept: Partial<T> = {};
  for (const name of Object.keys(part) as (keyof T & string)[]) if (name !== 'at') kept[name] = part[name];
  return kept as Omit<T, 'at'>;
}
