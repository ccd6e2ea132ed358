/**
 * One address of a cluster and the connections to it. Idle ones are used newest
 * first; requests that find none wait, bounded, for a connection that is being
 * made or given back, whichever comes first.
 */
import type { Duplex } from 'node:stream';
import { Fault } from '../../base/fault.ts';
import type { TimerWheel } from '../../base/timers.ts';
import { H1ClientConn } from '../../http/h1/client-conn.ts';
import type { ClientStream } from '../../http/stream.ts';
import type { Intake } from '../../net/read-buffer.ts';
import type { PlanClusterSettings } from '../../ir/plan.ts';

/** Someone who waits for a connection. */
export interface ConnWaiter {
  onConnection(conn: ClientStream): void;
  onNoConnection(fault: Fault): void;
}

/** Opens a socket, TLS included. Exactly one of the two functions is called, once, unless cancelled. */
export interface Connector {
  connect(address: string, port: number, done: ConnectDone): () => void;
}

export interface ConnectDone {
  /**
   * @param intake  where the bytes of the socket come from; undefined for `data` events
   * @param protocol  what was agreed on by ALPN; empty without TLS, or when the upstream knows no ALPN
   */
  onOpen(socket: Duplex, intake: Intake | undefined, protocol: string): void;
  onFailed(fault: Fault): void;
}

export interface EndpointCounters {
  opened(): void;
  reused(): void;
  failed(): void;
  /** Change of the number of open, idle and waiting. */
  open(change: number): void;
  idle(change: number): void;
  waiting(change: number): void;
}

export interface EndpointOptions {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly resolvedFrom: string | undefined;
  readonly settings: PlanClusterSettings;
  readonly connector: Connector;
  readonly wheel: TimerWheel;
  readonly counters: EndpointCounters;
}

/** After a connection could not be made, others are preferred for this long, doubling up to the maximum. */
const AVOID_FIRST_MS = 500;
const AVOID_MS_MAX = 30_000;

export class Endpoint {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly resolvedFrom: string | undefined;
  /** For the picker: smooth weighted round robin. */
  credit = 0;

  readonly #options: EndpointOptions;
  readonly #idle: H1ClientConn[] = [];
  readonly #conns = new Set<H1ClientConn>();
  readonly #waiters: ConnWaiter[] = [];
  readonly #cancels = new Set<() => void>();
  #connecting = 0;
  #failures = 0;
  #avoidUntilMs = 0;
  #retired = false;
  /** Idle time after which the upstream was seen to close, less a margin. */
  #learnedKeepAliveMs: number;

  constructor(options: EndpointOptions) {
    this.address = options.address;
    this.port = options.port;
    this.weight = options.weight;
    this.resolvedFrom = options.resolvedFrom;
    this.#options = options;
    this.#learnedKeepAliveMs = options.settings.keepAliveMs;
  }

  get name(): string {
    return this.address.includes(':') ? `[${this.address}]:${this.port}` : `${this.address}:${this.port}`;
  }

  get connections(): number {
    return this.#conns.size;
  }

  get idleConnections(): number {
    return this.#idle.length;
  }

  /** Whether the last connections could be made, or it is time to try again. */
  healthy(nowMs: number): boolean {
    return this.#avoidUntilMs <= nowMs;
  }

  /**
   * A connection at once, `'wait'` when `waiter` will be told, or a fault.
   *
   * @param how  `fresh`: not one from the pool, because one just turned out to be closed
   */
  acquire(waiter: ConnWaiter, how: 'any' | 'fresh'): ClientStream | 'wait' | Fault {
    const { settings, counters } = this.#options;
    if (how === 'any') {
      for (let conn = this.#idle.pop(); conn !== undefined; conn = this.#idle.pop()) {
        counters.idle(-1);
        if (!conn.usable) continue;
        counters.reused();
        return conn;
      }
    }
    const full = this.#conns.size + this.#connecting >= settings.connectionsMax;
    if (full && this.#waiters.length >= settings.queueMax) {
      return new Fault('upstream.overloaded', `${this.name}: ${settings.connectionsMax} connections busy, queue full`);
    }
    this.#waiters.push(waiter);
    counters.waiting(1);
    if (!full) this.#connect();
    return 'wait';
  }

