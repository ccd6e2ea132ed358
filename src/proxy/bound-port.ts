/**
 * A socket that listens, and the connections it accepted. It outlives snapshots:
 * a change of the plan never touches a live socket, it only shows a new view.
 */
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { answerFor, type Fault } from '../base/fault.ts';
import type { TunnelLimits } from '../base/limits.ts';
import { workloadOf } from '../http/client-identity.ts';
import type { H2ConnectionError } from '../http/h2/frame.ts';
import { type ClientWire, serveConn } from '../http/serve-conn.ts';
import type { H1ServerConn } from '../http/h1/server-conn.ts';
import type { ClientFacts, RequestSink, ServerConn, ServerStream, ServerStreamEvents } from '../http/stream.ts';
import type { TunnelSides } from '../http/tunnel.ts';
import type { PortState } from '../ir/port-state.ts';
import { adoptAccepted, type Intake, plainIp } from '../net/read-buffer.ts';
import type { ProxyHeader } from '../net/proxy-protocol.ts';
import { adoptStream } from '../net/stream-reads.ts';
import type { HandshakeFailure } from '../net/tls-failure.ts';
import type { HelloChoice, PortTls } from '../net/tls-server.ts';
import type { PortMetrics } from '../observe/traffic-metrics.ts';
import { Exchange } from './exchange.ts';
import { type AskForService, ForwardProxy, type ProxyPort } from './forward-proxy.ts';
import { healthCallOf } from './grpc-health.ts';
import { bindFailureOf, type ListeningPort, type ListeningPortOptions } from './listening-port.ts';
import { readProxyIntake } from './proxy-intake.ts';
import { RunningTunnel, type TunnelResult } from './run-tunnel.ts';
import type { ListenerView, LivePort, PortView, Runtime } from './runtime.ts';
import { SeldomWarn } from './seldom-warn.ts';
import { clearWireOf } from './snapshot.ts';
import { type StreamClient, StreamExchange, type StreamOpening } from './stream-exchange.ts';

export interface BoundPortOptions extends ListeningPortOptions {
  readonly tls: PortTls | undefined;
  readonly askForService?: AskForService | undefined;
}

/** Connections that the kernel keeps until they are accepted. */
const BACKLOG = 4_096;

/** A drain looks for queued connections until a turn of the loop this short brings none, or so many longer ones. */
const SHORT_TURN_MS = 1;
const EMPTY_TURNS = 5;
/** However many connections still come. */
const QUEUE_MS_MAX = 5_000;

/** A connection, for whoever looks into the proxy. */
export interface LiveClient {
  readonly socket: Duplex;
  readonly facts: ClientFacts;
  readonly sinceMs: number;
}

interface Served {
  readonly socket: Duplex;
  readonly intake?: Intake | undefined;
  readonly early?: Buffer | undefined;
  /** Takes its requests; the port itself when absent. */
  readonly sink?: RequestSink;
}

export class BoundPort implements ListeningPort, LivePort, RequestSink {
  readonly runtime: Runtime;
  readonly metrics: PortMetrics;
  planVersion: string;
  view: PortView;
  readonly tls: PortTls | undefined;

  readonly #options: BoundPortOptions;
  readonly #server: net.Server;
  readonly #conns = new Map<ServerConn, LiveClient>();
  readonly #forward: ForwardProxy | undefined;
  readonly #handshakes = new Set<net.Socket>();
  /** Where only workloads may come: who is there. As many as connections. */
  readonly #peers = new Map<net.Socket, string>();
  /** As many as connections and their streams allow. */
  readonly #tunnels = new Set<RunningTunnel>();
  #exchanges = 0;
  #accepted = 0;
  /** When the drain is over; undefined before it has begun. */
  #drainEndMs: number | undefined;
  #listens = true;
  readonly #quiet = Promise.withResolvers<void>();
  readonly #warn: SeldomWarn;

