/**
 * The life of one connection below HTTP:
 *
 *     accepted -> (PROXY header) -> (ClientHello: server name) -> listener     bound-port.ts
 *     1 route -> 2 access -> 3 backend -> 4 endpoint -> 5 connection -> 6 tunnel -> 7 end  here
 *
 * What passes is never read. A connection that leads nowhere is closed in a way that its client can tell from an end.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { Fault } from '../base/fault.ts';
import type { Random } from '../base/random.ts';
import { workloadOf } from '../http/client-identity.ts';
import { SocketTunnel } from '../http/socket-tunnel.ts';
import type { ClientFacts, GivenConnection, ServerConn } from '../http/stream.ts';
import type { PlanCluster } from '../ir/plan.ts';
import { type ProxyHeader, writeProxyHeader } from '../net/proxy-protocol.ts';
import { type Intake, plainIp } from '../net/read-buffer.ts';
import { StreamReads } from '../net/stream-reads.ts';
import { type StreamEntry, streamLine } from '../observe/stream-log.ts';
import type { StreamEnd } from '../observe/stream-metrics.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { TunnelResult } from './run-tunnel.ts';
import type { ListenerView, LivePort } from './runtime.ts';
import type { StreamTarget } from './stream-target.ts';
import type { Endpoint } from './upstream/endpoint.ts';

export interface StreamClient {
  readonly socket: Socket;
  readonly intake: Intake | undefined;
  /** Bytes that were read before and belong to the stream. */
  readonly early?: Buffer | undefined;
  readonly facts: ClientFacts;
  readonly proxyHeader: ProxyHeader | undefined;
  readonly listener: ListenerView | undefined;
  /** Where the client waits to hear whether there is an upstream (CONNECT). */
  readonly opening?: StreamOpening | undefined;
}

export interface StreamOpening {
  /** Says so. What `socket`, `intake` and `early` would be comes from here. */
  establish(): GivenConnection;
  /** Says that there is none, in place of a reset. */
  refuse(fault: Fault): void;
}

export class StreamExchange implements ServerConn {
  readonly requests = 1;
  readonly #port: LivePort;
  readonly #client: StreamClient;
  readonly #planVersion: string;
  readonly #onClosed: (closed: ServerConn) => void;
  readonly #startMs: number;
  #target: StreamTarget | undefined;
  #cluster: Cluster | undefined;
  #endpoint: Endpoint | undefined;
  /** What would have refused it. */
  #audited: string | undefined;
  #attempts = 0;
  #connectedMs = 0;
  /** Gives up the connection that is being made. */
  #cancel: (() => void) | undefined;
  #ended = false;

  constructor(port: LivePort, client: StreamClient, onClosed: (closed: ServerConn) => void) {
    this.#port = port;
    this.#client = client;
    this.#planVersion = port.planVersion;
    this.#onClosed = onClosed;
    this.#startMs = port.runtime.clock.nowMs();
  }

