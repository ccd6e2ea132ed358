/** A real proxy on a free port of the loopback, in this thread, with real upstreams: for tests of this room. */
import http from 'node:http';
import type net from 'node:net';
import { systemClock } from '../../base/clock.ts';
import { forwardingLog, silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FILTER_CELLS_BYTES, FILTER_MARKS_BYTES } from '../../base/limits.ts';
import type { FilterDeclaration } from '../../filter/declaration.ts';
import type { FilterLoans } from '../filter-env.ts';
import type { PlanCluster, PlanDelta, PlanListener, PlanPort, PlanRoute, PlanRule } from '../../ir/plan.ts';
import { CLUSTER, HTTP_LISTENER, HTTP_PORT } from '../../ir/testing/plans.ts';
import { Resolver } from '../../net/dns.ts';
import { TicketKeys } from '../../net/ticket-keys.ts';
import { AccessLog } from '../../observe/access-log.ts';
import { MetricsReader } from '../../observe/metrics-reader.ts';
import { WorkerMetrics } from '../../observe/metrics.ts';
import { allocateSlab } from '../../observe/slab.ts';
import { TrafficMetrics } from '../../observe/traffic-metrics.ts';
import { ProxyNode, type ProxyNodeOptions } from '../node.ts';

export const PORT: PlanPort = { ...HTTP_PORT, address: '127.0.0.1', port: 0 };

export const LISTENER: PlanListener = {
  ...HTTP_LISTENER,
  port: '127.0.0.1:0',
  settings: {
    ...HTTP_LISTENER.settings,
    accessLog: { enabled: true, linesPerSecond: 1_000, sample: 1, headers: [], query: 'omit' },
  },
};

/** Waits that a test can sit out. */
const SETTINGS = { ...CLUSTER.settings, connectMs: 1_000, idleMs: 5_000, keepAliveMs: 5_000 };

export function clusterTo(ports: readonly number[], more: Partial<PlanCluster> = {}): PlanCluster {
  const endpoints = ports.map((port) => ({ address: '127.0.0.1', port, weight: 1 }));
  return { ...CLUSTER, settings: SETTINGS, endpoints, ...more };
}

/** A rule for every path that sends to cluster `c`. */
export function ruleTo(more: Partial<PlanRule> = {}): PlanRule {
  return {
    name: 'HTTPRoute/d/r/0',
    matches: [{ path: { kind: 'prefix', value: '/' }, headers: [], query: [] }],
    filters: [],
    backends: [{ target: { kind: 'cluster', cluster: 'c' }, weight: 1, filters: [] }],
    mirrors: [],
    timeouts: {},
    ...more,
  };
}

export function routeOf(...rules: readonly PlanRule[]): PlanRoute {
  return { createdMs: 1, attach: [{ listener: 'l', hosts: ['*'] }], rules };
}

const LOANS: FilterLoans = {
  fetch: (url, init) => globalThis.fetch(url, init),
  cells: new SharedArrayBuffer(FILTER_CELLS_BYTES),
  marks: new SharedArrayBuffer(FILTER_MARKS_BYTES),
  worker: { number: 1, of: 1 },
  clockOffsetMs: 0,
  redis: undefined,
  programs: {
    open() {
      throw new Error('The test has no programs');
    },
    close: () => undefined,
  },
  randomBytes,
  readFile: (path) => readFileSync(path),
  watchFile: () => () => undefined,
};

const NOTHING = { ports: [], listeners: [], routes: [], streams: [], clusters: [], secrets: [] };

export class Harness implements AsyncDisposable {
  readonly node: ProxyNode;
  readonly log: Record<string, unknown>[] = [];
  /** Warnings and errors of the log. */
  readonly said: Record<string, unknown>[] = [];
  readonly metrics = new MetricsReader();
  port = 0;
  #version = 0;
  readonly #accessLog: AccessLog;
  readonly #resolver: Resolver;

  constructor(
    filters: readonly FilterDeclaration[] = [],
    drainMs: number = 5_000,
    more: Partial<ProxyNodeOptions> = {},
  ) {
    const random = systemRandom();
    const slab = allocateSlab(1_000);
    this.metrics.join('1', slab);
    this.#accessLog = new AccessLog({
      clock: systemClock,
      random,
      flush: (batch) => {
        for (const line of batch.trimEnd().split('\n')) this.log.push(JSON.parse(line) as Record<string, unknown>);
      },
    });
    this.#resolver = new Resolver({ clock: systemClock, random, log: silentLog });
    this.node = new ProxyNode({
      clock: systemClock,
      random,
      log: forwardingLog('warn', (_, message, fields) => this.said.push({ message, ...fields })),
      metrics: new TrafficMetrics(new WorkerMetrics({ slab, announce: (event) => this.metrics.announced('1', event) })),
      accessLog: this.#accessLog,
      resolver: this.#resolver,
      filters: async () => filters,
      loans: LOANS,
      bind: '127.0.0.1',
      drainMs,
      reusePort: false,
      ticketKeys: new TicketKeys(new Uint8Array(48)),
      ...more,
    });
  }

  /** The first plan: one port, one listener, and these parts. */
  async start(set: Partial<PlanDelta['set']>, port: Partial<PlanPort> = {}): Promise<void> {
    const result = await this.#apply(undefined, {
      ports: { '127.0.0.1:0': { ...PORT, ...port } },
      listeners: { l: LISTENER },
      ...set,
    });
    const state = result.kind === 'ack' ? result.ports['127.0.0.1:0'] : undefined;
    if (state?.state !== 'bound') throw new Error(`Cannot start: ${JSON.stringify(result)}`);
    this.port = state.port;
  }

  change(set: Partial<PlanDelta['set']>, remove: Partial<PlanDelta['remove']> = {}): ReturnType<ProxyNode['apply']> {
    return this.#apply(String(this.#version), set, remove);
  }

  async #apply(
    from: string | undefined,
    set: Partial<PlanDelta['set']>,
    remove: Partial<PlanDelta['remove']> = {},
  ): ReturnType<ProxyNode['apply']> {
    const empty = { ports: {}, listeners: {}, routes: {}, streams: {}, clusters: {}, secrets: {} };
    const to = String(this.#version + 1);
    const result = await this.node.apply({ from, to, set: { ...empty, ...set }, remove: { ...NOTHING, ...remove } });
    if (result.kind === 'ack') this.#version++;
    return result;
  }

  /** Lines of the access log so far. */
  lines(): Record<string, unknown>[] {
    this.#accessLog.flush();
    return this.log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.drain(0);
    this.#accessLog.close();
    this.#resolver.close();
  }
}

/** A real upstream that runs `answer` for each request. */
export class Upstream implements AsyncDisposable {
  readonly server: http.Server;
  port = 0;

  private constructor(answer: http.RequestListener) {
    this.server = http.createServer(answer);
  }

  static async start(answer: http.RequestListener): Promise<Upstream> {
    const upstream = new Upstream(answer);
    await new Promise<void>((resolve) => upstream.server.listen(0, '127.0.0.1', resolve));
    upstream.port = (upstream.server.address() as net.AddressInfo).port;
    return upstream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export interface Got {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** One request with a client of Node's own. */
export function request(port: number, options: http.RequestOptions & { body?: string | Buffer } = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = http.request({ host: '127.0.0.1', port, agent: false, ...options }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (bytes: Buffer) => pieces.push(bytes));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(pieces).toString() }),
      );
    });
    sent.on('error', reject);
    sent.end(options.body);
  });
}
