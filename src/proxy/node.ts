/**
 * A running proxy: applies plans, serves requests, drains. One per worker. The
 * live things (sockets, clusters) are kept here; what a plan says of them is in
 * the snapshot, which is swapped whole.
 */
import type { AskTo } from '../base/asking.ts';
import type { Clock } from '../base/clock.ts';
import type { FilterOrder, OrderAnswer } from '../base/filter-order.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { TimerWheel } from '../base/timers.ts';
import type { FilterDeclaration } from '../filter/declaration.ts';
import type { FilterCode } from '../filter/filter.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { NodeStats } from '../ir/node-stats.ts';
import type { PlanDelta, PlanFilter, PlanKeyPair, PlanSecret } from '../ir/plan.ts';
import type { ChainEnv } from './chain.ts';
import { filterEnv, type FilterLoans, type FilterSurroundings } from './filter-env.ts';
import type { PortRefusals, PortState, PortStates } from '../ir/port-state.ts';
import type { Resolver } from '../net/dns.ts';
import type { TicketKeys } from '../net/ticket-keys.ts';
import { ClientContexts } from '../net/tls-client.ts';
import { PortTls } from '../net/tls-server.ts';
import type { AccessLog } from '../observe/access-log.ts';
import type { TrafficMetrics } from '../observe/traffic-metrics.ts';
import { BoundPort } from './bound-port.ts';
import { Traces } from './call-tree.ts';
import { Cluster, type ClusterCounters, type ClusterEnv } from './cluster/cluster.ts';
import { firstAddresses } from './cluster/first-addresses.ts';
import { failingFilters } from './failing-filters.ts';
import type { AskForService } from './forward-proxy.ts';
import type { ConnectionSources } from './look/connections.ts';
import { ExchangeWatch } from './look/exchange-watch.ts';
import { answerTopic, type TopicsOptions } from './look/topics.ts';
import type { Node } from './node-types.ts';
import { Rule } from './rule.ts';
import type { ListeningPort } from './listening-port.ts';
import type { PortView, Runtime } from './runtime.ts';
import { Snapshot } from './snapshot.ts';
import { StreamTarget } from './stream-target.ts';
import { TraceIds } from './trace-ids.ts';
import { UdpPort } from './udp-port.ts';
import { LiveUpstreams } from './upstream/live-upstreams.ts';
import { connectorFor } from './upstream/cluster-connector.ts';

export interface ProxyNodeOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TrafficMetrics;
  readonly accessLog: AccessLog;
  readonly resolver: Resolver;
  /** Zone that it is in: `eu/a`. */
  readonly zone?: string;
  /** Asked by the first plan that names a filter: their schemas take memory in every worker. */
  readonly filters: (names: ReadonlySet<string>) => Promise<readonly Pick<FilterDeclaration, 'name' | 'load'>[]>;
  /** What filters may use of the process. */
  readonly loans: FilterLoans;
  /** Address for ports of the plan that name none (`*`). */
  readonly bind: string;
  /** Asked for services that forward-proxy ports are called for and the plan does not have; nobody is when absent. */
  readonly askForService?: AskForService;
  /** How long ports that leave the plan may still serve what runs there. */
  readonly drainMs: number;
  /** Several workers, or an old and a new process, listen on one port. */
  readonly reusePort: boolean;
  /** Shared by all workers, so that TLS sessions resume on any of them. */
  readonly ticketKeys: TicketKeys;
  /** How many proxies share what this one is asked for; 1 when absent. */
  readonly workers?: number;
  /** Makes a filter of an expression. @returns a text that says what is wrong with it */
  readonly requestFilter?: TopicsOptions['requestFilter'];
}

const noFilter = async (): Promise<string> => 'This proxy cannot filter';

interface Unmade {
  readonly rule: string;
  readonly planned: PlanFilter;
  readonly error: unknown;
}

