/**
 * A UDP socket that listens, and the sessions of its clients. A session is what has one client address and port: its
 * datagrams go to one endpoint, through a socket of its own that is connected to it, and what comes back there goes to
 * that client alone, from the port that it sent to. Sessions outlive snapshots; a new plan only concerns new ones.
 *
 * Several workers bind one port with `reusePort`: the system spreads clients by their address and port, so that a
 * session stays with its worker.
 */
import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { Fault } from '../base/fault.ts';
import { Timed } from '../base/timers.ts';
import type { PortState } from '../ir/port-state.ts';
import { plainIp } from '../net/read-buffer.ts';
import { streamLine } from '../observe/stream-log.ts';
import type { DatagramMetrics, StreamEnd } from '../observe/stream-metrics.ts';
import { bindFailureOf, type ListeningPort, type ListeningPortOptions } from './listening-port.ts';
import type { ListenerView, PortView, Runtime } from './runtime.ts';
import { SeldomWarn } from './seldom-warn.ts';
import type { StreamTarget } from './stream-target.ts';
import type { Endpoint } from './upstream/endpoint.ts';

/** Datagrams of a session that wait until its socket is connected, which takes no round trip. Beyond: dropped. */
const EARLY_MAX = 16;

export class UdpPort implements ListeningPort {
  view: PortView;
  readonly runtime: Runtime;
  readonly metrics: DatagramMetrics;
  readonly #options: ListeningPortOptions;
  readonly #socket: dgram.Socket;
  /** By address and port of the client; bounded by `sessionsMax` of the listener. */
  readonly #sessions = new Map<string, UdpSession>();
  readonly #quiet = Promise.withResolvers<void>();
  #planVersion: string;
  readonly #warn: SeldomWarn;
  #draining = false;
  #closed = false;

  constructor(options: ListeningPortOptions) {
    this.#options = options;
    this.runtime = options.runtime;
    this.#warn = new SeldomWarn(options.runtime);
    this.view = options.view;
    this.#planVersion = options.planVersion;
    this.metrics = options.runtime.metrics.datagrams(options.view.key);
    const { address, reusePort } = options;
    this.#socket = dgram.createSocket({ type: typeOf(address), reusePort, lookup: noLookup });
  }

  get connections(): number {
    return this.#sessions.size;
  }

  get exchanges(): number {
    return this.#sessions.size;
  }

  get planVersion(): string {
    return this.#planVersion;
  }

  bind(): Promise<PortState> {
    const { address, view } = this.#options;
    const { port } = view.plan;
    return new Promise((resolve) => {
      this.#socket.once('error', (error: NodeJS.ErrnoException) => {
        this.#closed = true;
        this.#socket.close();
        resolve(bindFailureOf(error, address, port));
      });
      this.#socket.bind({ address, port, exclusive: true }, () => {
        this.#socket.removeAllListeners('error');
        this.#socket.on('error', (error) =>
          this.runtime.log.warn('A UDP port failed', { port: view.key, why: error.message }),
        );
        this.#socket.on('message', (bytes, from) => this.#onDatagram(bytes, from));
        const bound = this.#socket.address();
        resolve({ state: 'bound', address: bound.address, port: bound.port });
      });
    });
  }

  show(view: PortView, planVersion: string): void {
    this.view = view;
    this.#planVersion = planVersion;
  }

  /** Sessions go on; datagrams of new clients are dropped. */
  drain(): void {
    this.#draining = true;
    this.#closeWhenQuiet();
  }

  quiet(): Promise<void> {
    return this.#quiet.promise;
  }

  close(): void {
    this.drain();
    for (const session of this.#sessions.values()) session.end('drained', undefined);
    this.#closeWhenQuiet();
  }

  /** To a client. The caller counts. */
  reply(bytes: Buffer, to: dgram.RemoteInfo): void {
    if (!this.#closed) this.#socket.send(bytes, to.port, to.address, this.#onSent);
  }

  forget(key: string): void {
    this.#sessions.delete(key);
    this.metrics.sessionsOpen.add(-1);
    if (this.#draining) this.#closeWhenQuiet();
  }

  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.metrics.dropped('send-failed');
  };

  #onDatagram(bytes: Buffer, from: dgram.RemoteInfo): void {
    this.metrics.datagramsIn.add(1);
    const key = `${from.address} ${from.port}`;
    const session = this.#sessions.get(key) ?? this.#begin(key, from);
    session?.send(bytes);
  }

  #begin(key: string, from: dgram.RemoteInfo): UdpSession | undefined {
    if (this.#draining) return this.#drop('draining', from);
    const listener = this.view.listeners.find('');
    const stream = listener?.plan.stream;
    const target = listener?.streams?.find('');
    if (listener === undefined || stream?.kind !== 'udp' || target === undefined) return this.#drop('no-route', from);
    // The newest is refused: a flood of made-up addresses must not end the sessions of those who are there.
    if (this.#sessions.size >= stream.sessionsMax) return this.#drop('sessions-max', from);
    const backend = target.pickBackend();
    const endpoint = backend?.cluster?.pick(undefined);
    if (backend?.cluster === undefined || endpoint === undefined || endpoint instanceof Fault) {
      return this.#drop('no-backend', from);
    }
    const session = new UdpSession({
      port: this,
      key,
      client: from,
      listener,
      target,
      cluster: backend.cluster.key,
      endpoint,
      idleMs: stream.idleMs,
    });
    this.#sessions.set(key, session);
    this.metrics.sessionsOpen.add(1);
    this.metrics.sessionsOpened.add(1);
    session.begin();
    return session;
  }

  #drop(why: Parameters<DatagramMetrics['dropped']>[0], from: dgram.RemoteInfo): undefined {
    this.metrics.dropped(why);
    // That a drain drops is what it was asked for.
    if (why === 'draining') return undefined;
    const client = plainIp(from.address);
    this.#warn.warn('A datagram of a new client was dropped', { port: this.view.key, client, reason: why });
    return undefined;
  }

  #closeWhenQuiet(): void {
    if (this.#sessions.size > 0 || this.#closed) return;
    this.#closed = true;
    this.#socket.close(() => this.#quiet.resolve());
  }
}