  begin(): void {
    const { listener, facts, socket } = this.#client;
    socket.on('error', ignore);
    this.#port.exchangeStarted();
    // 1
    this.#target = listener?.streams?.find(facts.serverName);
    if (this.#target === undefined) return this.#refuse(new Fault('stream.no-route', noRoute(listener, facts)));
    listener!.use.times++;
    this.#target.metrics.open.add(1);
    this.#target.metrics.opened.add(1);
    // 2
    const { refused, audited } = this.#target.access(workloadOf(facts.clientCertificate)?.id);
    this.#audited = audited;
    if (refused !== undefined) return this.#refuse(new Fault('stream.denied', refused));
    // 3
    const backend = this.#target.pickBackend();
    if (backend?.cluster === undefined) {
      const why = backend?.why ?? 'Every backend has weight 0';
      return this.#refuse(new Fault('route.backend-invalid', why));
    }
    this.#cluster = backend.cluster;
    this.#cluster.budget.noteRequest(this.#port.runtime.wheel.readMs());
    this.#connect(this.#cluster, undefined);
  }

  /** Nothing new begins here; what runs is ended by the tunnel's own drain. */
  drain(): void {}

  destroy(): void {
    this.#giveUp(new Fault('proxy.draining', 'The connection was cut at the end of the drain'));
  }

  /** The client has gone before there was an upstream. */
  abandon(): void {
    this.#giveUp(new Fault('request.aborted', 'Client closed the connection'));
  }

  #giveUp(fault: Fault): void {
    if (this.#ended) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#refuse(fault);
  }

  // 4, 5
  #connect(cluster: Cluster, avoid: Endpoint | undefined): void {
    const endpoint = cluster.pick(avoid);
    if (endpoint instanceof Fault) return this.#refuse(endpoint);
    this.#endpoint = endpoint;
    this.#attempts++;
    const started = endpoint.openStream(this.#preface(cluster.plan), {
      onOpen: (socket, intake) => {
        this.#cancel = undefined;
        this.#join(endpoint, { socket, intake });
      },
      onFailed: (fault) => {
        this.#cancel = undefined;
        this.#onNoConnection(cluster, endpoint, fault);
      },
    });
    if (started instanceof Fault) return this.#onNoConnection(cluster, endpoint, started);
    this.#cancel = started;
  }

  #onNoConnection(cluster: Cluster, endpoint: Endpoint, fault: Fault): void {
    const again =
      this.#attempts <= cluster.plan.settings.connectRetries && cluster.budget.take(this.#port.runtime.wheel.readMs());
    if (!again) return this.#refuse(fault);
    cluster.counters.retried();
    this.#connect(cluster, endpoint);
  }

  /** What the upstream is told of the client, where its policy asks for that. */
  #preface({ proxyProtocol }: PlanCluster): Buffer | undefined {
    if (proxyProtocol === undefined) return undefined;
    const { facts, proxyHeader, socket } = this.#client;
    const tls = socket instanceof TLSSocket ? tlsFacts(facts) : proxyHeader?.tls;
    return writeProxyHeader(
      {
        source: { ip: facts.peerIp, port: facts.peerPort },
        destination: proxyHeader?.destination ?? { ip: plainIp(socket.localAddress), port: socket.localPort ?? 0 },
        alpn: socket instanceof TLSSocket ? socket.alpnProtocol || '' : (proxyHeader?.alpn ?? ''),
        authority: facts.serverName === '' ? (proxyHeader?.authority ?? '') : facts.serverName,
        uniqueId: proxyHeader?.uniqueId ?? uniqueId(this.#port.runtime.random),
        tls,
      },
      proxyProtocol,
    );
  }

  // 6
  #join(endpoint: Endpoint, upstream: { readonly socket: Duplex; readonly intake: Intake | undefined }): void {
    const { listener, opening } = this.#client;
    const { socket, intake, early } = opening?.establish() ?? this.#client;
    this.#connectedMs = this.#port.runtime.clock.nowMs();
    // Each side reads into memory that the other one sends from.
    if (intake instanceof StreamReads) intake.target = upstream.socket;
    if (upstream.intake instanceof StreamReads) upstream.intake.target = socket;
    socket.off('error', ignore);
    this.#port.runTunnel(
      {
        client: new SocketTunnel({ socket, intake, early }),
        upstream: new SocketTunnel(upstream),
        protocol: 'other',
      },
      { ...listener!.plan.settings.tunnel, ...this.#target!.plan.tunnel },
      (result) => {
        endpoint.streamClosed();
        for (const reads of [intake, upstream.intake]) if (reads instanceof StreamReads) reads.close();
        this.#end(result);
      },
    );
  }

  /** No tunnel was made of it. */
  #refuse(fault: Fault): void {
    if (this.#ended) return;
    const { socket, intake, opening } = this.#client;
    if (opening !== undefined) opening.refuse(fault);
    else if (socket instanceof TLSSocket) socket.destroy();
    else socket.resetAndDestroy();
    if (intake instanceof StreamReads) intake.close();
    this.#end({ bytesFromClient: 0, bytesFromUpstream: 0, fault });
  }

  // 7
  #end({ bytesFromClient, bytesFromUpstream, fault }: TunnelResult): void {
    this.#ended = true;
    const { runtime } = this.#port;
    if (this.#target !== undefined) {
      const { metrics } = this.#target;
      metrics.open.add(-1);
      metrics.bytesIn.add(bytesFromClient);
      metrics.bytesOut.add(bytesFromUpstream);
      metrics.ended(endOf(fault, this.#connectedMs > 0));
    }
    if (fault !== undefined) runtime.metrics.fault(fault.kind);
    this.#log({ bytesFromClient, bytesFromUpstream, fault });
    this.#port.exchangeEnded();
    this.#onClosed(this);
  }

  #log({ bytesFromClient, bytesFromUpstream, fault }: TunnelResult): void {
    const { listener, facts } = this.#client;
    const { runtime } = this.#port;
    if (listener === undefined) {
      runtime.log.debug('A connection was refused', { why: fault?.detail ?? '', client: facts.peerIp });
      return;
    }
    const isLogged = listener.gate.wants(0, fault);
    const watcher = runtime.watch.on;
    if (!isLogged && watcher === undefined) return;
    const durationMs = runtime.clock.nowMs() - this.#startMs;
    const entry: StreamEntry = {
      protocol: listener.plan.stream?.kind ?? 'tcp',
      serverName: facts.serverName,
      route: this.#target?.name ?? '',
      cluster: this.#cluster?.key ?? '',
      endpoint: this.#endpoint?.name ?? '',
      attempts: this.#attempts,
      listener: listener.key,
      clientIp: facts.peerIp,
      clientPort: facts.peerPort,
      proxyIp: facts.proxyIp ?? '',
      clientCertificate: facts.clientCertificate,
      bytesIn: bytesFromClient,
      bytesOut: bytesFromUpstream,
      fault,
      audited: this.#audited,
      planVersion: this.#planVersion,
      connectMs: this.#connectedMs === 0 ? 0 : this.#connectedMs - this.#startMs,
      durationMs,
    };
    if (isLogged) runtime.accessLog.writeLine(durationMs, (time) => streamLine(time, entry));
    watcher?.onStream(entry);
  }
}

