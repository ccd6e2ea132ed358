/**
 * A cluster: the endpoints behind one backend, live. It stays the same object
 * while its key is in the plan; a new plan changes its endpoints in place, and
 * those that remain keep their connections.
 */
import { isIP } from 'node:net';
import { Fault } from '../../base/fault.ts';
import type { Resolver } from '../../net/dns.ts';
import type { PlanCluster, PlanEndpoint } from '../../ir/plan.ts';
import type { EndpointStats } from '../../ir/node-stats.ts';
import { Endpoint, type EndpointOptions } from '../upstream/endpoint.ts';
import type { EndpointCounters } from '../upstream/pool.ts';
import { namesOf } from './first-addresses.ts';
import { HealthChecks, type HealthEnv } from './health.ts';
import { pickWeighted } from './pick.ts';
import type { LiveUpstreams } from '../upstream/live-upstreams.ts';
import { RetryBudget } from './retry-budget.ts';

/** What a cluster needs of its worker. */
export interface ClusterEnv {
  readonly wheel: EndpointOptions['wheel'];
  readonly resolver: Pick<Resolver, 'watch'>;
  readonly log: HealthEnv['log'];
  readonly random: HealthEnv['random'];
  connectorFor(key: string, plan: PlanCluster, speech: 'as-planned' | 'clear'): EndpointOptions['connector'];
  countersFor(key: string): ClusterCounters;
  /** Open connections of all clusters. */
  readonly live: LiveUpstreams;
}

export interface ClusterCounters extends EndpointCounters {
  retried(): void;
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
  #byName = new Map<string, Endpoint>();
  #resolved = new Map<string, readonly string[]>();
  #watches = new Map<string, () => void>();
  #health: HealthChecks | undefined;
  #closed = false;

  constructor(key: string, plan: PlanCluster, env: ClusterEnv) {
    this.key = key;
    this.#plan = plan;
    this.#env = env;
    this.counters = env.countersFor(key);
    this.#budget = new RetryBudget(plan.settings.retryBudget);
    this.#health = this.#makeHealth();
    this.#watchNames();
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
      for (const endpoint of this.#byName.values()) endpoint.retire();
      this.#byName = new Map();
      this.#budget = new RetryBudget(plan.settings.retryBudget);
    }
    if (JSON.stringify(before.health) !== JSON.stringify(plan.health)) {
      this.#health?.close();
      this.#health = this.#makeHealth();
    }
    this.#watchNames();
    this.#rebuild();
  }

  /** Our certificate was renewed: new requests go on new connections, those under way end where they are. */
  renewConnections(): void {
    for (const endpoint of this.#byName.values()) endpoint.renew();
  }

  /** @param avoid  an endpoint that just failed; another is taken when there is one */
  pick(avoid: Endpoint | undefined): Endpoint | Fault {
    if (this.#plan.tls?.state === 'invalid') {
      return new Fault('upstream.tls-failed', `${this.key}: the TLS policy of the backend is not valid`);
    }
    const endpoint = pickWeighted(this.#endpoints, avoid, this.#env.wheel.nowMs);
    return endpoint ?? new Fault('upstream.no-endpoint', `${this.key}: no endpoint`);
  }

  /** Out of the plan: running exchanges may finish, nothing is kept. */
  close(): void {
    this.#closed = true;
    for (const stop of this.#watches.values()) stop();
    this.#watches.clear();
    this.#health?.close();
    for (const endpoint of this.#byName.values()) endpoint.retire();
  }

  stats(): EndpointStats[] {
    return this.#endpoints.map((endpoint) => ({
      address: endpoint.address,
      port: endpoint.port,
      connections: endpoint.connections,
      idle: endpoint.idleConnections,
      ...(this.#health !== undefined && { health: endpoint.probed }),
      ...(endpoint.resolvedFrom === undefined ? {} : { resolvedFrom: endpoint.resolvedFrom }),
    }));
  }

  #watchNames(): void {
    const names = namesOf(this.#plan);
    for (const [name, stop] of this.#watches) {
      if (names.has(name)) continue;
      stop();
      this.#watches.delete(name);
      this.#resolved.delete(name);
    }
    for (const name of names) {
      if (this.#watches.has(name)) continue;
      const stop = this.#env.resolver.watch(name, (addresses) => {
        this.#resolved.set(name, addresses);
        if (!this.#closed) this.#rebuild();
      });
      this.#watches.set(name, stop);
    }
  }

  #rebuild(): void {
    const next = new Map<string, Endpoint>();
    for (const planned of this.#plan.endpoints) {
      for (const address of isIP(planned.address) !== 0
        ? [planned.address]
        : (this.#resolved.get(planned.address) ?? [])) {
        const name = `${address} ${planned.port} ${planned.weight}${planned.clear === true ? ' clear' : ''}`;
        if (!next.has(name)) next.set(name, this.#byName.get(name) ?? this.#makeEndpoint(address, planned));
      }
    }
    for (const [name, endpoint] of this.#byName) if (!next.has(name)) endpoint.retire();
    this.#byName = next;
    this.#endpoints = [...next.values()];
    this.#health?.watch(this.#endpoints);
  }

  #makeEndpoint(address: string, planned: PlanEndpoint): Endpoint {
    const { live } = this.#env;
    const speech = planned.clear === true ? 'clear' : 'as-planned';
    return new Endpoint({
      cluster: this.key,
      address,
      port: planned.port,
      weight: planned.weight,
      resolvedFrom: address === planned.address ? undefined : planned.address,
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
