/**
 * Shadows: matches that no request can reach, because another match takes the
 * same requests on the same host of the same listener and comes first: the older
 * route, then the first name (Gateway API, `HTTPRouteRule.matches`).
 */
import type { PlanRoute } from '../ir/plan.ts';
import { describe, keyOf } from '../resource/resource.ts';
import { type Finding, warning } from './finding.ts';
import { matchKey } from './match.ts';
import type { ListDelta } from './memo.ts';
import type { RouteResult } from './route.ts';
import { byAge } from './tables.ts';

/** One match on one host of one listener. */
interface Claim {
  /** Equal for claims of which only one can be served. */
  readonly key: string;
  readonly result: RouteResult;
  readonly listener: string;
  readonly host: string;
  /** JSON pointer of the match. */
  readonly field: string;
  /** Length of the path: `/a/` takes what `/a` takes, and comes first because it is longer. */
  readonly chars: number;
}

/**
 * Who claims what, kept from compile to compile. Only hashes of claims are kept:
 * of thousands of routes nearly none are in each other's way, and the claims of
 * those that are can be made again.
 */
export class Shadows {
  readonly #claimants = new Map<number, RouteResult | RouteResult[]>();
  /** Hashes with more than one claim. */
  readonly #contested = new Set<number>();

  update({ added, removed }: ListDelta<RouteResult>): void {
    for (const result of removed) for (const { key } of claimsOf(result)) this.#drop(hashOf(key), result);
    for (const result of added) for (const { key } of claimsOf(result)) this.#add(hashOf(key), result);
  }

  findings(): Finding[] {
    const results = new Set<RouteResult>();
    for (const hash of this.#contested)
      for (const result of this.#claimants.get(hash) as RouteResult[]) results.add(result);
    const byKey = Map.groupBy([...results].flatMap(claimsOf), ({ key }) => key);
    const shadows = new Map<string, Shadow>();
    for (const claims of byKey.values()) {
      if (claims.length === 1) continue;
      const [winner, ...losers] = claims.toSorted(byPrecedence);
      for (const loser of losers) addShadow(shadows, loser, winner!);
    }
    // In an order of their own: that of the sets tells what came when, which is nothing that the resources say.
    return [...shadows].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, shadow]) => findingOf(shadow));
  }

  #add(hash: number, result: RouteResult): void {
    const known = this.#claimants.get(hash);
    if (known === undefined) {
      this.#claimants.set(hash, result);
      return;
    }
    if (Array.isArray(known)) known.push(result);
    else this.#claimants.set(hash, [known, result]);
    this.#contested.add(hash);
  }

  #drop(hash: number, result: RouteResult): void {
    const known = this.#claimants.get(hash);
    if (!Array.isArray(known)) {
      this.#claimants.delete(hash);
      return;
    }
    known.splice(known.indexOf(result), 1);
    if (known.length > 1) return;
    this.#claimants.set(hash, known[0]!);
    this.#contested.delete(hash);
  }
}

function claimsOf(result: RouteResult): Claim[] {
  const { route } = result;
  const routeKey = keyOf(route);
  const indexes = new Map(route.spec.rules.map(({ name }, i) => [`${routeKey}/${name ?? i}`, i]));
  return placesOfRules(result).flatMap(({ attach, rules, namespace }) => {
    const matches = rules.flatMap(({ name, matches: own }) =>
      own.map((match, i) => ({
        suffix: matchKey(match),
        chars: match.path.value.length,
        field: `/spec/rules/${indexes.get(name)!}/matches/${i}`,
      })),
    );
    return attach.flatMap(({ listener, hosts }) =>
      hosts.flatMap((host) =>
        matches.map(({ suffix, chars, field }) => ({
          key: `${namespace} ${listener} ${host} ${suffix}`,
          result,
          listener,
          host,
          field,
          chars,
        })),
      ),
    );
  });
}

/** Routes for clients of one namespace are not in the way of those of another. */
function placesOfRules({
  route,
  parts,
  mesh,
}: RouteResult): { attach: PlanRoute['attach']; rules: PlanRoute['rules']; namespace: string }[] {
  const { namespace } = route.metadata;
  return [
    ...parts.map(([, { attach, rules }]) => ({ attach, rules, namespace: '' })),
    ...mesh.map(({ part: { attach, rules } }) => ({ attach, rules, namespace })),
  ];
}

/** 53 bits of a text, by two FNV-1a of 32 bits. Two texts of one hash cost a second look, nothing else. */
function hashOf(text: string): number {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    low = Math.imul(low ^ char, 0x01000193);
    high = Math.imul(high ^ char, 0x85ebca6b);
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0);
}

/** Claims of one route stand in the order of its rules, and sorting keeps it. */
function byPrecedence(a: Claim, b: Claim): number {
  const longer = b.chars - a.chars;
  return longer !== 0 || a.result === b.result ? longer : byAge(a.result.route, b.result.route);
}

/** A match that loses, and the first one that it loses to. */
interface Shadow {
  winner: Claim;
  readonly lost: Claim[];
}

function addShadow(shadows: Map<string, Shadow>, loser: Claim, winner: Claim): void {
  const match = `${keyOf(loser.result.route)}${loser.field}`;
  const known = shadows.get(match);
  if (known === undefined) {
    shadows.set(match, { winner, lost: [loser] });
    return;
  }
  known.lost.push(loser);
  if (winner.key < known.winner.key) known.winner = winner;
}

function findingOf({ winner, lost }: Shadow): Finding {
  const { result, field } = lost[0]!;
  const { route } = result;
  const total = claimsOf(result).filter((claim) => claim.field === field).length;
  const where = lost.length === total ? '' : ` on ${placesOf(lost)}`;
  const first = winner.result.route;
  if (first === route) {
    const message = `Unreachable${where}: the same requests are taken by an earlier match of the route, ${winner.field}`;
    return warning('route.shadowed', route, { field, message });
  }
  const message = `Unreachable${where}: the same requests are taken by ${describe(first)}, which comes first`;
  return warning('route.shadowed', route, { field, message, related: [keyOf(first)] });
}

const PLACES_MAX = 3;

function placesOf(claims: readonly Claim[]): string {
  const names = claims
    .map(({ host, listener }) => `${host === '*' ? 'every host' : `"${host}"`} of ${listener}`)
    .toSorted();
  const rest = names.length - PLACES_MAX;
  return [...names.slice(0, PLACES_MAX), ...(rest > 0 ? [`${rest} more`] : [])].join(', ');
}
