/**
 * One address of a cluster and the connections to it, in a pool for each kind. Requests that find no place wait,
 * bounded, for a connection that is being made or for a place that is given back, whichever comes first.
 */
import type { Duplex } from 'node:stream';
import { Fault } from '../../base/fault.ts';
import type { Log } from '../../base/log.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { ClientStream } from '../../http/stream.ts';
import type { PlanClusterSettings, UpstreamProtocol } from '../../ir/plan.ts';
import type { Intake } from '../../net/read-buffer.ts';
import { H1Pool } from './h1-pool.ts';
import { H2Pool } from './h2-pool.ts';
import type { ConnectDone, Connector, ConnWaiter, EndpointCounters, Offer, Pool, PoolHost, UsedConn } from './pool.ts';

export interface EndpointOptions {
  /** Key of the cluster, for the log. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly protocol: UpstreamProtocol;
  readonly settings: PlanClusterSettings;
  readonly connector: Connector;
  readonly wheel: TimerWheel;
  readonly counters: EndpointCounters;
  readonly log: Pick<Log, 'warn'>;
  /** Told of every connection that was made, whatever becomes of it. */
  onOpened(socket: Duplex, conn: UsedConn): void;
}

/** After a connection could not be made, others are preferred for this long, doubling up to the maximum. */
const AVOID_FIRST_MS = 500;
const AVOID_MS_MAX = 30_000;

const ONE_STREAM: UsedConn = { requests: 1 };

/** Requests that wait, and the connections that are being made for them. */
interface Queue {
  readonly offer: Offer;
  readonly waiters: ConnWaiter[];
  connecting: number;
}

export class Endpoint implements PoolHost {
  readonly address: string;
  readonly port: number;
  /** Set anew by its cluster: a change of weight is nothing that connections have to know. */
  weight: number;
  readonly name: string;
  /** For the picker: smooth weighted round robin. */
  credit = 0;
  /** What health checks found; `healthy` until they find otherwise. */
  probed: 'healthy' | 'unhealthy' = 'healthy';

