/**
 * A cluster: the endpoints behind one backend, live. It stays the same object
 * while its key is in the plan; a new plan changes its endpoints in place, and
 * those that remain keep their connections.
 */
import { Fault } from '../../base/fault.ts';
import type { PlanCluster } from '../../ir/plan.ts';
import type { EndpointStats } from '../../ir/node-stats.ts';
import { Endpoint, type EndpointOptions } from '../upstream/endpoint.ts';
import type { EndpointCounters } from '../upstream/pool.ts';
import { Addresses, type Names, type Placed } from './addresses.ts';
import { HealthChecks, type HealthEnv } from './health.ts';
import { distanceOf, Levels, rankOf } from './levels.ts';
import type { LiveUpstreams } from '../upstream/live-upstreams.ts';
import { RetryBudget } from './retry-budget.ts';

/** What a cluster needs of its worker. */
export interface ClusterEnv {
  readonly wheel: EndpointOptions['wheel'];
  readonly resolver: Names;
  /** Zone that the proxy is in; empty where nobody has said. */
  readonly zone: string;
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number;
  readonly log: HealthEnv['log'];
  readonly random: HealthEnv['random'];
  connectorFor(key: string, plan: PlanCluster, speech: 'as-planned' | 'clear'): EndpointOptions['connector'];
  countersFor(key: string): ClusterCounters;
  /** Open connections of all clusters. */
  readonly live: LiveUpstreams;
}

export interface ClusterCounters extends EndpointCounters {
  retried(): void;
  withheld(): void;
  replayed(): void;
  mirrored(): void;
  attempt(statusClass: number, durationMs: number): void;
  unhealthy(change: number): void;
  panic(change: number): void;
}

export class Cluster {
  readonly key: string;
  readonly counters: ClusterCounters;
  readonly #env: ClusterEnv;
  #plan: PlanCluster;
  #budget: RetryBudget;
  #endpoints: readonly Endpoint[] = [];
  /** By `address:port`, so that an endpoint survives a new plan. */
  #byName = new Map<string, Known>();
  readonly #addresses: Addresses;
  #levels = new Levels(new Map());
  #health: HealthChecks | undefined;
  #closed = false;

