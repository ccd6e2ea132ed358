/**
 * TLS termination for one port. The ClientHello is read before any TLS engine is
 * started, because the listener that it names decides on everything else: not only
 * the certificate, as with OpenSSL's own server name callback, but also versions,
 * ciphers, and with whom a session may be resumed.
 */
import type { X509Certificate } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';
import type { Log } from '../base/log.ts';
import { Timed, type TimerWheel } from '../base/timers.ts';
import { type ClientCertificate, readClientCertificate } from './client-certificate.ts';
import { type ClientHello, readClientHello } from './client-hello.ts';
import { plainIp } from './read-buffer.ts';
import type { TicketKeys } from './ticket-keys.ts';
import {
  ACME_PROTOCOL,
  type ClientValidation,
  type FoundContext,
  type NoContext,
  TlsContexts,
  type TlsListener,
} from './tls-contexts.ts';
import { type HandshakeFailure, handshakeFailureOf } from './tls-failure.ts';
import { type Refused, refusalOf, workloadProblem } from './workload-check.ts';

/** The parts of `PlanPort` (ir/plan.ts) that concern TLS. */
export interface PortTlsPlan {
  readonly timeouts: { readonly handshakeMs: number };
  readonly clientValidation?: ClientValidation;
}

/** What is known of a client after its handshake. */
export interface SecureFacts {
  readonly peerIp: string;
  readonly peerPort: number;
  readonly scheme: 'https';
  /** Lower case; empty when the client named none. */
  readonly serverName: string;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly tlsVersion: string;
  /** Name as IANA has it: `TLS_AES_128_GCM_SHA256`. */
  readonly tlsCipher: string;
  /** What was agreed on by ALPN: `h2`, `http/1.1`; empty when the client offered nothing. */
  readonly alpn: string;
  /** Whether the client showed a certificate that the port's bundles vouch for. */
  readonly clientVerified: boolean;
  /** That certificate. */
  readonly clientCertificate?: ClientCertificate;
}

/** What becomes of a client that asks for a server name: TLS ends here, is passed on unread, or is closed without a word. */
export type HelloChoice = 'end' | 'pass' | 'refuse';

/** Exactly one of the events is called, once. */
export interface AcceptDone {
  /** Asked when the ClientHello is here. Without it, TLS always ends here. */
  choose?(serverName: string): HelloChoice;
  /** @param bytes  everything that was read, nothing of which was answered. The socket is paused. */
  onPassed?(bytes: Buffer, serverName: string): void;
  onSecure(socket: tls.TLSSocket, facts: SecureFacts): void;
  /** The socket is closed already. `detail` is for the log. */
  onFailed(failure: HandshakeFailure, detail: string): void;
  /** It was a validation of ACME, which ends with its handshake. The socket is closed already. */
  onValidated(): void;
}

/** Counts of one port: `PortMetrics` (observe/) fits as it is. */
export interface HandshakeCounters {
  readonly handshakesFull: { add(amount: number): void };
  readonly handshakesResumed: { add(amount: number): void };
  handshakeFailed(failure: HandshakeFailure): void;
}

export interface PortTlsOptions {
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: HandshakeCounters;
  readonly ticketKeys: TicketKeys;
  /** Time of day: certificates of workloads end. */
  wallMs(): number;
  /** Handshakes that may run at one time. Beyond: the newest is closed, so slow clients cannot fill memory. */
  readonly handshakesMax?: number;
}

const HANDSHAKES_MAX = 4_096;

/**
 * Handshakes that are started in one turn of the event loop. Each takes up to a
 * millisecond of signing; a storm of them must not hold up requests that run.
 */
const STARTS_PER_TURN = 4;

export class PortTls {
  readonly #options: PortTlsOptions;
  readonly #contexts: TlsContexts;
  readonly #handshakesMax: number;
  readonly #waiting: Waiting[] = [];
  #plan: PortTlsPlan = { timeouts: { handshakeMs: 0 } };
  #running = 0;
  #turnAsked = false;

