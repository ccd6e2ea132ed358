/**
 * HTTPRoutes and GRPCRoutes do not share a host of a listener: of two routes of
 * different kinds whose hosts overlap there, the older one counts, then the
 * first by name (Gateway API, `GRPCRouteSpec.hostnames`). The other one is not
 * accepted there and names it.
 */
import { describe, describeKey, keyOf, type ResourceKind } from '../resource/resource.ts';
import { type AnyRoute, type Attached, attachRoute, type ParentOutcome } from './attach.ts';
import { error, type Finding, warning } from './finding.ts';
import { covers } from './hostname.ts';
import { Memo } from './memo.ts';
import type { MatchedRoute } from './rule.ts';
import { type ByKind, byAge, type CompileTables, type Inventory } from './tables.ts';

/** A route that takes hosts of a listener away from one of the other kind. */
export interface Rival {
  /** `Gateway/NS/NAME/LISTENER`. */
  readonly listener: string;
  /** The host that both want, as the loser has it. */
  readonly host: string;
  readonly winner: string;
  /** On a port of a Service the kind decides, not the age. */
  readonly by: 'age' | 'kind';
}

export class Rivals {
  readonly #attached = new Memo<CompileTables, Attached, AnyRoute>();
  #before: ReadonlyMap<string, readonly Rival[]> = new Map();

  /** Fills `tables.rivals`. Without a GRPCRoute or a Service as a parent it costs nothing. */
  run({ tables, byKind }: Pick<Inventory, 'tables' | 'byKind'>): void {
    this.#attached.begin(tables);
    const found = new Map<string, Rival[]>();
    if (byKind.GRPCRoute.length > 0) this.#findByAge([...byKind.HTTPRoute, ...byKind.GRPCRoute], found);
    if (tables.serviceParents.size > 0) this.#findByKind(byKind, found);
    for (const [key, rivals] of found) {
      const before = this.#before.get(key);
      tables.rivals.set(
        key,
        before !== undefined && JSON.stringify(before) === JSON.stringify(rivals) ? before : rivals,
      );
    }
    this.#before = tables.rivals;
  }

  #attach(route: AnyRoute): Attached {
    return this.#attached.get(route, [], (look) => attachRoute(route, look));
  }

  #findByAge(routes: readonly MatchedRoute[], losers: Map<string, Rival[]>): void {
    const listeners = new Map<string, Taken>();
    for (const route of routes.toSorted(byAge)) {
      for (const { attachments } of this.#attach(route).outcomes) {
        for (const { parent, listener, hosts } of attachments) {
          if (parent.isService) continue;
          const name = `${parent.key}/${listener.name}`;
          let taken = listeners.get(name);
          if (taken === undefined) listeners.set(name, (taken = new Taken()));
          const rival = taken.take(route, hosts);
          if (rival === undefined) continue;
          addRival(losers, keyOf(route), { listener: name, by: 'age', ...rival });
        }
      }
    }
  }

  /** The more a kind knows of what passes, the sooner it goes; routes of other kinds get nothing of the port (GEP-1294). */
  #findByKind(byKind: ByKind, losers: Map<string, Rival[]>): void {
    const winners = new Map<string, AnyRoute>();
    for (const kind of MESH_KINDS) {
      const routes = byKind[kind].filter(({ spec }) => spec.parentRefs.some((ref) => ref.kind === 'Service'));
      for (const route of routes.toSorted(byAge)) {
        for (const { parent, attachments } of this.#attach(route).outcomes) {
          if (!parent.isService) continue;
          for (const { listener } of attachments) {
            const name = `${parent.key}/${listener.name}`;
            const place = `${name}@${route.metadata.namespace}`;
            const winner = winners.get(place);
            if (winner === undefined) winners.set(place, route);
            else if (winner.kind !== kind) {
              addRival(losers, keyOf(route), { listener: name, host: '*', winner: keyOf(winner), by: 'kind' });
            }
          }
        }
      }
    }
  }
}

/** In the order of their precedence. */
const MESH_KINDS = ['GRPCRoute', 'HTTPRoute', 'TLSRoute', 'TCPRoute'] as const;

/** One rival for each listener is enough to say. */
function addRival(losers: Map<string, Rival[]>, key: string, rival: Rival): void {
  const known = losers.get(key);
  if (known === undefined) losers.set(key, [rival]);
  else if (!known.some(({ listener }) => listener === rival.listener)) known.push(rival);
}

/** Hosts of one listener with the route that has them, by kind. */
class Taken {
  readonly #byKind = new Map<ResourceKind, Map<string, string>>();

  /** Takes all hosts, or none when a route of the other kind has one of them. */
  take(route: MatchedRoute, hosts: readonly string[]): Pick<Rival, 'host' | 'winner'> | undefined {
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
export function withoutRivals(route: AnyRoute, attached: Attached, rivals: readonly Rival[] | undefined): Attached {
  if (rivals === undefined) return attached;
  const lost = new Map(rivals.map((rival) => [rival.listener, rival]));
  const findings: Finding[] = [];
  const outcomes = attached.outcomes.map((outcome): ParentOutcome => {
    const { parent, attachments } = outcome;
    const gone = attachments.flatMap(({ listener }) => lost.get(`${parent.key}/${listener.name}`) ?? []);
    if (gone.length === 0) return outcome;
    const kept = attachments.filter(({ listener }) => !lost.has(`${parent.key}/${listener.name}`));
    const rival = gone[0]!;
    const message = rival.by === 'kind' ? lostByKind(rival, outcome, route) : lostByAge(rival, outcome, route);
    const field = rival.by === 'kind' ? '/spec/parentRefs' : '/spec/hostnames';
    const place = { field, message, related: [rival.winner] };
    if (kept.length > 0) {
      findings.push(warning('route.host-conflict', route, place));
      return { ...outcome, attachments: kept };
    }
    findings.push(error('route.host-conflict', route, place));
    return {
      ...outcome,
      attachments: kept,
      notAccepted: { reason: rival.by === 'kind' ? 'Conflicted' : 'HostnameConflict', message },
    };
  });
  return { outcomes, findings: [...attached.findings, ...findings] };
}

function lostByAge({ winner, host, listener }: Rival, { parent }: ParentOutcome, route: AnyRoute): string {
  const on = host === '*' ? 'every host' : `"${host}"`;
  return `${describeKey(winner)} has ${on} of listener "${listener.split('/').at(-1)}" of ${describeKey(parent.key)} and came first: one host is for HTTPRoutes or for GRPCRoutes, so ${describe(route)} is not served there`;
}

function lostByKind({ winner, listener }: Rival, { parent }: ParentOutcome, route: AnyRoute): string {
  const port = `port "${listener.split('/').at(-1)}" of ${describeKey(parent.key)}`;
  return `${describeKey(winner)} has ${port}, and routes of its kind go first: nobody follows ${describe(route)} there`;
}
