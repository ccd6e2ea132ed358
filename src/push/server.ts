/**
 * The port of a control plane, for proxies: TLS, then gRPC.
 *
 * A connection with a certificate of a trusted root and of the trust domain has
 * a plan; one without a certificate meets a server that knows nothing but
 * joining; every other one is closed, logged and counted before gRPC sees it.
 */
import { constants, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { createServer, type SecureContextOptions, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { type ConnectionInjector, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import { pushFault, wordsOf } from './faults.ts';
import { channelOptions, JOIN_SERVICE, KEEPALIVE, type Keepalive, PLAN_SERVICE } from './grpc-shapes.ts';
import type { Hub } from './hub.ts';
import { joinHandlers } from './join-server.ts';
import type { Joining } from './joining.ts';
import type { ControlMessage } from './messages.ts';
import { Outlet } from './outlet.ts';
import { type Credentials, identityOf } from './peer.ts';
import type { ServerSession } from './server-session.ts';
import { ToControlReader } from './wire-to-control.ts';
import { encodeToProxy } from './wire-to-proxy.ts';

const HANDSHAKE_MS = 10_000;

/** A connection that may only join has done so by then. */
const JOIN_MS = 30_000;

/** Connections without a certificate at a time. Beyond: closed at once, so that they cannot crowd out the proxies. */
const STRANGERS_MAX = 256;

/** Connections of all kinds: each has a socket. */
const CONNECTIONS_MAX = 25_000;

/** Calls at a time on one connection: a stream and a renewal. */
const CALLS_MAX = 8;

/** For the last words of a stream to reach the proxy. */
const LAST_WORDS_MS = 1_000;

/** Timers of Node end at 24.8 days; a certificate may not. */
const EXPIRY_CHECK_MS_MAX = 24 * 3_600_000;

export interface PushServerOptions {
  readonly hub: Hub;
  readonly joining: Joining;
  readonly credentials: Credentials;
  /** Those whose proxies get a plan here. */
  readonly trustDomains: readonly string[];
  readonly clock: Clock;
  readonly keepalive?: Keepalive;
  readonly strangersMax?: number;
}

export class PushServer {
  readonly #options: PushServerOptions;
  /** What comes here is given to {@link #tls}, as much as it can take. */
  readonly #door: TcpServer;
  readonly #tls: TlsServer;
  readonly #proxies: Server;
  readonly #strangers: Server;
  /** Open connections of proxies, by `ADDRESS:PORT` of the other end, as gRPC names it. */
  readonly #sockets = new Map<string, TLSSocket>();
  #strangersOpen = 0;

  private constructor(options: PushServerOptions) {
    this.#options = options;
    const { keepalive = KEEPALIVE, joining, hub, trustDomains } = options;
    const grpcOptions = { ...channelOptions(keepalive), 'grpc.max_concurrent_streams': CALLS_MAX };
    const join = joinHandlers({ joining, trustDomains, refuse: (fault, peer) => hub.refuse(fault, { peer }) });
    this.#proxies = new Server(grpcOptions);
    this.#proxies.addService(JOIN_SERVICE, join);
    this.#proxies.addService(PLAN_SERVICE, {
      Stream: (call: ServerDuplexStream<Buffer, Buffer>) => this.#onStream(call),
    });
    this.#strangers = new Server(grpcOptions);
    this.#strangers.addService(JOIN_SERVICE, join);
    // TLS was ended before: what comes here is what it carried.
    const clear = ServerCredentials.createInsecure();
    const proxies = this.#proxies.createConnectionInjector(clear);
    const strangers = this.#strangers.createConnectionInjector(clear);

    this.#tls = createServer({
      ...contextOf(options.credentials),
      // Looked at below: a refusal of TLS itself could be neither logged nor counted by its reason.
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      handshakeTimeout: HANDSHAKE_MS,
    });
    this.#door = createTcpServer({ noDelay: true }, (socket) => {
      if (this.#options.hub.admit() === 'admitted') this.#tls.emit('connection', socket);
      else socket.destroy();
    });
    this.#door.maxConnections = CONNECTIONS_MAX;
    this.#tls.on('secureConnection', (socket) => this.#onConnection(socket, { proxies, strangers }));
    this.#tls.on('tlsClientError', (error: Error, socket) => {
      // A client that does not trust us says so by an alert.
      hub.refuse(pushFault('push.unauthenticated', `The handshake failed: ${error.message}`), {
        peer: socket.remoteAddress,
      });
    });
  }

  /** @throws {Error} when the address cannot be bound */
  static async listen(
    { host, port }: { readonly host: string; readonly port: number },
    options: PushServerOptions,
  ): Promise<PushServer> {
    const server = new PushServer(options);
    server.#door.listen({ host, port });
    await once(server.#door, 'listening');
    return server;
  }

  get port(): number {
    return (this.#door.address() as AddressInfo).port;
  }

  /** Connections of proxies that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Counts for every handshake from now on; what runs goes on. */
  rotate(credentials: Credentials): void {
    this.#tls.setSecureContext(contextOf(credentials));
  }

  /** Ends every stream with a word, then the port. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#door.close(resolve));
    this.#options.hub.close();
    for (const server of [this.#proxies, this.#strangers]) {
      // oxlint-disable-next-line no-await-in-loop -- two of them
      await this.#shutdown(server);
    }
    for (const socket of this.#sockets.values()) socket.destroy();
    await closed;
  }

  async #shutdown(server: Server): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(LAST_WORDS_MS, resolve);
    server.tryShutdown(() => resolve());
    await promise;
    cancel();
    server.forceShutdown();
  }

  #onConnection(
    socket: TLSSocket,
    to: { readonly proxies: ConnectionInjector; readonly strangers: ConnectionInjector },
  ): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    socket.on('error', () => socket.destroy());
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return this.#onStranger(socket, to.strangers);
    const identity = socket.authorized
      ? identityOf(certificate, this.#options.trustDomains)
      : pushFault('push.unauthenticated', `The certificate is refused: ${String(socket.authorizationError)}`);
    if (identity instanceof Fault) {
      this.#options.hub.refuse(identity, { peer });
      socket.destroy();
      return;
    }
    this.#sockets.set(peer, socket);
    socket.once('close', () => this.#sockets.delete(peer));
    to.proxies.injectConnection(socket);
  }

  #onStranger(socket: TLSSocket, to: ConnectionInjector): void {
    const { clock, hub, strangersMax = STRANGERS_MAX } = this.#options;
    if (this.#strangersOpen >= strangersMax) {
      hub.refuse(pushFault('push.busy', `${strangersMax} connections are joining`), { peer: socket.remoteAddress });
      socket.destroy();
      return;
    }
    this.#strangersOpen++;
    const cancel = clock.after(JOIN_MS, () => socket.destroy());
    socket.once('close', () => {
      cancel();
      this.#strangersOpen--;
    });
    to.injectConnection(socket);
  }

  #onStream(call: ServerDuplexStream<Buffer, Buffer>): void {
    const { clock, hub, trustDomains } = this.#options;
    const raw = call.getAuthContext().sslPeerCertificate?.raw;
    const socket = this.#sockets.get(call.getPeer());
    if (raw === undefined || socket === undefined) {
      return endCall(call, pushFault('push.unauthenticated', 'There is no certificate'));
    }
    const certificate = new X509Certificate(raw);
    const identity = identityOf(certificate, trustDomains);
    if (identity instanceof Fault) return endCall(call, identity);

    let session: ServerSession | undefined;
    const outlet = new Outlet<ControlMessage>({
      encode: encodeToProxy,
      write: (bytes, done) => void call.write(bytes, done),
      onProgress: () => session?.progressed(),
      onDrained: () => session?.drained(),
    });
    session = hub.accept(identity, {
      send: (message) => outlet.send(message),
      end: (fault) => {
        outlet.close();
        endCall(call, fault);
        // One that does not read would keep its last words, and the socket, for ever.
        const cancel = clock.after(LAST_WORDS_MS, () => socket.destroy());
        socket.once('close', cancel);
      },
    });
    if (session !== undefined) this.#carry(call, session, certificate.validToDate.getTime());
  }

  #carry(call: ServerDuplexStream<Buffer, Buffer>, session: ServerSession, notAfterMs: number): void {
    const { clock } = this.#options;
    const reader = new ToControlReader();
    let cancelExpiry = (): void => undefined;
    const gone = (): void => {
      cancelExpiry();
      session.gone(pushFault('push.away', 'The proxy has ended the stream'));
    };
    // Whose certificate is over has had the time to show a newer one.
    const checkExpiry = (): void => {
      const leftMs = notAfterMs - clock.wallMs();
      if (leftMs <= 0) session.end(pushFault('push.closed', 'The certificate that began it is over'));
      else cancelExpiry = clock.after(Math.min(leftMs, EXPIRY_CHECK_MS_MAX), checkExpiry);
    };
    checkExpiry();
    call.on('data', (bytes: Buffer) => {
      const message = reader.take(bytes);
      if (message === undefined) return;
      if ('code' in message) session.end(message);
      else session.receive(message);
    });
    call.on('cancelled', gone);
    call.on('close', gone);
    call.on('error', gone);
    call.on('end', () => {
      gone();
      call.end();
    });
  }
}

function contextOf({ chainPem, keyPem, trustPem }: Credentials): SecureContextOptions {
  return {
    cert: chainPem,
    key: keyPem,
    ca: trustPem,
    minVersion: 'TLSv1.3',
    // Every connection shows its certificate anew: a ticket would speak for one that has expired or was denied.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function endCall(call: ServerDuplexStream<Buffer, Buffer>, fault: Fault): void {
  call.emit('error', { code: fault.kind.grpc, details: wordsOf(fault) });
}
