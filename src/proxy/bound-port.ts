/**
 * A socket that listens, and the connections it accepted. It outlives snapshots:
 * a change of the plan never touches a live socket, it only shows a new view.
 */
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { Fault } from '../base/fault.ts';
import type { TunnelLimits } from '../base/limits.ts';
import type { H2ConnectionError } from '../http/h2/frame.ts';
import { type ClientWire, serveConn } from '../http/serve-conn.ts';
import type { ClientFacts, RequestSink, ServerConn, ServerStream, ServerStreamEvents } from '../http/stream.ts';
import type { TunnelSides } from '../http/tunnel.ts';
import type { PortState } from '../ir/port-state.ts';
import { adoptAccepted, type Intake } from '../net/read-buffer.ts';
import type { PortTls } from '../net/tls-server.ts';
import type { PortMetrics } from '../observe/traffic-metrics.ts';
import { Exchange } from './exchange.ts';
import { healthCallOf } from './grpc-health.ts';
import { RunningTunnel, type TunnelResult } from './run-tunnel.ts';
import type { LivePort, PortView, Runtime } from './runtime.ts';

export interface BoundPortOptions {
  readonly runtime: Runtime;
  readonly view: PortView;
  readonly planVersion: string;
  /** Address to bind; `view.plan.address` with `*` replaced. */
  readonly address: string;
  readonly reusePort: boolean;
  readonly tls: PortTls | undefined;
}

/** Connections that the kernel keeps until they are accepted. */
const BACKLOG = 4_096;

/** Lines of the log about clients of HTTP/2 are at least so far apart: a flood of them must not become one of lines. */
const FAILURE_LINE_MS = 100;

interface Served {
  readonly socket: Duplex;
  readonly intake?: Intake | undefined;
}

export class BoundPort implements LivePort, RequestSink {
  readonly runtime: Runtime;
  readonly metrics: PortMetrics;
  planVersion: string;
  view: PortView;
  readonly tls: PortTls | undefined;

  readonly #options: BoundPortOptions;
  readonly #server: net.Server;
  readonly #conns = new Set<ServerConn>();
  readonly #handshakes = new Set<net.Socket>();
  /** As many as connections and their streams allow. */
  readonly #tunnels = new Set<RunningTunnel>();
  #exchanges = 0;
  /** When the drain is over; undefined before it has begun. */
  #drainEndMs: number | undefined;
  readonly #quiet = Promise.withResolvers<void>();
  #saidMs = -Infinity;