  constructor(options: PortTlsOptions) {
    this.#options = options;
    this.#handshakesMax = options.handshakesMax ?? HANDSHAKES_MAX;
    this.#contexts = new TlsContexts(options.ticketKeys, (hostname, why) =>
      options.log.error(`Cannot use a certificate of listener "${hostname}": ${why}`),
    );
  }

  /** Handshakes that are running. */
  get handshakes(): number {
    return this.#running;
  }

  /** Takes a new plan, for connections that are accepted from now on. */
  update(plan: PortTlsPlan, listeners: readonly TlsListener[]): void {
    this.#plan = plan;
    this.#contexts.update({ listeners, clientValidation: plan.clientValidation });
  }

  /** Takes over a socket that nobody has read from yet. */
  accept(socket: net.Socket, done: AcceptDone): void {
    const { wheel, metrics, log } = this.#options;
    this.#running++;
    const handshake = new Handshake({
      socket,
      wheel,
      timeoutMs: this.#plan.timeouts.handshakeMs,
      wallMs: () => this.#options.wallMs(),
      onHello: (hello) => this.#enqueue(handshake, hello),
      done: {
        choose: (serverName) => done.choose?.(serverName) ?? 'end',
        onPassed: (bytes, serverName) => {
          this.#running--;
          done.onPassed?.(bytes, serverName);
        },
        onSecure: (secured, facts) => {
          this.#running--;
          (secured.isSessionReused() ? metrics.handshakesResumed : metrics.handshakesFull).add(1);
          if (facts.alpn !== ACME_PROTOCOL) return done.onSecure(secured, facts);
          log.debug('Answered a validation of ACME', { name: facts.serverName, client: facts.peerIp });
          endUnread(secured);
          return done.onValidated();
        },
        onFailed: (failure, detail) => {
          this.#running--;
          metrics.handshakeFailed(failure);
          log.debug('A TLS handshake failed', { failure, detail, client: handshake.peerIp });
          done.onFailed(failure, detail);
        },
      },
    });
    const max = this.#handshakesMax;
    if (this.#running > max) handshake.fail('overloaded', `${max} handshakes are running`);
    else handshake.listen();
  }

  #enqueue(handshake: Handshake, hello: ClientHello): void {
    this.#waiting.push({ handshake, hello });
    if (this.#turnAsked) return;
    this.#turnAsked = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    for (const waiting of this.#waiting.splice(0, STARTS_PER_TURN)) this.#start(waiting);
    this.#turnAsked = this.#waiting.length > 0;
    if (this.#turnAsked) setImmediate(() => this.#turn());
  }

  #start({ handshake, hello }: Waiting): void {
    if (handshake.ended) return;
    const found = this.#contexts.find(hello);
    if (typeof found === 'string') return handshake.refuse(found);
    // Who validates has no certificate of ours.
    const clientValidation = found.protocol === ACME_PROTOCOL ? undefined : this.#plan.clientValidation;
    handshake.start({ ...found, clientValidation });
  }
}

interface Waiting {
  readonly handshake: Handshake;
  readonly hello: ClientHello;
}

interface HandshakeOptions {
  readonly socket: net.Socket;
  readonly wheel: TimerWheel;
  readonly timeoutMs: number;
  wallMs(): number;
  /** The ClientHello is here. */
  readonly onHello: (hello: ClientHello) => void;
  readonly done: Required<Omit<AcceptDone, 'onValidated'>>;
}

interface HandshakeTerms extends FoundContext {
  readonly clientValidation: ClientValidation | undefined;
}

/** One client from its first byte to a secure connection: hello -> waiting for its turn -> TLS engine -> ended. */
class Handshake {
  readonly peerIp: string;
  ended = false;

  readonly #options: HandshakeOptions;
  readonly #peerPort: number;
  readonly #timer: Timed;
  #serverName = '';
  #hello: Buffer = Buffer.alloc(0);
  #secured: tls.TLSSocket | undefined;

  constructor(options: HandshakeOptions) {
    this.#options = options;
    const { socket } = options;
    this.peerIp = plainIp(socket.remoteAddress);
    this.#peerPort = socket.remotePort ?? 0;
    this.#timer = new Timed(() => this.fail('timeout', `No handshake within ${options.timeoutMs} ms`));
  }

