/** A cluster without upstreams, on a clock that stands still: for tests of which endpoint is picked. */
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { ManualClock } from '../../base/testing/manual-clock.ts';
import { TimerWheel } from '../../base/timers.ts';
import type { PlanCluster } from '../../ir/plan.ts';
import { CLUSTER } from '../../ir/testing/plans.ts';
import type { SrvRecord } from '../../net/srv-query.ts';
import type { NameState } from '../../net/watched-name.ts';
import type { Names } from '../cluster/addresses.ts';
import { Cluster } from '../cluster/cluster.ts';
import type { Endpoint } from '../upstream/endpoint.ts';
import { LiveUpstreams } from '../upstream/live-upstreams.ts';

/** Says what a test wants DNS to say. */
export class FakeNames implements Names {
  readonly watched = new Set<string>();
  readonly #states = new Map<string, NameState<string>>();
  readonly #services = new Map<string, NameState<SrvRecord>>();
  readonly #watchers = new Map<string, Set<() => void>>();

  say(name: string, ...found: readonly string[]): void {
    this.#states.set(name, { found, resolvedMs: 0, failure: undefined });
    for (const tell of this.#watchers.get(name) ?? []) tell();
  }

  sayService(name: string, ...records: readonly SrvRecord[]): void {
    this.#services.set(name, { found: records, resolvedMs: 0, failure: undefined });
    for (const tell of this.#watchers.get(name) ?? []) tell();
  }

  fail(name: string, failure: string): void {
    for (const states of [this.#states, this.#services] as Map<string, NameState<never>>[]) {
      const state = states.get(name);
      if (state !== undefined) states.set(name, { ...state, failure });
    }
  }

  watch(name: string, onAddresses: (addresses: readonly string[]) => void): () => void {
    return this.#watch(name, () => {
      const state = this.#states.get(name);
      if (state !== undefined) onAddresses(state.found);
    });
  }

  watchService(name: string, onRecords: (records: readonly SrvRecord[]) => void): () => void {
    return this.#watch(name, () => {
      const state = this.#services.get(name);
      if (state !== undefined) onRecords(state.found);
    });
  }

  state(name: string): NameState<string> | undefined {
    return this.#states.get(name);
  }

  serviceState(name: string): NameState<SrvRecord> | undefined {
    return this.#services.get(name);
  }

  #watch(name: string, tell: () => void): () => void {
    const watchers = this.#watchers.get(name) ?? new Set();
    this.#watchers.set(name, watchers.add(tell));
    this.watched.add(name);
    queueMicrotask(() => watchers.has(tell) && tell());
    return () => {
      watchers.delete(tell);
      if (watchers.size === 0) this.watched.delete(name);
    };
  }
}

export class ClusterBed implements Disposable {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock);
  readonly names = new FakeNames();
  readonly cluster: Cluster;

  constructor(plan: Partial<PlanCluster>, zone = '') {
    const nothing = (): void => undefined;
    this.cluster = new Cluster(
      'c',
      { ...CLUSTER, ...plan },
      {
        wheel: this.wheel,
        random: seededRandom(1, 2, 3, 4),
        log: silentLog,
        resolver: this.names,
        zone,
        live: new LiveUpstreams(this.wheel),
        wallMs: () => this.clock.wallMs(),
        connectorFor: () => ({ connect: () => nothing }),
        countersFor: () => ({
          opened: nothing,
          reused: nothing,
          failed: nothing,
          open: nothing,
          idle: nothing,
          waiting: nothing,
          retried: nothing,
          withheld: nothing,
          replayed: nothing,
          mirrored: nothing,
          attempt: nothing,
          unhealthy: nothing,
          panic: nothing,
        }),
      },
    );
  }

  update(plan: Partial<PlanCluster>): void {
    this.cluster.update({ ...CLUSTER, ...plan });
  }

  advance(ms: number): void {
    this.clock.advance(ms);
    this.wheel.readMs();
  }

  at(address: string): Endpoint {
    return this.cluster.endpoints.find((endpoint) => endpoint.address === address)!;
  }

  /** How often each address is picked. */
  picked(times: number): Record<string, number> {
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i++) {
      const { address } = this.cluster.pick(undefined) as Endpoint;
      counts[address] = (counts[address] ?? 0) + 1;
    }
    return counts;
  }

  [Symbol.dispose](): void {
    this.cluster.close();
    this.wheel.close();
  }
}