  readonly #options: EndpointOptions;
  readonly #h1: H1Pool;
  readonly #h2: H2Pool | undefined;
  /** For whatever the cluster speaks. */
  readonly #main: Queue = { offer: 'all', waiters: [], connecting: 0 };
  /** For requests that HTTP/1.1 alone can carry, where the cluster speaks both. */
  readonly #http1: Queue = { offer: 'http1', waiters: [], connecting: 0 };
  /** What the next connection of {@link Endpoint.#main} will most likely speak. */
  #expected: 'http1' | 'h2' | undefined;
  #http1Required = false;
  /** Connections of streams below HTTP, those that are being made included. */
  #streams = 0;
  #failures = 0;
  #avoidUntilMs = 0;
  #isOnTrial = false;
  /** Idle time after which the upstream was seen to close, less a margin. */
  #learnedKeepAliveMs: number;
  #serveAsked = false;
  readonly #serveSoon = (): void => {
    this.#serveAsked = false;
    this.#serve();
  };

  constructor(options: EndpointOptions) {
    const { address, port, protocol } = options;
    this.address = address;
    this.port = port;
    this.weight = options.weight;
    this.name = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    this.#options = options;
    this.#learnedKeepAliveMs = options.settings.keepAliveMs;
    this.#expected = protocol === 'auto' ? undefined : protocol;
    this.#h1 = new H1Pool(this);
    this.#h2 = protocol === 'http1' ? undefined : new H2Pool(this, () => this.#onHttp1Required());
  }

  get settings(): PlanClusterSettings {
    return this.#options.settings;
  }

  get wheel(): TimerWheel {
    return this.#options.wheel;
  }

  get counters(): EndpointCounters {
    return this.#options.counters;
  }

  get keepAliveMs(): number {
    return this.#learnedKeepAliveMs;
  }

  get connections(): number {
    return this.#h1.size + (this.#h2?.size ?? 0) + this.#streams;
  }

  get idleConnections(): number {
    return this.#h1.idle + (this.#h2?.idle ?? 0);
  }

  /** Whether the last connections could be made, or it is time to try again; and what health checks found. */
  healthy(nowMs: number): boolean {
    return this.#avoidUntilMs <= nowMs && this.probed === 'healthy';
  }

  /**
   * A place on a connection at once, `'wait'` when `waiter` will be told, or a fault.
   *
   * @param how  `fresh`: not an unused connection from the pool, because one just turned out to be closed
   */
  acquire(waiter: ConnWaiter, how: 'any' | 'fresh'): ClientStream | 'wait' | Fault {
    const queue = this.#queueFor(waiter);
    // Those who wait for a place that was just given back come first.
    if (!this.#serveAsked) {
      const stream = queue === this.#main ? this.#h2?.take() : this.#takeTunnel(waiter);
      const place = stream ?? (how === 'any' ? this.#h1.take() : undefined);
      if (place !== undefined) {
        // It could not be reached once, and is: what is open counts.
        if (this.#failures > 0) this.noteReached();
        return place;
      }
    }
    const { connectionsMax, queueMax } = this.#options.settings;
    if (this.#isFull() && this.#waiting >= queueMax) {
      return new Fault('upstream.overloaded', `${this.name}: ${connectionsMax} connections busy, queue full`);
    }
    queue.waiters.push(waiter);
    this.counters.waiting(1);
    this.#connectFor(queue);
    return 'wait';
  }

  /** The waiter does not want a connection any more. */
  forget(waiter: ConnWaiter): void {
    const { waiters } = this.#queueFor(waiter);
    const at = waiters.indexOf(waiter);
    if (at < 0) return;
    waiters.splice(at, 1);
    this.counters.waiting(-1);
  }

  /**
   * A connection for one stream below HTTP, which is never shared or kept. Counted among the others until
   * {@link Endpoint.streamClosed}.
   *
   * @returns what gives it up, to be called only while it is being made
   */
  openStream(preface: Buffer | undefined, done: ConnectDone): (() => void) | Fault {
    if (this.#isFull()) {
      return new Fault('upstream.overloaded', `${this.name}: ${this.settings.connectionsMax} connections open`);
    }
    this.#streams++;
    const cancel = this.#options.connector.connect({ address: this.address, port: this.port, preface }, 'all', {
      onOpen: (socket, intake, protocol) => {
        this.noteReached();
        this.counters.opened();
        this.counters.open(1);
        this.#options.onOpened(socket, ONE_STREAM);
        done.onOpen(socket, intake, protocol);
      },
      onFailed: (fault) => {
        this.#streams--;
        this.noteFailed();
        done.onFailed(fault);
      },
    });
    return () => {
      this.#streams--;
      cancel();
    };
  }

  streamClosed(): void {
    this.#streams--;
    this.counters.open(-1);
  }

  /**
   * It is picked. When it could not be reached before, this is the trial of whether it can be now: others are preferred until
   * that is known, so that not all requests wait for an answer that may not come.
   */
  notePicked(nowMs: number): void {
    if (this.#failures === 0 || this.#avoidUntilMs > nowMs) return;
    this.#isOnTrial = true;
    this.#avoidUntilMs = nowMs + this.#avoidMs();
  }

  #avoidMs(): number {
    return Math.min(AVOID_MS_MAX, AVOID_FIRST_MS * 2 ** Math.min(10, this.#failures - 1));
  }

  /** It answers: no other is preferred any more. */
  noteReached(): void {
    this.#failures = 0;
    this.#avoidUntilMs = 0;
    this.#isOnTrial = false;
  }

  /** It cannot be reached: others are preferred for a while, longer each time. Failures within that while are one time. */
  noteFailed(): void {
    this.counters.failed();
    const nowMs = this.wheel.readMs();
    // All that were under way when it went away fail together, and say no more than the first.
    if (nowMs < this.#avoidUntilMs && !this.#isOnTrial) return;
    this.#isOnTrial = false;
    this.#failures++;
    this.#avoidUntilMs = nowMs + this.#avoidMs();
  }

  /** Not picked any more: unused connections close now, busy ones after their answers, waiters are served. */
  retire(): void {
    this.#h1.retire();
    this.#h2?.retire();
  }

  /** Connections that are open take nothing new and close when they are done; later requests make new ones. */
  renew(): void {
    this.#h1.renew();
    this.#h2?.renew();
    this.#expected = this.#options.protocol === 'auto' ? undefined : this.#options.protocol;
  }

  #takeTunnel({ upgrade }: ConnWaiter): ClientStream | undefined {
    return upgrade === 'websocket' ? this.#h2!.takeTunnel() : undefined;
  }

  /** A connection of HTTP/2 carries a WebSocket only if its upstream has said so; one of HTTP/1.1 can carry any upgrade. */
  #queueFor({ upgrade }: ConnWaiter): Queue {
    return this.#options.protocol === 'auto' && upgrade !== undefined ? this.#http1 : this.#main;
  }

  get #waiting(): number {
    return this.#main.waiters.length + this.#http1.waiters.length;
  }

  #isFull(): boolean {
    const connecting = this.#main.connecting + this.#http1.connecting;
    return this.connections + connecting >= this.#options.settings.connectionsMax;
  }

  /** How many of those who wait one connection that is being made will serve. */
  #perConnection(queue: Queue): number {
    if (queue === this.#http1 || this.#expected === 'http1') return this.#h1.perConnection;
    // What will be agreed on is not known yet: one connection finds out.
    return this.#expected === undefined ? Infinity : this.#h2!.perConnection;
  }

  // --- connections are made ----------------------------------------------------------------------------------------

  #connectFor(queue: Queue): void {
    while (queue.waiters.length > (queue.connecting && queue.connecting * this.#perConnection(queue))) {
      if (this.#isFull()) return;
      this.#connect(queue);
    }
  }

  #connect(queue: Queue): void {
    queue.connecting++;
    const offer = this.#http1Required ? 'http1' : queue.offer;
    this.#options.connector.connect(this, offer, {
      onOpen: (socket, intake, protocol) => this.#onOpen(queue, { socket, intake, protocol }),
      onFailed: (fault) => this.#onConnectFailed(queue, fault),
    });
  }

  #onOpen(queue: Queue, { socket, intake, protocol }: Opened): void {
    this.noteReached();
    this.counters.opened();
    const kind = this.#spokenOn(queue, protocol);
    if (queue === this.#main && this.#options.protocol === 'auto') this.#expected = kind;
    const pool: Pool = kind === 'h2' ? this.#h2! : this.#h1;
    this.#options.onOpened(socket, pool.adopt(socket, intake));
    queue.connecting--;
    this.#serve();
  }

  /** In clear text nothing is agreed on: what the cluster says counts. */
  #spokenOn(queue: Queue, agreed: string): 'http1' | 'h2' {
    const { protocol } = this.#options;
    if (queue === this.#http1) return 'http1';
    return protocol === 'auto' ? (agreed === 'h2' ? 'h2' : 'http1') : protocol;
  }

  #onConnectFailed(queue: Queue, fault: Fault): void {
    this.noteFailed();
    const perConnection = this.#perConnection(queue);
    queue.connecting--;
    const served = queue.connecting === 0 ? 0 : queue.connecting * perConnection;
    // Those whom this connection would have served learn of it; they may try another endpoint.
    const told = queue.waiters.splice(0, Math.max(1, Math.min(perConnection, queue.waiters.length - served)));
    this.counters.waiting(-told.length);
    for (const waiter of told) waiter.onNoConnection(fault);
    this.#connectFor(queue);
  }

  /** The upstream does not want to be spoken to in HTTP/2 (RFC 9113 section 7, HTTP_1_1_REQUIRED). */
  #onHttp1Required(): boolean {
    if (this.#options.protocol !== 'auto') return false;
    this.#http1Required = true;
    this.#expected = 'http1';
    this.#h2!.retire();
    return true;
  }

  // --- places are given back ---------------------------------------------------------------------------------------

  onFailed(detail: string): void {
    const { log, cluster } = this.#options;
    log.warn('An upstream broke the protocol', { cluster, endpoint: this.name, detail });
  }

  onRoom(): void {
    if (this.#waiting === 0) {
      this.#trim();
    } else if (!this.#serveAsked) {
      // In a turn of its own: the exchange that gave the place back is still in the middle of its last event.
      this.#serveAsked = true;
      setImmediate(this.#serveSoon);
    }
  }

  onClosed(idleForMs: number | undefined): void {
    // The upstream closed an unused connection first: next time we do, a tenth of the time earlier.
    if (idleForMs !== undefined && idleForMs > 1_000) {
      this.#learnedKeepAliveMs = Math.min(this.#learnedKeepAliveMs, idleForMs * 0.9);
    }
    // A freed place may serve someone who waits.
    this.#connectFor(this.#main);
    this.#connectFor(this.#http1);
  }

  #serve(): void {
    this.#serveFrom(this.#http1, () => this.#h1.take());
    this.#serveFrom(this.#main, () => this.#h2?.take() ?? this.#h1.take());
    this.#trim();
    this.#connectFor(this.#main);
    this.#connectFor(this.#http1);
  }

  #serveFrom({ waiters }: Queue, take: () => ClientStream | undefined): void {
    while (waiters.length > 0) {
      const stream = take();
      if (stream === undefined) return;
      this.counters.waiting(-1);
      waiters.shift()!.onConnection(stream);
    }
  }

  #trim(): void {
    this.#h1.trim();
    this.#h2?.trim();
  }
}

interface Opened {
  readonly socket: Duplex;
  readonly intake: Intake | undefined;
  readonly protocol: string;
}