  constructor(options: BoundPortOptions) {
    this.#options = options;
    this.runtime = options.runtime;
    this.view = options.view;
    this.planVersion = options.planVersion;
    this.tls = options.tls;
    this.metrics = options.runtime.metrics.port(options.view.key);
    this.#server = net.createServer(
      { allowHalfOpen: true, noDelay: true, pauseOnConnect: options.tls === undefined },
      (socket) => this.#accept(socket),
    );
  }

  get connections(): number {
    return this.#conns.size;
  }

  get draining(): boolean {
    return this.#drainEndMs !== undefined;
  }

  get exchanges(): number {
    return this.#exchanges;
  }

  /** Never rejects: a port that cannot be bound is a state, not an error. */
  bind(): Promise<PortState> {
    const { address, reusePort, view } = this.#options;
    const { port } = view.plan;
    return new Promise((resolve) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const code = error.code ?? 'UNKNOWN';
        const message = `Cannot bind ${address}:${port}: ${WHY[code] ?? code}`;
        resolve({ state: 'failed', address, port, error: code, message });
      });
      this.#server.listen({ host: address, port, reusePort, backlog: BACKLOG }, () => {
        const bound = this.#server.address() as net.AddressInfo;
        resolve({ state: 'bound', address: bound.address, port: bound.port });
      });
    });
  }

  /** Shows a new snapshot to all further requests, on old connections too. */
  show(view: PortView, planVersion: string): void {
    this.view = view;
    this.planVersion = planVersion;
  }

  /**
   * Accepts nothing more; idle connections close now, busy ones after their answer, tunnels when their sides have
   * finished, and after `graceMs` all the same. Connections are left to `close`.
   */
  drain(graceMs: number): void {
    if (this.#drainEndMs !== undefined) return;
    this.#drainEndMs = this.runtime.wheel.readMs() + graceMs;
    this.#server.close();
    for (const tunnel of this.#tunnels) tunnel.drain(graceMs);
    for (const conn of this.#conns) conn.drain();
    if (this.#conns.size === 0) this.#quiet.resolve();
  }

  /** Resolves when no connection is left in a drain. */
  quiet(): Promise<void> {
    return this.#quiet.promise;
  }

  /** Ends everything now. */
  close(): void {
    this.drain(0);
    for (const tunnel of this.#tunnels) tunnel.cut();
    for (const socket of this.#handshakes) socket.destroy();
    for (const conn of this.#conns) conn.destroy();
  }

  exchangeStarted(): void {
    this.#exchanges++;
    this.metrics.activeRequests.add(1);
  }

  exchangeEnded(): void {
    this.#exchanges--;
    this.metrics.activeRequests.add(-1);
  }

  runTunnel(sides: TunnelSides, limits: TunnelLimits, onClosed: (result: TunnelResult) => void): void {
    const { wheel } = this.runtime;
    const tunnel = new RunningTunnel({
      sides,
      limits,
      wheel,
      onClosed: (result) => {
        this.#tunnels.delete(tunnel);
        onClosed(result);
      },
    });
    this.#tunnels.add(tunnel);
    tunnel.start();
    // Its handshake was under way when the drain began.
    if (this.#drainEndMs !== undefined && this.#tunnels.has(tunnel)) {
      tunnel.drain(Math.max(0, this.#drainEndMs - wheel.readMs()));
    }
  }

  onRequest(stream: ServerStream): ServerStreamEvents {
    const health = healthCallOf(stream, this);
    if (health !== undefined) return health;
    const exchange = new Exchange(this, stream);
    exchange.begin();
    return exchange;
  }

  onRefused(stream: ServerStream, fault: Fault): void {
    new Exchange(this, stream).refuse(fault);
  }

  #accept(socket: net.Socket): void {
    const { connectionsMax } = this.view.plan.limits;
    if (this.#conns.size + this.#handshakes.size >= connectionsMax) {
      this.metrics.connectionsRefused.add(1);
      socket.on('error', ignore);
      socket.destroy();
      return;
    }
    this.metrics.connectionsOpened.add(1);
    const { tls } = this;
    if (tls === undefined) return this.#servePlain(socket);
    this.#handshakes.add(socket);
    tls.accept(socket, {
      onSecure: (secured, facts) => {
        this.#handshakes.delete(socket);
        this.#serve({ socket: secured }, facts, facts.alpn === 'h2' ? 'h2' : 'http/1.1');
      },
      onFailed: () => this.#handshakes.delete(socket),
      onValidated: () => this.#handshakes.delete(socket),
    });
  }

  #servePlain(accepted: net.Socket): void {
    const { socket, intake } = adoptAccepted(accepted);
    this.#serve({ socket, intake }, plainFacts(socket), this.view.http2 ? 'look' : 'http/1.1');
  }

  #serve({ socket, intake }: Served, facts: ClientFacts, wire: ClientWire): void {
    const { limits, timeouts } = this.view.plan;
    this.metrics.connectionsOpen.add(1);
    const conn = serveConn(wire, {
      socket,
      intake,
      facts,
      sink: this,
      wheel: this.runtime.wheel,
      limits,
      timeouts,
      onFailed: (error) => this.#onFailed(error, facts.peerIp),
      onClosed: (closed) => this.#onClosed(closed),
    });
    this.#conns.add(conn);
    if (this.#drainEndMs !== undefined) conn.drain();
  }

  /** A client of HTTP/2 broke a rule or overdid something, and loses its connection. */
  #onFailed({ reason, detail }: H2ConnectionError, client: string): void {
    this.metrics.http2Failed(reason);
    const { wheel, log } = this.runtime;
    if (wheel.nowMs - this.#saidMs < FAILURE_LINE_MS) return;
    this.#saidMs = wheel.nowMs;
    log.warn('An HTTP/2 connection was ended', { port: this.view.key, client, reason, detail });
  }

  #onClosed(conn: ServerConn): void {
    if (!this.#conns.delete(conn)) return;
    this.metrics.connectionsOpen.add(-1);
    if (this.#conns.size === 0 && this.#drainEndMs !== undefined) this.#quiet.resolve();
  }
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address in use',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'address not available on this machine',
  EINVAL: 'not an address that can be bound',
};

function plainFacts(socket: net.Socket): ClientFacts {
  return {
    peerIp: peerIpOf(socket),
    peerPort: socket.remotePort ?? 0,
    scheme: 'http',
    serverName: '',
    tlsVersion: '',
    tlsCipher: '',
  };
}

/** An IPv4 peer on a dual-stack socket is named in IPv4. */
function peerIpOf(socket: net.Socket): string {
  const address = socket.remoteAddress ?? '';
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

const ignore = (): void => undefined;
