/**
 * Shadows: matches that no request can reach, because another route takes the
 * same requests on the same host of the same listener and comes first: the older
 * route, then the first name (Gateway API, `HTTPRouteRule.matches`).
 */
import { describe, type HTTPRoute, keyOf } from '../resource/resource.ts';
import { type Finding, warning } from './finding.ts';
import type { MatchClaim, RouteResult } from './route.ts';
import { byAge } from './tables.ts';

interface Claimed {
  readonly route: HTTPRoute;
  readonly claim: MatchClaim;
}

interface Shadow {
  readonly winner: Claimed;
  readonly hosts: Set<string>;
}

export function findShadows(results: Iterable<RouteResult>): Finding[] {
  const first = new Map<string, Claimed>();
  const shadows = new Map<HTTPRoute, Map<string, Shadow>>();
  for (const { route, claims } of results) {
    for (const claim of claims) {
      const known = first.get(claim.key);
      if (known === undefined) {
        first.set(claim.key, { route, claim });
        continue;
      }
      // Claims of one route come in the order of its rules, so the earlier one stays.
      const wins = known.route !== route && byAge(route, known.route) < 0;
      const here = { route, claim };
      if (wins) first.set(claim.key, here);
      addShadow(shadows, wins ? { loser: known, winner: here } : { loser: here, winner: known });
    }
  }
  return [...shadows].flatMap(([route, fields]) =>
    [...fields].map(([field, shadow]) => findingOf(route, field, shadow)),
  );
}

function addShadow(
  shadows: Map<HTTPRoute, Map<string, Shadow>>,
  { loser, winner }: { readonly loser: Claimed; readonly winner: Claimed },
): void {
  let fields = shadows.get(loser.route);
  if (fields === undefined) shadows.set(loser.route, (fields = new Map()));
  const known = fields.get(loser.claim.field);
  if (known === undefined) fields.set(loser.claim.field, { winner, hosts: new Set([loser.claim.host]) });
  else known.hosts.add(loser.claim.host);
}

function findingOf(route: HTTPRoute, field: string, { winner, hosts }: Shadow): Finding {
  const names = [...hosts].map((host) => (host === '*' ? 'every host' : `"${host}"`)).join(', ');
  const same = winner.route === route;
  const by = same
    ? `an earlier match of the same route (${winner.claim.field})`
    : `${describe(winner.route)}, which comes first`;
  const message = `Unreachable on ${names}: the same requests are taken by ${by}`;
  return warning('route.shadowed', route, { field, message, ...(!same && { related: [keyOf(winner.route)] }) });
}
