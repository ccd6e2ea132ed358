/**
 * HTTPRoutes and GRPCRoutes do not share a host of a listener: of two routes of
 * different kinds whose hosts overlap there, the older one counts, then the
 * first by name (Gateway API, `GRPCRouteSpec.hostnames`). The other one is not
 * accepted there and names it.
 */
import { describe, describeKey, keyOf, type ResourceKind } from '../resource/resource.ts';
import { type Attached, attachRoute, type ParentOutcome } from './attach.ts';
import { error, type Finding, warning } from './finding.ts';
import { covers } from './hostname.ts';
import { Memo } from './memo.ts';
import type { MatchedRoute } from './rule.ts';
import { byAge, type CompileTables, type Inventory } from './tables.ts';

/** A route that takes hosts of a listener away from one of the other kind. */
export interface Rival {
  /** `Gateway/NS/NAME/LISTENER`. */
  readonly listener: string;
  /** The host that both want, as the loser has it. */
  readonly host: string;
  readonly winner: string;
}

export class Rivals {
  readonly #attached = new Memo<CompileTables, Attached, MatchedRoute>();
  #before: ReadonlyMap<string, readonly Rival[]> = new Map();

  /** Fills `tables.rivals`. Without a GRPCRoute it costs nothing. */
  run({ tables, byKind }: Pick<Inventory, 'tables' | 'byKind'>): void {
    const found = byKind.GRPCRoute.length === 0 ? NONE : this.#find([...byKind.HTTPRoute, ...byKind.GRPCRoute], tables);
    for (const [key, rivals] of found) {
      const before = this.#before.get(key);
      tables.rivals.set(
        key,
        before !== undefined && JSON.stringify(before) === JSON.stringify(rivals) ? before : rivals,
      );
    }
    this.#before = tables.rivals;
  }

  #find(routes: readonly MatchedRoute[], tables: CompileTables): ReadonlyMap<string, readonly Rival[]> {
    this.#attached.begin(tables);
    const losers = new Map<string, Rival[]>();
    const listeners = new Map<string, Taken>();
    for (const route of routes.toSorted(byAge)) {
      const { outcomes } = this.#attached.get(route, [], (look) => attachRoute(route, look));
      for (const { attachments } of outcomes) {
        for (const { parent, listener, hosts } of attachments) {
          const name = `${parent.key}/${listener.name}`;
          let taken = listeners.get(name);
          if (taken === undefined) listeners.set(name, (taken = new Taken()));
          const rival = taken.take(route, hosts);
          if (rival === undefined) continue;
          const key = keyOf(route);
          const known = losers.get(key);
          if (known === undefined) losers.set(key, [{ listener: name, ...rival }]);
          else if (!known.some((one) => one.listener === name)) known.push({ listener: name, ...rival });
        }
      }
    }
    return losers;
  }
}

const NONE: ReadonlyMap<string, readonly Rival[]> = new Map();

/** Hosts of one listener with the route that has them, by kind. */
class Taken {
  readonly #byKind = new Map<ResourceKind, Map<string, string>>();

  /** Takes all hosts, or none when a route of the other kind has one of them. */
  take(route: MatchedRoute, hosts: readonly string[]): Omit<Rival, 'listener'> | undefined {
    const others = this.#byKind.get(route.kind === 'HTTPRoute' ? 'GRPCRoute' : 'HTTPRoute');
    if (others !== undefined) {
      for (const host of hosts) {
        const winner = overlapping(others, host);
        if (winner !== undefined) return { host, winner };
      }
    }
    let own = this.#byKind.get(route.kind);
    if (own === undefined) this.#byKind.set(route.kind, (own = new Map()));
    for (const host of hosts) if (!own.has(host)) own.set(host, keyOf(route));
    return undefined;
  }
}

function overlapping(taken: ReadonlyMap<string, string>, host: string): string | undefined {
  const same = taken.get(host) ?? taken.get('*');
  if (same !== undefined) return same;
  // Wider names: `*.b.test` takes `a.b.test`.
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    const wider = taken.get(`*${host.slice(dot)}`);
    if (wider !== undefined) return wider;
  }
  if (!host.startsWith('*')) return undefined;
  for (const [narrow, winner] of taken) if (covers(host, narrow)) return winner;
  return undefined;
}

/** The attachment of a route without the listeners where a route of the other kind counts. */
export function withoutRivals(route: MatchedRoute, attached: Attached, rivals: readonly Rival[] | undefined): Attached {
  if (rivals === undefined) return attached;
  const lost = new Map(rivals.map((rival) => [rival.listener, rival]));
  const findings: Finding[] = [];
  const outcomes = attached.outcomes.map((outcome): ParentOutcome => {
    const { parent, attachments } = outcome;
    const gone = attachments.flatMap(({ listener }) => lost.get(`${parent.key}/${listener.name}`) ?? []);
    if (gone.length === 0) return outcome;
    const kept = attachments.filter(({ listener }) => !lost.has(`${parent.key}/${listener.name}`));
    const { winner, host, listener } = gone[0]!;
    const on = host === '*' ? 'every host' : `"${host}"`;
    const message = `${describeKey(winner)} has ${on} of listener "${listener.split('/').at(-1)}" of ${describeKey(parent.key)} and came first: one host is for HTTPRoutes or for GRPCRoutes, so ${describe(route)} is not served there`;
    const place = { field: '/spec/hostnames', message, related: [winner] };
    if (kept.length > 0) {
      findings.push(warning('route.host-conflict', route, place));
      return { ...outcome, attachments: kept };
    }
    findings.push(error('route.host-conflict', route, place));
    return { ...outcome, attachments: kept, notAccepted: { reason: 'HostnameConflict', message } };
  });
  return { outcomes, findings: [...attached.findings, ...findings] };
}