  constructor(options: BoundPortOptions) {
    this.#options = options;
    this.runtime = options.runtime;
    this.#warn = new SeldomWarn(options.runtime);
    this.view = options.view;
    this.planVersion = options.planVersion;
    this.tls = options.tls;
    this.metrics = options.runtime.metrics.port(options.view.key);
    if (options.view.byAuthority) this.#forward = new ForwardProxy(this.#proxyPort());
    this.#server = net.createServer(
      { allowHalfOpen: true, noDelay: true, pauseOnConnect: options.tls === undefined },
      (socket) => this.#accept(socket),
    );
  }

  get connections(): number {
    return this.#conns.size;
  }

  *live(): Generator<LiveClient & { readonly requests: number }> {
    for (const [{ requests }, { socket, facts, sinceMs }] of this.#conns) yield { socket, facts, sinceMs, requests };
  }

  #note(socket: Duplex, facts: ClientFacts): LiveClient {
    return { socket, facts, sinceMs: this.runtime.wheel.nowMs };
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
        resolve(bindFailureOf(error, address, port));
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
    this.#forward?.onPlan();
    if (this.#peers.size > 0) this.#cutDenied(view.plan.clientValidation?.workloads?.denied ?? []);
  }

  /** Whoever is denied from now on is denied at once: connections of a mesh last for days. */
  #cutDenied(denied: readonly string[]): void {
    if (denied.length === 0) return;
    const turnedAway = new Set(denied);
    for (const [socket, peer] of this.#peers) {
      if (!turnedAway.has(peer)) continue;
      this.#say('A peer was cut off', {
        client: plainIp(socket.remoteAddress),
        reason: 'workload-denied',
        detail: peer,
      });
      socket.destroy();
    }
  }

  #notePeer(socket: net.Socket, peer: string): void {
    this.#peers.set(socket, peer);
    socket.once('close', () => this.#peers.delete(socket));
    if (this.view.plan.clientValidation?.workloads?.denied.includes(peer) === true) socket.destroy();
  }

  /**
   * Accepts nothing more than what the kernel has queued, which would be reset together with the listening socket.
   * Idle connections close now, busy ones after their answer, tunnels when their sides have finished, and after
   * `graceMs` all the same. Connections are left to `close`.
   */
  drain(graceMs: number): void {
    if (this.#drainEndMs !== undefined) return;
    this.#drainEndMs = this.runtime.wheel.readMs() + graceMs;
    for (const tunnel of this.#tunnels) tunnel.drain(graceMs);
    for (const conn of this.#conns.keys()) conn.drain();
    // Behind the accepts of this turn of the loop.
    setImmediate(() => this.#takeQueued({ untilMs: this.runtime.wheel.readMs() + QUEUE_MS_MAX, emptyTurns: 0 }));
  }

  /**
   * The loop takes one connection of the queue in a turn. Whoever comes between its look and the end of the socket is reset: hence
   * a turn that is short, in which hardly anybody can.
   */
  #takeQueued({ untilMs, emptyTurns }: { readonly untilMs: number; readonly emptyTurns: number }): void {
    const { wheel } = this.runtime;
    const beforeMs = wheel.readMs();
    const before = this.#accepted;
    setImmediate(() => {
      if (!this.#listens) return;
      const nowMs = wheel.readMs();
      const empty = this.#accepted === before ? emptyTurns + 1 : 0;
      const isOver = empty >= EMPTY_TURNS || (empty > 0 && nowMs - beforeMs < SHORT_TURN_MS);
      if (isOver || nowMs > untilMs) this.#stopListening();
      else this.#takeQueued({ untilMs, emptyTurns: empty });
    });
  }

  #stopListening(): void {
    this.#server.close();
    this.#listens = false;
    this.#checkQuiet();
  }

  /** Resolves when no connection is left in a drain. */
  quiet(): Promise<void> {
    return this.#quiet.promise;
  }

  /** Ends everything now. */
  close(): void {
    this.drain(0);
    this.#stopListening();
    for (const tunnel of this.#tunnels) tunnel.cut();
    for (const socket of this.#handshakes) socket.destroy();
    for (const conn of this.#conns.keys()) conn.destroy();
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
    return healthCallOf(stream, this) ?? this.#exchange(stream);
  }

  #exchange(stream: ServerStream): Exchange {
    const exchange = new Exchange(this, stream);
    exchange.begin();
    return exchange;
  }

  onRefused(stream: ServerStream, fault: Fault): void {
    new Exchange(this, stream).refuse(fault);
  }

  #accept(socket: net.Socket): void {
    this.#accepted++;
    const { connectionsMax } = this.view.plan.limits;
    if (this.#conns.size + this.#handshakes.size >= connectionsMax) {
      this.metrics.connectionsRefused.add(1);
      socket.on('error', ignore);
      socket.destroy();
      return;
    }
    this.metrics.connectionsOpened.add(1);
    const { proxyProtocol, timeouts } = this.view.plan;
    if (proxyProtocol === undefined) return this.#begin({ socket, header: undefined });
    this.#handshakes.add(socket);
    readProxyIntake(socket, plainIp(socket.remoteAddress), {
      plan: proxyProtocol,
      wheel: this.runtime.wheel,
      timeoutMs: timeouts.headMs,
      onReady: (header, result) => {
        this.#handshakes.delete(socket);
        this.metrics.proxyHeader(result);
        this.#begin({ socket, header });
      },
      onRefused: (refusal, detail) => {
        this.#leftBeforeServed(socket);
        this.metrics.proxyHeader(refusal);
        this.runtime.metrics.fault(answerFor('proxy-protocol.refused'));
        this.#say('A PROXY protocol header was refused', {
          client: plainIp(socket.remoteAddress),
          reason: refusal,
          detail,
        });
      },
    });
  }

  #begin(accepted: Accepted): void {
    if (this.tls !== undefined) this.#handshake(accepted, this.tls);
    else if (this.view.plan.protocol === 'tcp') this.#passPlain(accepted);
    else this.#servePlain(accepted);
  }

  #servePlain({ socket: accepted, header }: Accepted): void {
    const early = readEarly(accepted);
    const { socket, intake } = adoptAccepted(accepted);
    if (intake === undefined && early !== undefined) socket.unshift(early);
    this.#serve({ socket, intake }, clientFacts(plainFacts(socket), header), this.view.clearWire);
    if (early !== undefined) intake?.take(early);
  }

  #handshake(accepted: Accepted, tls: PortTls): void {
    const { socket, header } = accepted;
    this.#handshakes.add(socket);
    tls.accept(socket, {
      choose: (serverName) => this.#choose(serverName),
      onPassed: (bytes, serverName) => {
        this.#handshakes.delete(socket);
        const listener = this.view.listeners.find(serverName);
        const passed = adoptStream(socket);
        const facts = clientFacts({ ...plainFacts(passed.socket), serverName }, header);
        this.#pass({ ...passed, early: bytes, facts, listener }, header);
      },
      onSecure: (secured, secureFacts) => {
        this.#handshakes.delete(socket);
        const facts = clientFacts(secureFacts, header);
        const peer = this.view.plan.clientValidation?.workloads && workloadOf(facts.clientCertificate);
        // The plan may have changed during the handshake.
        if (peer !== undefined) this.#notePeer(secured, peer.id);
        const listener = this.view.listeners.find(facts.serverName);
        if (listener?.plan.stream === undefined) {
          this.#serve({ socket: secured }, facts, secureFacts.alpn === 'h2' ? 'h2' : 'http/1.1');
        } else this.#pass({ socket: secured, intake: undefined, facts, listener }, header);
      },
      onFailed: (failure, detail) => {
        this.#leftBeforeServed(socket);
        this.#onHandshakeFailed(failure, { client: plainIp(socket.remoteAddress), detail });
      },
      onValidated: () => this.#leftBeforeServed(socket),
    });
    // Whoever looked for a header has paused it.
    if (socket.isPaused()) socket.resume();
  }

  /** What is to be done with a client that asks for this name, before TLS has begun. */
  #choose(serverName: string): HelloChoice {
    const { view } = this;
    const listener = view.listeners.find(serverName);
    // An alert would be a word of ours where nothing is ended here.
    if (listener === undefined) return view.endsTls ? 'end' : 'refuse';
    if (listener.plan.stream === undefined) return 'end';
    if (listener.streams?.find(serverName) === undefined) return 'refuse';
    return listener.plan.tls === undefined ? 'pass' : 'end';
  }

  #passPlain(accepted: Accepted): void {
    const early = readEarly(accepted.socket);
    const adopted = adoptStream(accepted.socket);
    const facts = clientFacts(plainFacts(adopted.socket), accepted.header);
    this.#pass({ ...adopted, early, facts, listener: this.view.listeners.find('') }, accepted.header);
  }

  /** What its forward proxy does with this port. */
  #proxyPort(): ProxyPort {
    const view = (): PortView => this.view;
    return {
      get view() {
        return view();
      },
      wheel: this.runtime.wheel,
      askForService: this.#options.askForService,
      exchange: (stream) => this.#exchange(stream),
      refuse: (stream, fault) => this.onRefused(stream, fault),
      tunnel: (stream, to) => this.#tunnel(stream, to),
      sayUnknown: (authority, client) =>
        this.#warn.warn('A service that is not known was called', { port: this.view.key, client, authority }),
    };
  }

  /** A client may have a tunnel: what comes in it is a connection of the listener. */
  #tunnel(stream: ServerStream, { name, listener }: TunnelTo): () => void {
    const conn = stream as H1ServerConn;
    const socket = conn.socket as net.Socket;
    const facts: ClientFacts = { ...stream.facts, tunnelTo: name };
    if (listener.plan.stream === undefined) {
      this.#serve({ ...conn.establish(), socket, sink: this }, facts, clearWireOf([listener]));
      socket.resume();
      this.#onClosed(conn);
      return ignore;
    }
    const opening: StreamOpening = {
      establish: () => {
        const given = conn.establish();
        this.#onClosed(conn);
        return given;
      },
      refuse: (fault) => {
        // What follows was meant for the tunnel, and must not be read as a request.
        stream.closeAfterAnswer();
        if (!socket.destroyed) this.onRefused(stream, fault);
        stream.flush();
      },
    };
    const exchange = this.#pass({ socket, intake: undefined, facts, listener, opening }, undefined);
    return () => exchange.abandon();
  }

  #pass(client: Omit<StreamClient, 'proxyHeader'>, proxyHeader: ProxyHeader | undefined): StreamExchange {
    this.metrics.connectionsOpen.add(1);
    const exchange = new StreamExchange(this, { ...client, proxyHeader }, (closed) => this.#onClosed(closed));
    this.#conns.set(exchange, this.#note(client.socket, client.facts));
    exchange.begin();
    return exchange;
  }

  #serve({ socket, intake, early, sink }: Served, facts: ClientFacts, wire: ClientWire): void {
    const { limits, timeouts } = this.view.plan;
    this.metrics.connectionsOpen.add(1);
    const conn = serveConn(wire, {
      socket,
      intake,
      early,
      draining: this.draining,
      facts,
      sink: sink ?? this.#forward ?? this,
      role: sink === undefined && this.#forward !== undefined ? 'forward-proxy' : undefined,
      wheel: this.runtime.wheel,
      limits,
      timeouts,
      onFailed: (error) => this.#onFailed(error, facts.peerIp),
      onClosed: (closed) => this.#onClosed(closed),
    });
    this.#conns.set(conn, this.#note(socket, facts));
  }

  /** Who is turned away for what it is, where only workloads may come, is named. */
  #onHandshakeFailed(reason: HandshakeFailure, who: { readonly client: string; readonly detail: string }): void {
    if (this.view.plan.clientValidation?.workloads === undefined || UNREMARKABLE.has(reason)) return;
    this.#say('A peer was refused', { ...who, reason });
  }

  /** A client of HTTP/2 broke a rule or overdid something, and loses its connection. */
  #onFailed({ reason, detail }: H2ConnectionError, client: string): void {
    this.metrics.http2Failed(reason);
    this.#say('An HTTP/2 connection was ended', { client, reason, detail });
  }

  /** A line about a client, now and then: whoever misbehaves must not write our log. */
  #say(what: string, facts: { readonly client: string; readonly reason: string; readonly detail: string }): void {
    this.#warn.warn(what, { port: this.view.key, ...facts }, facts.reason);
  }

  #onClosed(conn: ServerConn): void {
    if (!this.#conns.delete(conn)) return;
    this.metrics.connectionsOpen.add(-1);
    this.#checkQuiet();
  }

  #leftBeforeServed(socket: net.Socket): void {
    this.#handshakes.delete(socket);
    this.#checkQuiet();
  }

  #checkQuiet(): void {
    if (!this.#listens && this.#conns.size === 0 && this.#handshakes.size === 0) this.#quiet.resolve();
  }
}

