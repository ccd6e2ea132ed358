/**
 * Shadows: matches that no request can reach, because another route takes the
 * same requests on the same host of the same listener and comes first: the older
 * route, then the first name (Gateway API, `HTTPRouteRule.matches`).
 */
import { describe, keyOf } from '../resource/resource.ts';
import { type Finding, warning } from './finding.ts';
import type { ListDelta } from './memo.ts';
import type { MatchClaim, RouteResult } from './route.ts';
import { byAge } from './tables.ts';

interface Claimed {
  readonly result: RouteResult;
  readonly claim: MatchClaim;
}

/** Who claims what, kept from compile to compile. */
export class Shadows {
  readonly #claims = new Map<string, Claimed | Claimed[]>();
  /** Keys with more than one claim. */
  readonly #contested = new Set<string>();

  update({ added, removed }: ListDelta<RouteResult>): void {
    for (const result of removed) for (const { key } of result.claims) this.#drop(key, result);
    for (const result of added) for (const claim of result.claims) this.#add({ result, claim });
  }

  findings(): Finding[] {
    const shadows = new Map<RouteResult, Map<string, Shadow>>();
    for (const key of [...this.#contested].toSorted()) {
      const [winner, ...losers] = (this.#claims.get(key) as Claimed[]).toSorted(byPrecedence);
      for (const loser of losers) addShadow(shadows, loser, winner!);
    }
    const findings = [...shadows].flatMap(([result, fields]) =>
      [...fields].map(([field, shadow]) => findingOf(result, field, shadow)),
    );
    // In an order of their own: that of the map tells what came when, which is nothing that the resources say.
    return findings.toSorted((a, b) => (placeKey(a) < placeKey(b) ? -1 : 1));
  }

  #add(claimed: Claimed): void {
    const { key } = claimed.claim;
    const known = this.#claims.get(key);
    if (known === undefined) {
      this.#claims.set(key, claimed);
      return;
    }
    if (Array.isArray(known)) known.push(claimed);
    else this.#claims.set(key, [known, claimed]);
    this.#contested.add(key);
  }

  #drop(key: string, result: RouteResult): void {
    const known = this.#claims.get(key);
    if (known === undefined) return;
    const rest = Array.isArray(known) ? known.filter((other) => other.result !== result) : [];
    if (rest.length > 1) {
      this.#claims.set(key, rest);
      return;
    }
    this.#contested.delete(key);
    if (rest.length === 1) this.#claims.set(key, rest[0]!);
    else this.#claims.delete(key);
  }
}

function placeKey({ resource, field }: Finding): string {
  return `${keyOf(resource)}${field}`;
}

/** Claims of one route stand in the order of its rules, and sorting keeps it. */
function byPrecedence(a: Claimed, b: Claimed): number {
  const longer = b.claim.chars - a.claim.chars;
  return longer !== 0 || a.result === b.result ? longer : byAge(a.result.route, b.result.route);
}

interface Shadow {
  readonly winner: Claimed;
  /** Claims of the same match that lose. */
  readonly lost: MatchClaim[];
}

function addShadow(shadows: Map<RouteResult, Map<string, Shadow>>, { result, claim }: Claimed, winner: Claimed): void {
  let fields = shadows.get(result);
  if (fields === undefined) shadows.set(result, (fields = new Map()));
  const known = fields.get(claim.field);
  if (known === undefined) fields.set(claim.field, { winner, lost: [claim] });
  else known.lost.push(claim);
}

function findingOf({ route, claims }: RouteResult, field: string, { winner, lost }: Shadow): Finding {
  const total = claims.filter((claim) => claim.field === field).length;
  const where = lost.length === total ? '' : ` on ${placesOf(lost)}`;
  const first = winner.result.route;
  if (first === route) {
    const message = `Unreachable${where}: the same requests are taken by an earlier match of the route, ${winner.claim.field}`;
    return warning('route.shadowed', route, { field, message });
  }
  const message = `Unreachable${where}: the same requests are taken by ${describe(first)}, which comes first`;
  return warning('route.shadowed', route, { field, message, related: [keyOf(first)] });
}

const PLACES_MAX = 3;

function placesOf(claims: readonly MatchClaim[]): string {
  const shown = claims
    .slice(0, PLACES_MAX)
    .map(({ host, listener }) => `${host === '*' ? 'every host' : `"${host}"`} of ${listener}`);
  return [...shown, ...(claims.length > PLACES_MAX ? [`${claims.length - PLACES_MAX} more`] : [])].join(', ');
}