/** Of faults that end a tunnel; everything else ends a connection before it has one. */
const ENDS: Readonly<Record<string, StreamEnd>> = {
  'request.aborted': 'client',
  'upstream.closed': 'upstream',
  'tunnel.idle': 'limit',
  'tunnel.max': 'limit',
  'proxy.draining': 'drained',
};

function endOf(fault: Fault | undefined, connected: boolean): StreamEnd {
  if (fault === undefined) return 'finished';
  return (connected ? ENDS[fault.code] : undefined) ?? 'refused';
}

/** 16 bytes: as many as a UUID has. */
function uniqueId(random: Random): Buffer {
  const id = Buffer.allocUnsafe(16);
  for (let at = 0; at < id.length; at += 4) id.writeUInt32BE(random.bits32(), at);
  return id;
}

function tlsFacts({ tlsVersion, tlsCipher, clientCertificate }: ClientFacts): NonNullable<ProxyHeader['tls']> {
  const commonName = clientCertificate?.commonName ?? '';
  return { version: tlsVersion, cipher: tlsCipher, commonName, verified: clientCertificate !== undefined };
}

function noRoute(listener: ListenerView | undefined, { serverName }: ClientFacts): string {
  const name = serverName === '' ? 'a client without server name' : `server name "${serverName}"`;
  return listener === undefined ? `No listener takes ${name}` : `No route of ${listener.key} takes ${name}`;
}

const ignore = (): void => undefined;
