/**
 * Shadows: matches that no request can reach, because another route takes the
 * same requests on the same host of the same listener and comes first: the older
 * route, then the first name (Gateway API, `HTTPRouteRule.matches`).
 */
import { describe, type HTTPRoute, keyOf } from '../resource/resource.ts';
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
    const shadows = new Map<HTTPRoute, Map<string, Shadow>>();
    for (const key of this.#contested) {
      const [winner, ...losers] = (this.#claims.get(key) as Claimed[]).toSorted(byPrecedence);
      for (const loser of losers) addShadow(shadows, loser, winner!);
    }
    return [...shadows].flatMap(([route, fields]) => [...fields].map(([field, one]) => findingOf(route, field, one)));
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

/** Claims of one route stand in the order of its rules, and sorting keeps it. */
function byPrecedence(a: Claimed, b: Claimed): number {
  return a.result === b.result ? 0 : byAge(a.result.route, b.result.route);
}

interface Shadow {
  readonly winner: Claimed;
  readonly hosts: Set<string>;
}

function addShadow(shadows: Map<HTTPRoute, Map<string, Shadow>>, loser: Claimed, winner: Claimed): void {
  const { route } = loser.result;
  const { field, host } = loser.claim;
  let fields = shadows.get(route);
  if (fields === undefined) shadows.set(route, (fields = new Map()));
  const known = fields.get(field);
  if (known === undefined) fields.set(field, { winner, hosts: new Set([host]) });
  else known.hosts.add(host);
}

function findingOf(route: HTTPRoute, field: string, { winner, hosts }: Shadow): Finding {
  const names = [...hosts].map((host) => (host === '*' ? 'every host' : `"${host}"`)).join(', ');
  const first = winner.result.route;
  if (first === route) {
    const message = `Unreachable on ${names}: the same requests are taken by an earlier match of the route, ${winner.claim.field}`;
    return warning('route.shadowed', route, { field, message });
  }
  const message = `Unreachable on ${names}: the same requests are taken by ${describe(first)}, which comes first`;
  return warning('route.shadowed', route, { field, message, related: [keyOf(first)] });
}