  constructor(key: string, plan: PlanCluster, env: ClusterEnv) {
    this.key = key;
    this.#plan = plan;
    this.#env = env;
    this.counters = env.countersFor(key);
    this.#budget = new RetryBudget(plan.settings.retryBudget);
    this.#health = this.#makeHealth();
    this.#addresses = new Addresses(env.resolver, () => {
      if (!this.#closed) this.#rebuild();
    });
    this.#addresses.watch(plan);
    this.#rebuild();
  }

  #makeHealth(): HealthChecks | undefined {
    const { health } = this.#plan;
    if (health === undefined) return undefined;
    const { wheel, random, log } = this.#env;
    const { counters } = this;
    return new HealthChecks(this.key, health, {
      wheel,
      random,
      log,
      unhealthy: (change) => counters.unhealthy(change),
      panic: (change) => counters.panic(change),
    });
  }

  get plan(): PlanCluster {
    return this.#plan;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  get budget(): RetryBudget {
    return this.#budget;
  }

  /** Takes a new plan. Changed settings or TLS mean new connections; old ones finish what they carry. */
  update(plan: PlanCluster): void {
    const before = this.#plan;
    this.#plan = plan;
    const same = ['protocol', 'tls', 'settings'] as const;
    if (same.some((part) => JSON.stringify(before[part]) !== JSON.stringify(plan[part]))) {
      for (const { endpoint } of this.#byName.values()) endpoint.retire();
      this.#byName = new Map([...this.#byName].map(([name, known]) => [name, { ...known, isOld: true }]));
      this.#budget = new RetryBudget(plan.settings.retryBudget);
    }
    if (JSON.stringify(before.health) !== JSON.stringify(plan.health)) {
      this.#health?.close();
      this.#health = this.#makeHealth();
    }
    this.#addresses.watch(plan);
    this.#rebuild();
  }

  /** Our certificate was renewed: new requests go on new connections, those under way end where they are. */
  renewConnections(): void {
    for (const { endpoint } of this.#byName.values()) endpoint.renew();
  }

  /** @param avoid  an endpoint that just failed; another is taken when there is one */
  pick(avoid: Endpoint | undefined): Endpoint | Fault {
    if (this.#plan.tls?.state === 'invalid') {
      return new Fault('upstream.tls-failed', `${this.key}: the TLS policy of the backend is not valid`);
    }
    const endpoint = this.#levels.pick(avoid, this.#env.wheel.nowMs);
    return endpoint ?? new Fault('upstream.no-endpoint', `${this.key}: no endpoint`);
  }

  /** Out of the plan: running exchanges may finish, nothing is kept. */
  close(): void {
    this.#closed = true;
    this.#addresses.close();
    this.#health?.close();
    for (const { endpoint } of this.#byName.values()) endpoint.retire();
  }

  stats(): EndpointStats[] {
    return [...this.#byName.values()].map(({ endpoint, placed, rank, sinceMs }) => {
      const { resolvedFrom, planned } = placed;
      const stale = resolvedFrom === undefined ? undefined : this.#addresses.failureOf(placed);
      const level = this.#levels.of(rank);
      return {
        address: endpoint.address,
        port: endpoint.port,
        connections: endpoint.connections,
        idle: endpoint.idleConnections,
        sinceMs,
        ...(this.#health !== undefined && { health: endpoint.probed }),
        ...(resolvedFrom !== undefined && { resolvedFrom }),
        ...(stale !== undefined && { stale }),
        ...(planned.zone !== undefined && { zone: planned.zone }),
        ...(level !== undefined && { level }),
      };
    });
  }

  #rebuild(): void {
    const { zone, wallMs } = this.#env;
    const { locality } = this.#plan.settings;
    const next = new Map<string, Known>();
    const ranked = new Map<number, Endpoint[]>();
    for (const placed of this.#addresses.place(this.#plan.endpoints)) {
      const { address, port, weight, priority, planned } = placed;
      const name = `${address} ${port}${planned.clear === true ? ' clear' : ''}`;
      if (next.has(name)) continue;
      const known = this.#byName.get(name);
      const endpoint = known === undefined || known.isOld ? this.#makeEndpoint(placed) : known.endpoint;
      endpoint.weight = weight;
      const rank = rankOf(priority, distanceOf(planned, zone, locality));
      next.set(name, { endpoint, placed, rank, sinceMs: known?.sinceMs ?? wallMs(), isOld: false });
      const level = ranked.get(rank);
      if (level === undefined) ranked.set(rank, [endpoint]);
      else level.push(endpoint);
    }
    for (const [name, { endpoint }] of this.#byName) if (!next.has(name)) endpoint.retire();
    this.#byName = next;
    this.#endpoints = [...next.values()].map(({ endpoint }) => endpoint);
    this.#levels = new Levels(ranked, locality);
    this.#health?.watch(this.#endpoints);
  }

  #makeEndpoint({ address, port, weight, planned }: Placed): Endpoint {
    const { live } = this.#env;
    const speech = planned.clear === true ? 'clear' : 'as-planned';
    return new Endpoint({
      cluster: this.key,
      address,
      port,
      weight,
      protocol: this.#plan.protocol,
      settings: this.#plan.settings,
      connector: this.#env.connectorFor(this.key, this.#plan, speech),
      wheel: this.#env.wheel,
      counters: this.counters,
      log: this.#env.log,
      onOpened: (socket, conn) => live.add(socket, { conn, cluster: this.key, speech }),
    });
  }
}

/** An endpoint, and what is known of where it comes from. */
interface Known {
  readonly endpoint: Endpoint;
  readonly placed: Placed;
  /** See {@link rankOf}. */
  readonly rank: number;
  /** When it was first there, in milliseconds since the epoch. */
  readonly sinceMs: number;
  /** It was retired, because of other settings, and another one takes its place. */
  readonly isOld: boolean;
}