/** Of handshakes on ports for workloads: says nothing of who came. */
const UNREMARKABLE: ReadonlySet<HandshakeFailure> = new Set(['timeout', 'aborted', 'overloaded', 'refused-by-client']);

interface TunnelTo {
  readonly name: string;
  readonly listener: ListenerView;
}

/** A socket that was accepted, and what a proxy in front has said of it. */
interface Accepted {
  readonly socket: net.Socket;
  readonly header: ProxyHeader | undefined;
}

/** What came behind a header in the same read. */
function readEarly(socket: net.Socket): Buffer | undefined {
  return socket.readableLength === 0 ? undefined : ((socket.read() as Buffer | null) ?? undefined);
}

/** The client that a proxy in front has named counts from here on; the peer itself is kept for logs. */
function clientFacts<T extends ClientFacts>(facts: T, header: ProxyHeader | undefined): T {
  if (header?.source === undefined) return facts;
  return { ...facts, peerIp: header.source.ip, peerPort: header.source.port, proxyIp: facts.peerIp };
}

function plainFacts(socket: net.Socket): ClientFacts {
  return {
    peerIp: plainIp(socket.remoteAddress),
    peerPort: socket.remotePort ?? 0,
    scheme: 'http',
    serverName: '',
    tlsVersion: '',
    tlsCipher: '',
  };
}

const ignore = (): void => undefined;