  listen(): void {
    const { socket, wheel, timeoutMs } = this.#options;
    if (timeoutMs > 0) wheel.arm(this.#timer, timeoutMs);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onEnd);
  }

  start({ context, clientValidation, protocol }: HandshakeTerms): void {
    const { socket } = this.#options;
    socket.off('end', this.#onEnd);
    socket.unshift(this.#hello);
    this.#hello = Buffer.alloc(0);
    const secured = new tls.TLSSocket(socket, {
      isServer: true,
      secureContext: context,
      ...(protocol === '' ? {} : { ALPNProtocols: [protocol] }),
      requestCert: clientValidation !== undefined,
      rejectUnauthorized: clientValidation?.mode === 'required',
    });
    this.#secured = secured;
    secured.on('error', this.#onError);
    secured.on('close', this.#onEnd);
    secured.once('secure', () => this.#onSecure(secured, clientValidation));
  }

  /** There is nothing to begin with: said in the words of TLS, as no engine was started that could. */
  refuse(reason: NoContext): void {
    const { socket } = this.#options;
    const { failure, alert } = REFUSALS[reason];
    this.#end(failure, this.#serverName === '' ? 'no server name' : this.#serverName);
    // With the read side open, closing would reset the connection before the alert is read.
    socket.end(alert);
    socket.resume();
    socket.setTimeout(ALERT_LINGER_MS, () => socket.destroy());
  }

  fail(failure: HandshakeFailure, detail: string): void {
    if (this.ended) return;
    this.#secured?.destroy();
    this.#options.socket.destroy();
    this.#end(failure, detail);
  }

  /** Ends without success; the sockets may live on for their last words, so they keep a listener for errors. */
  #end(failure: HandshakeFailure, detail: string): void {
    this.#detach();
    this.#options.done.onFailed(failure, detail);
  }

  #detach(): void {
    this.ended = true;
    this.#options.wheel.disarm(this.#timer);
    const { socket } = this.#options;
    for (const from of [socket, this.#secured]) {
      from?.off('error', this.#onError);
      from?.off('close', this.#onEnd);
    }
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.on('error', ignore);
  }

  readonly #onData = (bytes: Buffer): void => {
    this.#hello = this.#hello.length === 0 ? bytes : Buffer.concat([this.#hello, bytes]);
    const hello = readClientHello(this.#hello);
    if (hello === 'more') return;
    if (hello === 'not-tls' || hello === 'malformed') {
      this.fail(hello, hello === 'not-tls' ? 'The first bytes are not TLS' : 'The ClientHello is malformed');
      return;
    }
    const { socket, onHello, done } = this.#options;
    socket.off('data', this.#onData);
    socket.pause();
    this.#serverName = hello.serverName;
    const choice = done.choose(hello.serverName);
    if (choice === 'end') return onHello(hello);
    if (choice === 'refuse') return this.fail('unknown-name', hello.serverName || 'no server name');
    this.#detach();
    socket.off('error', ignore);
    done.onPassed(this.#hello, hello.serverName);
  };

  readonly #onEnd = (): void => this.fail('aborted', 'The client closed the connection');

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.fail(handshakeFailureOf(error), error.code ?? error.message);
  };

  #refusal(
    { mode, cas, workloads }: ClientValidation,
    secured: tls.TLSSocket,
    shown: X509Certificate | undefined,
  ): Refused | undefined {
    const problem = clientProblem(secured, shown);
    if (problem !== undefined) {
      if (mode !== 'required') return undefined;
      if (workloads !== undefined) return refusalOf(shown, problem);
      const failure = shown === undefined ? 'client-certificate-missing' : 'client-certificate-invalid';
      return { failure, detail: problem };
    }
    if (workloads === undefined) return undefined;
    const session = secured.isSessionReused() ? 'resumed' : 'full';
    return workloadProblem({ certificate: shown!, wallMs: this.#options.wallMs(), session }, { cas, workloads });
  }

  #onSecure(secured: tls.TLSSocket, validation: ClientValidation | undefined): void {
    if (this.ended) return;
    const shown = validation === undefined ? undefined : secured.getPeerX509Certificate();
    const problem = clientProblem(secured, shown);
    const refused = validation === undefined ? undefined : this.#refusal(validation, secured, shown);
    if (refused !== undefined) return this.fail(refused.failure, refused.detail);
    const certificate = problem === undefined ? shown : undefined;
    this.#detach();
    this.#options.done.onSecure(secured, {
      peerIp: this.peerIp,
      peerPort: this.#peerPort,
      scheme: 'https',
      serverName: this.#serverName,
      tlsVersion: secured.getProtocol() ?? '',
      tlsCipher: secured.getCipher().standardName,
      alpn: secured.alpnProtocol || '',
      clientVerified: certificate !== undefined,
      ...(certificate === undefined ? {} : { clientCertificate: readClientCertificate(certificate) }),
    });
  }
}

/**
 * What is wrong with the client's certificate, or undefined when OpenSSL has
 * verified it against the bundles of the port. `ssl.verifyError` is what Node's
 * own servers ask; without it nothing counts as verified.
 */
function clientProblem(secured: tls.TLSSocket, shown: X509Certificate | undefined): string | undefined {
  // A resumed session without a certificate verifies as "ok", so look for the certificate itself.
  if (shown === undefined) return 'The client showed no certificate';
  const { ssl } = secured as unknown as { ssl?: { verifyError?(): NodeJS.ErrnoException | null | undefined } };
  if (ssl?.verifyError === undefined) return 'The result of the verification is not known';
  const error = ssl.verifyError();
  return error === null || error === undefined ? undefined : `${error.code ?? 'invalid'}: ${error.message}`;
}

/** Nothing follows a validation, and what its client sends is not read (RFC 8737 section 3). */
function endUnread(secured: tls.TLSSocket): void {
  secured.on('error', ignore);
  secured.setTimeout(ALERT_LINGER_MS, () => secured.destroy());
  secured.resume();
  secured.end();
}

/** How long a refused client may take to read its alert. */
const ALERT_LINGER_MS = 1_000;

/** A fatal alert (RFC 8446 section 6): record type 21, version 3.1, two bytes, level 2, description. */
const fatalAlert = (description: number): Buffer => Buffer.from([21, 3, 1, 0, 2, 2, description]);

const REFUSALS: Readonly<Record<NoContext, { readonly failure: HandshakeFailure; readonly alert: Buffer }>> = {
  'unknown-name': { failure: 'unknown-name', alert: fatalAlert(112) }, // unrecognized_name
  'no-certificate': { failure: 'no-certificate', alert: fatalAlert(80) }, // internal_error
  'no-protocol': { failure: 'alpn', alert: fatalAlert(120) }, // no_application_protocol
};

const ignore = (): void => undefined;
