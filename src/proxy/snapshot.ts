/**
 * What a proxy makes of a plan. Immutable: a change makes a new snapshot that
 * shares with the old one whatever did not change, and the old one is let go.
 */
import { Forwarding } from '../http/forwarded.ts';
import type { ClientWire } from '../http/serve-conn.ts';
import type { HttpVersion, PlanDelta, PlanListener, PlanPort, PlanStream } from '../ir/plan.ts';
import type { LogGate } from '../observe/access-log.ts';
import type { TreePlace } from './call-tree.ts';
import { PortListeners } from './listener-table.ts';
import { RouteTables } from './route-table.ts';
import type { Rule } from './rule.ts';
import type { Hop, ListenerView, PortView } from './runtime.ts';
import { StreamTable } from './stream-table.ts';
import type { StreamTarget } from './stream-target.ts';

export interface SnapshotEnv {
  makeRule(plan: Rule['plan']): Rule;
  makeStream(plan: PlanStream): StreamTarget;
  makeGate(plan: PlanListener): LogGate;
}

export interface SnapshotChange {
  readonly snapshot: Snapshot;
  /** Rules and gates that the new snapshot does not hold. */
  readonly retiredRules: readonly Rule[];
  readonly retiredGates: readonly LogGate[];
  readonly retiredStreams: readonly StreamTarget[];
}

interface SnapshotParts {
  readonly tables: RouteTables<Rule>;
  readonly streams: StreamTable;
  readonly ports: ReadonlyMap<string, PlanPort>;
  readonly listeners: ReadonlyMap<string, ListenerView>;
}

export class Snapshot {
  readonly version: string;
  readonly #tables: RouteTables<Rule>;
  readonly #streams: StreamTable;
  readonly #ports: ReadonlyMap<string, PlanPort>;
  readonly #listeners: ReadonlyMap<string, ListenerView>;
  readonly #views: ReadonlyMap<string, PortView>;

  private constructor(version: string, { tables, streams, ports, listeners }: SnapshotParts) {
    this.version = version;
    this.#tables = tables;
    this.#streams = streams;
    this.#ports = ports;
    this.#listeners = listeners;
    this.#views = viewsOf(ports, listeners);
  }

  static empty(): Snapshot {
    return new Snapshot('', {
      tables: RouteTables.empty<Rule>(),
      streams: StreamTable.empty(),
      ports: new Map(),
      listeners: new Map(),
    });
  }

  rules(): Iterable<Rule> {
    return this.#tables.rules();
  }

  get ports(): ReadonlyMap<string, PortView> {
    return this.#views;
  }

  get listeners(): ReadonlyMap<string, ListenerView> {
    return this.#listeners;
  }

  /**
   * The snapshot after `delta`; this one stays as it is.
   *
   * @throws {Error} on a plan that names what it does not hold: the delta is refused whole
   */
  with(delta: PlanDelta, env: SnapshotEnv): SnapshotChange {
    const { tables, retired } = this.#tables.with({ set: delta.set.routes, remove: delta.remove.routes }, (rule) =>
      env.makeRule(rule),
    );
    const { table: streams, retired: retiredStreams } = this.#streams.with(delta, (plan) => env.makeStream(plan));
    const ports = edited(this.#ports, delta.set.ports, delta.remove.ports);
    const listeners = new Map<string, ListenerView>();
    const retiredGates: LogGate[] = [];
    for (const [key, view] of this.#listeners) {
      const gone = delta.remove.listeners.includes(key) || key in delta.set.listeners;
      if (gone) retiredGates.push(view.gate);
      else listeners.set(key, withRoutes(view, tables, streams));
    }
    for (const [key, plan] of Object.entries(delta.set.listeners)) {
      if (!ports.has(plan.port)) throw new Error(`Listener "${key}" names port "${plan.port}", which is not there`);
      const found = { routes: tables.listener(key), streams: streams.listener(key) };
      listeners.set(key, {
        key,
        plan,
        ...found,
        tree: treePlaceOf(plan),
        forwarding: forwardingOf(plan),
        gate: env.makeGate(plan),
        use: this.#listeners.get(key)?.use ?? { times: 0 },
      });
    }
    const snapshot = new Snapshot(delta.to, { tables, streams, ports, listeners });
    return { snapshot, retiredRules: retired, retiredGates, retiredStreams };
  }
}

function treePlaceOf({ callTree, chosenBy }: PlanListener): TreePlace | undefined {
  // What comes there is for the application, which makes calls of its own.
  if (chosenBy === 'server-name') return 'enter';
  return callTree ?? (chosenBy === 'authority' ? 'join' : undefined);
}

function forwardingOf({ settings, publicPort }: PlanListener): Forwarding {
  const { trustedHops, forwarded, clientCertificate: certificate } = settings;
  return new Forwarding({ trustedHops, publicPort, standard: forwarded ? 'write' : 'omit', certificate });
}

/** The view itself when nothing changed for it, so that unchanged ports are shared. */
function withRoutes(view: ListenerView, tables: RouteTables<Rule>, table: StreamTable): ListenerView {
  const routes = tables.listener(view.key);
  const streams = table.listener(view.key);
  return routes === view.routes && streams === view.streams ? view : { ...view, routes, streams };
}

function edited<V>(
  map: ReadonlyMap<string, V>,
  set: Readonly<Record<string, V>>,
  remove: readonly string[],
): ReadonlyMap<string, V> {
  const next = new Map(map);
  for (const key of remove) next.delete(key);
  for (const [key, value] of Object.entries(set)) next.set(key, value);
  return next;
}

function viewsOf(
  ports: ReadonlyMap<string, PlanPort>,
  listeners: ReadonlyMap<string, ListenerView>,
): ReadonlyMap<string, PortView> {
  const byPort = new Map<string, [string, ListenerView][]>();
  for (const view of listeners.values()) {
    const rows = byPort.get(view.plan.port) ?? [];
    for (const name of [view.plan.hostname, ...(view.plan.alsoNamed ?? [])]) rows.push([name, view]);
    byPort.set(view.plan.port, rows);
  }
  const views = new Map<string, PortView>();
  for (const [key, plan] of ports) {
    const rows = byPort.get(key) ?? [];
    const endsTls = rows.some(([, view]) => view.plan.tls !== undefined);
    const byAuthority = plan.protocol === 'proxy';
    const clearWire = byAuthority ? 'http/1.1' : clearWireOf(rows.map(([, view]) => view));
    const hop = byAuthority ? 'sidecar-outbound' : hopOf(rows[0]?.[1].key ?? '');
    views.set(key, { key, hop, plan, listeners: new PortListeners(rows), clearWire, byAuthority, endsTls });
  }
  return views;
}

/** @param listener  key of any listener of the port: all are of one kind */
function hopOf(listener: string): Hop {
  if (listener.startsWith('Inbound/')) return 'sidecar-inbound';
  return listener.startsWith('Service/') || listener.startsWith('Workload/') ? 'sidecar-outbound' : 'gateway';
}

/** What may be spoken in clear text where these listeners are. */
export function clearWireOf(views: readonly ListenerView[]): ClientWire {
  const speaks = (version: HttpVersion): boolean =>
    views.some(({ plan }) => plan.settings.httpVersions.includes(version));
  if (!speaks('h2')) return 'http/1.1';
  return speaks('http/1.1') ? 'look' : 'h2';
}
