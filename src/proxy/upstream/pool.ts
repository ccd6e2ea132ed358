/**
 * What the parts of an endpoint are to each other: connectors open sockets, a pool for each kind of connection keeps
 * them, and whoever sends a request waits for a place on one.
 */
import type { Duplex } from 'node:stream';
import type { Fault } from '../../base/fault.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { ClientStream } from '../../http/stream.ts';
import type { PlanClusterSettings } from '../../ir/plan.ts';
import type { Intake } from '../../net/read-buffer.ts';

/** Someone who waits for a place on a connection. */
export interface ConnWaiter {
  /** What the request wants its connection to become: not every kind can. */
  readonly upgrade: string | undefined;
  /** The stream has to be begun inside this call, or it is lost for good. */
  onConnection(conn: ClientStream): void;
  onNoConnection(fault: Fault): void;
}

/** Opens a socket, TLS included. Exactly one of the two functions is called, once, unless cancelled. */
export interface Connector {
  /**
   * @param offer  `http1`: nothing else is to be agreed on, whatever the cluster speaks
   * @returns gives up: nobody is told of anything after that
   */
  connect(to: ConnectTo, offer: Offer, done: ConnectDone): () => void;
}

export interface ConnectTo {
  readonly address: string;
  readonly port: number;
  /** Written before anything else, also before TLS: a header of the PROXY protocol. */
  readonly preface?: Buffer | undefined;
}

export type Offer = 'all' | 'http1';

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

/** A connection, as far as whoever looks into the proxy is told. */
export interface UsedConn {
  /** That were sent on it. */
  readonly requests: number;
}

/** The open connections of one kind to one endpoint. */
export interface Pool {
  /** Open connections, and those of them that carry nothing. */
  readonly size: number;
  readonly idle: number;
  /** Requests that one connection is expected to carry at a time. */
  readonly perConnection: number;
  /** A place on a connection that can carry one more request now. It has to be begun at once. */
  take(): ClientStream | undefined;
  /** A connection was made. The host is not told: it asks. */
  adopt(socket: Duplex, intake: Intake | undefined): UsedConn;
  /** Unused connections beyond what may be kept are closed. */
  trim(): void;
  /** Unused connections close now, busy ones when they have become unused; those that are made later stay. */
  renew(): void;
  /** The same, later ones too. */
  retire(): void;
}

/** Whoever has pools. */
export interface PoolHost {
  readonly settings: PlanClusterSettings;
  readonly wheel: TimerWheel;
  readonly counters: EndpointCounters;
  /** How long a new connection may lie unused. */
  readonly keepAliveMs: number;
  /** A connection was ended here because its upstream broke the protocol. For the log. */
  onFailed(detail: string): void;
  /** A connection can carry one more request. May be called in the middle of an event of the request before. */
  onRoom(): void;
  /** `idleForMs`: how long it had lain unused, when the peer closed it then. */
  onClosed(idleForMs: number | undefined): void;
}