interface SessionParts {
  readonly port: UdpPort;
  readonly key: string;
  readonly client: dgram.RemoteInfo;
  readonly listener: ListenerView;
  readonly target: StreamTarget;
  readonly cluster: string;
  readonly endpoint: Endpoint;
  readonly idleMs: number;
}

class UdpSession {
  readonly #parts: SessionParts;
  readonly #socket: dgram.Socket;
  readonly #silence: Timed;
  readonly #startMs: number;
  readonly #planVersion: string;
  #early: Buffer[] | undefined = [];
  #bytesIn = 0;
  #bytesOut = 0;
  #ended = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#planVersion = parts.port.planVersion;
    this.#startMs = parts.port.runtime.clock.nowMs();
    this.#silence = new Timed(() => this.end('finished', undefined));
    this.#socket = dgram.createSocket({ type: typeOf(parts.endpoint.address), lookup: noLookup });
  }

  begin(): void {
    const { target, endpoint, port, idleMs } = this.#parts;
    target.metrics.open.add(1);
    target.metrics.opened.add(1);
    port.runtime.wheel.arm(this.#silence, idleMs);
    this.#socket.on('error', (error) => this.#onError(error));
    this.#socket.on('message', (bytes) => this.#onReply(bytes));
    this.#socket.connect(endpoint.port, endpoint.address, () => this.#onConnected());
  }

  /** To the endpoint. */
  send(bytes: Buffer): void {
    const { port, idleMs } = this.#parts;
    this.#bytesIn += bytes.length;
    port.runtime.wheel.arm(this.#silence, idleMs);
    if (this.#early === undefined) this.#socket.send(bytes, this.#onSent);
    else if (this.#early.length < EARLY_MAX) this.#early.push(bytes);
    else port.metrics.dropped('send-failed');
  }

  end(end: StreamEnd, fault: Fault | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    const { port, key, target } = this.#parts;
    port.runtime.wheel.disarm(this.#silence);
    this.#socket.close();
    target.metrics.open.add(-1);
    target.metrics.ended(end);
    target.metrics.bytesIn.add(this.#bytesIn);
    target.metrics.bytesOut.add(this.#bytesOut);
    if (fault !== undefined) port.runtime.metrics.fault(fault.kind);
    this.#log(fault);
    port.forget(key);
  }

  #onConnected(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const bytes of early) this.#socket.send(bytes, this.#onSent);
  }

  #onReply(bytes: Buffer): void {
    if (this.#ended) return;
    const { port, client, endpoint, idleMs } = this.#parts;
    if (this.#bytesOut === 0) endpoint.noteReached();
    this.#bytesOut += bytes.length;
    port.runtime.wheel.arm(this.#silence, idleMs);
    port.metrics.datagramsOut.add(1);
    port.reply(bytes, client);
  }

  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.#onError(error);
  };

  /** The system has heard by ICMP that nobody is there. The next datagram begins a session with another endpoint. */
  #onError(error: NodeJS.ErrnoException): void {
    if (this.#ended) return;
    const { port, endpoint } = this.#parts;
    // One datagram was too long for the way, not more.
    if (error.code === 'EMSGSIZE') return port.metrics.dropped('send-failed');
    endpoint.noteFailed();
    const detail = `${endpoint.name}: ${error.code ?? error.message}`;
    this.end('upstream', new Fault('upstream.connect-refused', detail));
  }

  #log(fault: Fault | undefined): void {
    const { port, listener, target, cluster, endpoint, client } = this.#parts;
    if (!listener.gate.wants(0, fault)) return;
    const durationMs = port.runtime.clock.nowMs() - this.#startMs;
    port.runtime.accessLog.writeLine(durationMs, (time) =>
      streamLine(time, {
        protocol: 'udp',
        serverName: '',
        route: target.name,
        cluster,
        endpoint: endpoint.name,
        attempts: 1,
        listener: listener.key,
        clientIp: plainIp(client.address),
        clientPort: client.port,
        proxyIp: '',
        bytesIn: this.#bytesIn,
        bytesOut: this.#bytesOut,
        fault,
        planVersion: this.#planVersion,
        connectMs: 0,
        durationMs,
      }),
    );
  }
}

function typeOf(address: string): dgram.SocketType {
  return isIPv6(address) ? 'udp6' : 'udp4';
}

/** Only addresses come here: Node would ask its resolver about each datagram. */
function noLookup(
  address: string,
  _: unknown,
  done: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  done(null, address, isIPv6(address) ? 6 : 4);
}