export class ProxyNode implements Node {
  readonly #options: ProxyNodeOptions;
  readonly #runtime: Runtime;
  readonly #clusterEnv: ClusterEnv;
  readonly #live: LiveUpstreams;
  readonly #clusters = new Map<string, Cluster>();
  readonly #secrets = new Map<string, PlanSecret>();
  readonly #codes = new Map<string, FilterCode>();
  /** By the name of the filter: one object for each kind of filter at most. */
  readonly #shared = new Map<string, object>();
  readonly #bound = new Map<string, BoundPort | UdpPort>();
  /** Ports that have left the plan and still serve what began before. Bounded: each ends within `drainMs`. */
  readonly #leaving = new Set<ListeningPort>();
  readonly #states = new Map<string, PortState>();
  #snapshot = Snapshot.empty();
  #version: string | undefined;
  #draining = false;

  constructor(options: ProxyNodeOptions) {
    this.#options = options;
    const { clock, random, log, metrics, accessLog, resolver } = options;
    const wheel = new TimerWheel(clock);
    this.#runtime = {
      clock,
      wheel,
      random,
      log,
      metrics,
      accessLog,
      traceIds: new TraceIds(random),
      traces: new Traces(),
      watch: new ExchangeWatch(),
      dateValue: dateValues(clock),
    };
    this.#live = new LiveUpstreams(wheel);
    const contexts = new ClientContexts();
    this.#clusterEnv = {
      wheel,
      resolver,
      zone: options.zone ?? '',
      wallMs: () => clock.wallMs(),
      log: options.log,
      random,
      connectorFor: (key, plan, speech) =>
        connectorFor({
          key,
          plan,
          speech,
          wheel,
          contexts,
          secretOf: (name) => this.#keyPair(name),
          isOwnProxy: (to) => this.#isOwnProxy(to),
        }),
      countersFor: (key) => countersFor(key, metrics),
      live: this.#live,
    };
  }

  async apply(delta: PlanDelta, refused: PortRefusals = {}): Promise<ApplyResult> {
    if (delta.from !== this.#version) {
      return { kind: 'nack', version: delta.to, reason: `Delta starts from ${delta.from}, but ${this.#version} runs` };
    }
    const { resolver, clock } = this.#options;
    const release = await firstAddresses(Object.values(delta.set.clusters), resolver, clock);
    try {
      await this.#loadFilters(delta);
      this.#swap(delta);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { kind: 'nack', version: delta.to, reason };
    } finally {
      release();
    }
    return { kind: 'ack', version: delta.to, ports: await this.#bindAll(refused) };
  }

  /**
   * Code of filters that a plan names for the first time; a name that is not known is found by the swap. Then what
   * filters have to do before they are made, all at once.
   */
  async #loadFilters(delta: PlanDelta): Promise<void> {
    const rules = Object.values(delta.set.routes).flatMap((route) => route.rules);
    const named = rules.flatMap(({ name, filters, backends }) =>
      [...filters, ...backends.flatMap((backend) => backend.filters)].map((planned) => ({ rule: name, planned })),
    );
    if (named.length === 0) return;
    const names = new Set(named.map(({ planned }) => planned.filter));
    for (const declaration of await this.#options.filters(names)) {
      const { name } = declaration;
      if (names.has(name) && !this.#codes.has(name)) this.#codes.set(name, await declaration.load());
    }
    const around = this.#surroundings((key) => {
      throw new Error(`Cannot ask cluster "${key}" before the plan is taken over`);
    });
    await Promise.all(
      named.flatMap(({ rule, planned }): Promise<void>[] => {
        const code = this.#codes.get(planned.filter);
        if (code?.prepare === undefined) return [];
        return [code.prepare(planned.config as never, filterEnv(rule, planned, around))];
      }),
    );
  }

  #keyPair(key: string): PlanKeyPair | undefined {
    const secret = this.#secrets.get(key);
    return secret !== undefined && 'privateKeyPem' in secret ? secret : undefined;
  }

  #isOwnProxy({ address, port }: { readonly address: string; readonly port: number }): boolean {
    for (const [key, { view }] of this.#bound) {
      if (view.plan.protocol !== 'proxy') continue;
      const state = this.#states.get(key);
      if (state?.state !== 'bound' || state.port !== port) continue;
      if (state.address === address || (isUnspecified(state.address) && isLoopback(address))) return true;
    }
    return false;
  }

  #surroundings(cluster: (key: string) => Cluster): FilterSurroundings {
    const { clock, log, metrics, loans } = this.#options;
    const { wheel } = this.#runtime;
    const secretOf = (key: string): PlanSecret | undefined => this.#secrets.get(key);
    return { clock, wheel, log, metrics, loans, cluster, shared: this.#shared, secretOf };
  }

  rebind(refused: PortRefusals = {}): Promise<PortStates> {
    return this.#bindAll(refused);
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    const ports = [...this.#bound.values(), ...this.#leaving];
    for (const port of ports) port.drain(deadlineMs);
    const late = new Promise<void>((resolve) => this.#options.clock.after(deadlineMs, resolve));
    await Promise.race([late, Promise.all(ports.map((port) => port.quiet()))]);
    for (const port of ports) port.close();
    for (const cluster of this.#clusters.values()) cluster.close();
    this.#options.loans.programs.close();
    this.#options.accessLog.flush();
    this.#runtime.wheel.close();
  }

  stats(): NodeStats {
    let connections = 0;
    let exchanges = 0;
    for (const port of [...this.#bound.values(), ...this.#leaving]) {
      connections += port.connections;
      exchanges += port.exchanges;
    }
    const endpoints = Object.fromEntries([...this.#clusters].map(([key, cluster]) => [key, cluster.stats()]));
    const failing = failingFilters(this.#snapshot.rules());
    const used = [...this.#snapshot.listeners].flatMap(([key, { use }]) => (use.times > 0 ? [[key, use.times]] : []));
    return { version: this.#version, connections, exchanges, endpoints, used: Object.fromEntries(used), failing };
  }

  order(filter: string, order: FilterOrder): OrderAnswer {
    const code = this.#codes.get(filter);
    if (code?.order === undefined) return { kind: 'nobody' };
    try {
      return { kind: 'done', answer: code.order(order, this.#shared.get(filter)) };
    } catch (error) {
      if (error instanceof RangeError) return { kind: 'refused', reason: error.message };
      throw error;
    }
  }

  readonly ask: AskTo = (ask, asker) => answerTopic(ask, asker, this.#topics);

  get #topics(): TopicsOptions {
    const { clock, metrics, workers = 1, requestFilter = noFilter } = this.#options;
    const ports = [...this.#bound.values(), ...this.#leaving].filter((port) => port instanceof BoundPort);
    const connections: ConnectionSources = {
      workers,
      nowMs: () => clock.nowMs(),
      clients: () => ports.map((port) => [port.view, port.live()] as const),
      upstreams: () => this.#live,
      clusterPlan: (key) => this.#clusters.get(key)?.plan,
    };
    const asksOpen: TopicsOptions['asksOpen'] = (topic) => metrics.asksOpen(topic);
    return { clock, workers, requestFilter, watch: this.#runtime.watch, connections, asksOpen };
  }

  /** Everything in one turn: no request sees half of a change. Throws before anything is changed. */
  #swap(delta: PlanDelta): void {
    const added = new Map<string, Cluster>();
    const clusterOf = (key: string): Cluster => {
      const cluster = this.#clusters.get(key) ?? added.get(key);
      if (cluster === undefined) throw new Error(`Plan names cluster "${key}", which it does not hold`);
      return cluster;
    };
    /** One for each filter of an owner, however many rules it is on. */
    const unmade = new Map<string, Unmade>();
    const secretsBefore = new Map(this.#secrets);
    try {
      for (const [key, secret] of Object.entries(delta.set.secrets)) this.#secrets.set(key, secret);
      for (const [key, plan] of Object.entries(delta.set.clusters)) {
        if (!this.#clusters.has(key)) added.set(key, new Cluster(key, plan, this.#clusterEnv));
      }
      const env = {
        metrics: this.#options.metrics,
        cluster: clusterOf,
        chainEnv: (rule: string): ChainEnv => ({
          filters: this.#codes,
          envOf: (planned) => filterEnv(rule, planned, this.#surroundings(clusterOf)),
          onUnmade: (planned, error) => unmade.set(`${planned.owner} ${planned.filter}`, { rule, planned, error }),
        }),
      };
      const change = this.#snapshot.with(delta, {
        makeRule: (plan) => new Rule(plan, env),
        makeStream: (plan) => new StreamTarget(plan, env),
        makeGate: (plan) => this.#options.accessLog.gate(plan.settings.accessLog),
      });
      this.#commit(delta, change, added);
      for (const one of unmade.values()) this.#sayUnmade(one);
    } catch (error) {
      for (const cluster of added.values()) cluster.close();
      this.#secrets.clear();
      for (const [key, secret] of secretsBefore) this.#secrets.set(key, secret);
      throw error;
    }
  }

  #sayUnmade({ rule, planned: { filter, owner }, error }: Unmade): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log.error('A filter cannot be made: requests that it is for answer 500', {
      filter,
      owner,
      rule,
      reason,
    });
    this.#options.metrics.filterEvent(filter, 'unmade').add(1);
  }

  #commit(delta: PlanDelta, change: ReturnType<Snapshot['with']>, added: ReadonlyMap<string, Cluster>): void {
    for (const [key, cluster] of added) this.#clusters.set(key, cluster);
    for (const [key, plan] of Object.entries(delta.set.clusters)) {
      if (!added.has(key)) this.#clusters.get(key)!.update(plan);
    }
    for (const cluster of this.#clusters.values()) {
      const { clientCertificate } = cluster.plan.tls ?? {};
      if (clientCertificate !== undefined && clientCertificate.secret in delta.set.secrets) cluster.renewConnections();
    }
    this.#snapshot = change.snapshot;
    this.#version = delta.to;
    for (const key of delta.remove.secrets) this.#secrets.delete(key);
    for (const [key, port] of this.#bound) {
      const view = change.snapshot.ports.get(key);
      if (view !== undefined && view.plan.protocol === port.view.plan.protocol) this.#show(port, view);
    }
    for (const rule of change.retiredRules) rule.retire();
    for (const gate of change.retiredGates) gate.close();
    for (const key of delta.remove.clusters) {
      this.#clusters.get(key)?.close();
      this.#clusters.delete(key);
    }
    this.#retireMetrics(delta, change);
  }

  #show(port: BoundPort | UdpPort, view: PortView): void {
    if (port instanceof BoundPort) port.tls?.update(view.plan, this.#tlsListeners(view));
    port.show(view, this.#shortVersion());
  }

  /** Series of what has left the plan. A rule that was set again under its name keeps its own. */
  #retireMetrics(delta: PlanDelta, { retiredRules, retiredStreams }: ReturnType<Snapshot['with']>): void {
    const { metrics } = this.#options;
    const names = new Set(Object.values(delta.set.routes).flatMap(({ rules }) => rules.map(({ name }) => name)));
    for (const { name } of Object.values(delta.set.streams)) names.add(name);
    const gone = [...retiredRules, ...retiredStreams].map(({ name }) => name).filter((name) => !names.has(name));
    metrics.retire([...gone, ...delta.remove.clusters, ...delta.remove.ports]);
  }

  async #bindAll(refused: PortRefusals): Promise<PortStates> {
    if (this.#draining) return Object.fromEntries(this.#states);
    const { ports } = this.#snapshot;
    for (const [key, port] of this.#bound) {
      if (ports.get(key)?.plan.protocol === port.view.plan.protocol) continue;
      this.#bound.delete(key);
      this.#leave(port);
    }
    const jobs = [...ports].map(async ([key, view]): Promise<[string, PortState]> => {
      const before = this.#states.get(key);
      if (this.#bound.has(key) && before !== undefined) return [key, before];
      return [key, refused[key] ?? (await this.#bind(key, view))];
    });
    const states = await Promise.all(jobs);
    this.#states.clear();
    for (const [key, state] of states) this.#states.set(key, state);
    return Object.fromEntries(states);
  }

  /** What runs on a port that is not in the plan any more has as long to finish as in a drain of the whole process. */
  #leave(port: ListeningPort): void {
    const { clock, drainMs } = this.#options;
    this.#leaving.add(port);
    const stop = clock.after(drainMs, () => port.close());
    void port.quiet().then(() => {
      stop();
      this.#leaving.delete(port);
    });
    port.drain(drainMs);
  }

  async #bind(key: string, view: PortView): Promise<PortState> {
    const { bind, reusePort, ticketKeys, log } = this.#options;
    const { protocol, address } = view.plan;
    const options = {
      runtime: this.#runtime,
      view,
      planVersion: this.#shortVersion(),
      address: address === '*' ? bind : address,
      reusePort,
    };
    const tls = protocol === 'tls' ? this.#makeTls(view, ticketKeys) : undefined;
    const port =
      protocol === 'udp'
        ? new UdpPort(options)
        : new BoundPort({ ...options, tls, askForService: this.#options.askForService });
    const state = await port.bind();
    if (state.state === 'failed') {
      log.debug('A port could not be bound', { port: key, error: state.error });
      return state;
    }
    this.#bound.set(key, port);
    // The plan may have changed while the port was being bound.
    const now = this.#snapshot.ports.get(key);
    if (now !== undefined) this.#show(port, now);
    return state;
  }

  #makeTls(view: PortView, ticketKeys: TicketKeys): PortTls {
    const tls = new PortTls({
      metrics: this.#options.metrics.port(view.key),
      wheel: this.#runtime.wheel,
      log: this.#options.log,
      ticketKeys,
      wallMs: () => this.#options.clock.wallMs(),
    });
    tls.update(view.plan, this.#tlsListeners(view));
    return tls;
  }

  #tlsListeners(view: PortView): Parameters<PortTls['update']>[1] {
    const listeners = [...this.#snapshot.listeners.values()].filter(({ plan }) => plan.port === view.key);
    return listeners.flatMap(({ plan }) =>
      plan.tls === undefined
        ? []
        : [
            {
              hostname: plan.hostname,
              alsoNamed: plan.alsoNamed ?? [],
              tls: plan.tls,
              alpn: plan.stream === undefined ? plan.settings.httpVersions : [],
              secrets: plan.tls.certificates.flatMap(({ secret }) => this.#keyPair(secret) ?? []),
              challenge: this.#keyPair(plan.tls.acme?.challenge?.secret ?? ''),
            },
          ],
    );
  }

  #shortVersion(): string {
    return this.#version?.slice(0, 12) ?? '';
  }
}

const isUnspecified = (address: string): boolean => address === '0.0.0.0' || address === '::';
const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

function countersFor(key: string, metrics: TrafficMetrics): ClusterCounters {
  const cluster = metrics.cluster(key);
  return {
    opened: () => cluster.connectionsOpened.add(1),
    reused: () => cluster.connectionsReused.add(1),
    failed: () => cluster.connectionsFailed.add(1),
    open: (change) => cluster.connectionsOpen.add(change),
    idle: (change) => cluster.connectionsIdle.add(change),
    waiting: (change) => cluster.queueWaiting.add(change),
    retried: () => cluster.retries.add(1),
    withheld: () => cluster.retriesWithheld.add(1),
    replayed: () => cluster.replays.add(1),
    mirrored: () => cluster.mirrors.add(1),
    attempt: (status, durationMs) => cluster.attemptEnded(status, durationMs),
    unhealthy: (change) => cluster.endpointsUnhealthy.add(change),
    panic: (change) => cluster.panic.add(change),
  };
}

/** The `Date` value, made once a second (RFC 9110 section 5.6.7). */
function dateValues(clock: Clock): () => string {
  let second = 0;
  let text = '';
  return () => {
    const now = Math.floor(clock.wallMs() / 1_000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1_000).toUTCString();
    }
    return text;
  };
}