  /** The waiter does not want a connection any more. */
  forget(waiter: ConnWaiter): void {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return;
    this.#waiters.splice(at, 1);
    this.#options.counters.waiting(-1);
  }

  /** Not picked any more: unused connections close now, busy ones after their answer, waiters are served. */
  retire(): void {
    this.#retired = true;
    for (const conn of this.#conns) conn.retire();
  }

  /** Ends everything now. */
  close(): void {
    this.#retired = true;
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
    for (const conn of this.#conns) conn.retire();
  }

  #connect(): void {
    this.#connecting++;
    const { address, port, connector } = this.#options;
    const cancel = connector.connect(address, port, {
      onOpen: (socket, intake) => {
        this.#connecting--;
        this.#cancels.delete(cancel);
        this.#failures = 0;
        this.#avoidUntilMs = 0;
        this.#adopt(socket, intake);
      },
      onFailed: (fault) => {
        this.#connecting--;
        this.#cancels.delete(cancel);
        this.#onConnectFailed(fault);
      },
    });
    this.#cancels.add(cancel);
  }

  #adopt(socket: Duplex, intake: Intake | undefined): void {
    const { settings, wheel, counters } = this.#options;
    counters.opened();
    counters.open(1);
    const conn = new H1ClientConn({
      socket,
      intake,
      wheel,
      headerBytesMax: settings.headerBytesMax,
      idleMs: settings.idleMs,
      keepAliveMs: this.#learnedKeepAliveMs,
      onIdle: (idle) => this.#onIdle(idle),
      onClosed: (closed, idleForMs) => this.#onClosed(closed, idleForMs),
    });
    this.#conns.add(conn);
    const waiter = this.#nextWaiter();
    if (waiter !== undefined) waiter.onConnection(conn);
    else this.#keep(conn);
  }

  #onConnectFailed(fault: Fault): void {
    this.#options.counters.failed();
    this.#failures++;
    this.#avoidUntilMs =
      this.#options.wheel.readMs() + Math.min(AVOID_MS_MAX, AVOID_FIRST_MS * 2 ** Math.min(10, this.#failures - 1));
    this.#nextWaiter()?.onNoConnection(fault);
  }

  #onIdle(conn: H1ClientConn): void {
    const waiter = this.#nextWaiter();
    if (waiter === undefined) return this.#keep(conn);
    // In a turn of its own: the exchange that gave the connection back is still in the middle of its last event.
    setImmediate(() => (conn.usable ? waiter.onConnection(conn) : this.#serveLater(waiter)));
  }

  #serveLater(waiter: ConnWaiter): void {
    const got = this.acquire(waiter, 'any');
    if (got instanceof Fault) waiter.onNoConnection(got);
    else if (got !== 'wait') waiter.onConnection(got);
  }

  #keep(conn: H1ClientConn): void {
    if (this.#retired || this.#idle.length >= this.#options.settings.idleConnectionsMax) {
      conn.retire();
      return;
    }
    this.#idle.push(conn);
    this.#options.counters.idle(1);
  }

  #onClosed(conn: H1ClientConn, idleForMs: number | undefined): void {
    if (!this.#conns.delete(conn)) return;
    this.#options.counters.open(-1);
    const at = this.#idle.indexOf(conn);
    if (at >= 0) {
      this.#idle.splice(at, 1);
      this.#options.counters.idle(-1);
    }
    // The upstream closed an idle connection first: next time we do, a tenth of the time earlier.
    if (idleForMs !== undefined && idleForMs > 1_000) {
      this.#learnedKeepAliveMs = Math.min(this.#learnedKeepAliveMs, idleForMs * 0.9);
    }
    // A freed place may serve someone who waits.
    const room = this.#conns.size + this.#connecting < this.#options.settings.connectionsMax;
    if (room && this.#waiters.length > this.#connecting) this.#connect();
  }

  #nextWaiter(): ConnWaiter | undefined {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) this.#options.counters.waiting(-1);
    return waiter;
  }
}
