/**
 * One HTTP/1.1 connection to an upstream. Carries one request at a time, offered
 * to the proxy as a {@link ClientStream}; between requests it lies in the pool.
 * An answer that breaks the rules is reported as a fault and the connection is
 * destroyed: nothing that follows a broken message can be trusted.
 */
import type { Duplex } from 'node:stream';
import { Fault } from '../../base/fault.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import type { Intake } from '../../net/read-buffer.ts';
import { refusalOf } from '../../net/tls-client.ts';
import { Headers } from '../headers.ts';
import type { ResponseHead } from '../message.ts';
import { SocketTunnel } from '../socket-tunnel.ts';
import type { ClientStream, ClientStreamEvents, UpstreamRequest } from '../stream.ts';
import { checkAccepted, makeKey } from '../ws/handshake.ts';
import { BodyReader, type BodySink } from './body-reader.ts';
import { type FoundHead, HeadCollector } from './head-collector.ts';
import { LastHead } from './last-head.ts';
import { emptyFacts, parseResponseHead } from './parse-head.ts';
import { type Framing, WireWriter } from './wire-writer.ts';

export interface ClientConnOptions {
  readonly socket: Duplex;
  /** Set when bytes come this way instead of by `data` events. */
  readonly intake?: Intake | undefined;
  readonly wheel: TimerWheel;
  readonly headerBytesMax: number;
  /** Longest silence while an answer is awaited or under way; 0 for none. */
  readonly idleMs: number;
  /** How long the connection may lie unused. */
  readonly keepAliveMs: number;
  /** The answer is complete and the connection can carry another request. Called before the last event. */
  onIdle(conn: H1ClientConn): void;
  /** The connection is gone. `idleForMs`: how long it had lain unused, when the peer closed it then. */
  onClosed(conn: H1ClientConn, idleForMs: number | undefined): void;
}

type State = 'idle' | 'head' | 'body' | 'tunnel' | 'closed';

const STATUS_LINE_BYTES_MAX = 8_192;
const HEADERS_MAX = 256;
const LIMITS = { headersMax: HEADERS_MAX };
const TRAILER_BYTES_MAX = 16_384;
/** RFC 9110 section 15.2 sets no bound; a server that never comes to the point is broken. */
const INFORMATIONAL_MAX = 32;

export class H1ClientConn implements ClientStream, BodySink {
  /** Requests that were sent here before the one that runs. */
  uses = -1;

  readonly #options: ClientConnOptions;
  readonly #socket: Duplex;
  readonly #writer: WireWriter;
  readonly #collector: HeadCollector;
  readonly #body = new BodyReader();
  readonly #facts = emptyFacts();
  readonly #lastHead = new LastHead();
  #response: ResponseHead = { status: 0, reason: '', headers: new Headers(), bodyLength: 0 };
  readonly #timer: Timed;
  #state: State = 'idle';
  #events: ClientStreamEvents | undefined;
  #method = '';
  #upgradeAsked = false;
  /** Of the WebSocket handshake that runs; empty when none does. */
  #socketKey = '';
  #requestSent = true;
  #reusable = true;
  #bytesReceived = 0;
  /** The answer waits for its reader. */
  #paused = false;
  #informational = 0;
  #idleSinceMs = 0;
  #keepAliveMs: number;

  constructor(options: ClientConnOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#writer = new WireWriter(options.socket);
    this.#collector = new HeadCollector(STATUS_LINE_BYTES_MAX, options.headerBytesMax);
    this.#body.limit(0, TRAILER_BYTES_MAX, HEADERS_MAX);
    this.#keepAliveMs = options.keepAliveMs;
    this.#timer = new Timed(() => this.#onTimeout());
    const socket = options.socket;
    const take = (bytes: Buffer): void => this.#onData(bytes);
    if (options.intake === undefined) socket.on('data', take);
    else options.intake.take = take;
    socket.on('drain', () => this.#events?.onUpstreamWritable());
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error: NodeJS.ErrnoException) => this.#lost(error.code ?? error.message));
    socket.on('close', () => this.#lost('closed'));
  }

  /** Whether the connection can carry a request now. */
  get usable(): boolean {
    return this.#state === 'idle' && !this.#socket.destroyed && this.#socket.writable;
  }

  /** That were sent here. */
  get requests(): number {
    return this.uses + 1;
  }

  get answerSeen(): number {
    return this.#facts.seen;
  }

  /** Takes the connection out of the pool for one request. */
  begin(events: ClientStreamEvents): void {
    this.#events = events;
    this.#state = 'head';
    this.uses++;
    this.#requestSent = false;
    this.#reusable = true;
    this.#bytesReceived = 0;
    this.#informational = 0;
    if (this.#options.idleMs > 0) this.#options.wheel.arm(this.#timer, this.#options.idleMs);
  }

  /** Closes an unused connection; a busy one is not kept after its answer. */
  retire(): void {
    this.#reusable = false;
    this.#keepAliveMs = 0;
    if (this.#state === 'idle') this.#close();
  }

  // --- the proxy speaks --------------------------------------------------------------------------------------------

  sendHead(request: UpstreamRequest): void {
    this.#method = request.method;
    this.#upgradeAsked = request.upgrade !== undefined;
    this.#socketKey = request.upgrade === 'websocket' ? makeKey() : '';
    let framing: Framing = 'none';
    let lines = '';
    if (request.bodyLength > 0) {
      framing = 'length';
      lines = `content-length: ${request.bodyLength}\r\n`;
    } else if (request.bodyLength < 0) {
      framing = 'chunked';
      lines = 'transfer-encoding: chunked\r\n';
    } else if (request.method === 'POST' || request.method === 'PUT' || request.method === 'PATCH') {
      lines = 'content-length: 0\r\n'; // RFC 9110 section 8.6
    }
    if (request.expectContinue) lines += 'expect: 100-continue\r\n';
    if (request.upgrade !== undefined) lines += `connection: upgrade\r\nupgrade: ${request.upgrade}\r\n`;
    if (this.#socketKey !== '') lines += `sec-websocket-key: ${this.#socketKey}\r\n`;
    this.#writer.start(
      `${request.method} ${request.target} HTTP/1.1\r\nhost: ${request.authority}\r\n${request.headers.toLines()}${request.extraLines}${lines}\r\n`,
      framing,
      Math.max(0, request.bodyLength),
    );
  }

  sendBody(bytes: Buffer): boolean {
    if (this.#state === 'closed') return true;
    const more = this.#writer.body(bytes);
    return more === true; // an overrun cannot happen: the server codec cuts the body at its length
  }

  sendEnd(trailers: Headers | undefined): void {
    if (this.#state === 'closed') return;
    this.#requestSent = true;
    this.#writer.end(trailers);
  }

  flush(): void {
    if (this.#state !== 'closed') this.#writer.flush();
  }

  pauseAnswer(): void {
    this.#paused = true;
    this.#socket.pause();
    this.#options.wheel.disarm(this.#timer);
  }

  resumeAnswer(): void {
    if (this.#options.idleMs > 0) this.#options.wheel.arm(this.#timer, this.#options.idleMs);
    this.#paused = false;
    this.#socket.resume();
  }

  keepAnswerHead(): void {
    this.#response = { status: 0, reason: '', headers: new Headers(), bodyLength: 0 };
    this.#lastHead.forget();
  }

  abort(): void {
    this.#events = undefined;
    if (this.#state !== 'idle') this.#close();
  }

  // --- the wire speaks ---------------------------------------------------------------------------------------------

  #onData(bytes: Buffer): void {
    switch (this.#state) {
      case 'head':
        this.#bytesReceived += bytes.length;
        if (this.#options.idleMs > 0) this.#options.wheel.arm(this.#timer, this.#options.idleMs);
        this.#readHead(bytes);
        break;
      case 'body':
        if (this.#options.idleMs > 0) this.#options.wheel.arm(this.#timer, this.#options.idleMs);
        this.#readBody(bytes);
        break;
      case 'idle': // an answer that nobody asked for must not meet the next request
        this.#close();
        break;
      case 'tunnel':
      case 'closed':
        break;
    }
  }

  #readHead(received: Buffer): void {
    let bytes: Buffer | undefined = received;
    while (bytes !== undefined && this.#state === 'head') {
      const found = this.#collector.take(bytes);
      if (found === 'more') return;
      const fault = found instanceof Fault ? asAnswer(found) : this.#parse(found);
      if (fault !== undefined || found instanceof Fault) return this.#fail(fault!);
      const { status } = this.#facts;
      this.#response.status = status;
      this.#response.reason = this.#facts.reason;
      if (status < 200) bytes = this.#readInformational(status, found.rest);
      else return this.#readAnswer(found.rest);
    }
  }

  #parse(found: FoundHead): Fault | undefined {
    const { headers } = this.#response;
    if (this.#lastHead.isSame(found, headers)) return undefined;
    this.#lastHead.forget();
    const fault = parseResponseHead(found.text, found, { facts: this.#facts, headers, limits: LIMITS });
    if (fault === undefined) this.#lastHead.keep(found);
    return fault;
  }

  #readInformational(status: number, rest: Buffer | undefined): Buffer | undefined {
    const events = this.#events!;
    if (status === 101) {
      if (!this.#upgradeAsked) this.#fail(new Fault('upstream.malformed', '101 that was not asked for'));
      else this.#switch(events, rest);
      return undefined;
    }
    if (++this.#informational > INFORMATIONAL_MAX) {
      this.#fail(new Fault('upstream.malformed', `More than ${INFORMATIONAL_MAX} informational answers`));
      return undefined;
    }
    if (this.#facts.chunked || this.#facts.contentLength > 0) {
      this.#fail(new Fault('upstream.malformed', 'Informational answer with a body'));
      return undefined;
    }
    events.onInformational(this.#response);
    return rest;
  }

  #switch(events: ClientStreamEvents, rest: Buffer | undefined): void {
    const { headers } = this.#response;
    const refused = this.#socketKey === '' ? undefined : checkAccepted(this.#socketKey, this.#facts.upgrade, headers);
    if (refused !== undefined) return this.#fail(refused);
    this.#state = 'tunnel';
    this.#options.wheel.disarm(this.#timer);
    this.#events = undefined;
    const socket = this.#socket;
    socket.removeAllListeners('data').removeAllListeners('drain').removeAllListeners('end');
    if (this.#facts.upgrade !== undefined) headers.set('upgrade', this.#facts.upgrade);
    socket.once('close', () => this.#options.onClosed(this, undefined));
    events.onSwitched(this.#response, new SocketTunnel({ socket, intake: this.#options.intake, early: rest }));
  }

  /** RFC 9112 section 6.3: what ends the body of an answer. */
  #readAnswer(rest: Buffer | undefined): void {
    const facts = this.#facts;
    const { status } = facts;
    const response = this.#response;
    if (facts.close) this.#reusable = false;
    if (facts.keepAliveSeconds >= 0) this.#learnKeepAlive(facts.keepAliveSeconds * 1000);
    if (this.#method === 'HEAD' || status === 204 || status === 304) {
      response.bodyLength = facts.contentLength;
      this.#body.startLength(0);
      // Some servers send a body all the same; nothing after it could be told from it.
      if (status === 204 && (facts.contentLength > 0 || facts.chunked)) this.#reusable = false;
    } else if (facts.chunked) {
      response.bodyLength = -1;
      this.#body.startChunked();
    } else if (facts.contentLength >= 0) {
      response.bodyLength = facts.contentLength;
      this.#body.startLength(facts.contentLength);
    } else {
      response.bodyLength = -1;
      this.#reusable = false;
      this.#body.startUntilClose();
    }
    this.#state = 'body';
    const events = this.#events!;
    events.onAnswerHead(response);
    if (this.#state !== 'body' || this.#events !== events) return;
    if (this.#body.done) this.#finish(rest);
    else if (rest !== undefined) this.#readBody(rest);
    else events.onAnswerIdle();
  }

  #readBody(bytes: Buffer): void {
    const events = this.#events;
    const next = this.#body.read(bytes, 0, this);
    if (this.#state !== 'body' || events === undefined) return;
    if (next instanceof Fault) return this.#fail(asAnswer(next));
    if (this.#body.done) this.#finish(next < bytes.length ? bytes.subarray(next) : undefined);
    else events.onAnswerIdle();
  }

  onBytes(bytes: Buffer): void {
    this.#events?.onAnswerBody(bytes);
  }

  /** @param rest  bytes behind the answer: nobody asked for them, so the connection cannot be used again */
  #finish(rest: Buffer | undefined): void {
    const events = this.#events!;
    this.#events = undefined;
    const { trailers } = this.#body;
    if (rest === undefined && this.#reusable && this.#requestSent && this.#keepAliveMs > 0) {
      // Whoever was told to wait by the last piece has nothing to resume any more: the next request would wait for ever.
      if (this.#paused) {
        this.#paused = false;
        this.#socket.resume();
      }
      this.#state = 'idle';
      this.#idleSinceMs = this.#options.wheel.nowMs;
      this.#options.wheel.arm(this.#timer, this.#keepAliveMs);
      this.#options.onIdle(this);
    } else this.#close();
    events.onAnswerEnd(trailers);
  }

  /** The peer says, or shows, how long it keeps idle connections: close first (a second early). */
  #learnKeepAlive(peerMs: number): void {
    const safeMs = peerMs - Math.min(1000, peerMs / 2);
    if (safeMs < this.#keepAliveMs) this.#keepAliveMs = safeMs;
  }

  #onEnd(): void {
    if (this.#state === 'body' && this.#body.endsWithClose) {
      const events = this.#events;
      this.#events = undefined;
      this.#close();
      events?.onAnswerEnd(undefined);
    } else this.#lost('closed');
  }

  #lost(why: string): void {
    if (this.#state === 'closed' || this.#state === 'tunnel') return;
    if (this.#state === 'idle') return this.#close(this.#options.wheel.readMs() - this.#idleSinceMs);
    const refusal = this.#bytesReceived === 0 ? refusalOf(this.#socket) : undefined;
    if (refusal !== undefined) return this.#fail(new Fault('upstream.tls-failed', refusal));
    const where = this.#state === 'body' ? 'in the middle of its answer' : 'before its answer';
    this.#fail(new Fault('upstream.closed', `Connection was lost ${where}: ${why}`));
  }

  #onTimeout(): void {
    if (this.#state === 'idle') this.#close();
    else if (this.#options.idleMs > 0) this.#fail(new Fault('upstream.timeout', 'Upstream was silent for too long'));
  }

  #fail(fault: Fault): void {
    const events = this.#events;
    this.#events = undefined;
    this.#close();
    events?.onAttemptFault(fault, this.#bytesReceived);
  }

  #close(idleForMs?: number): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#options.wheel.disarm(this.#timer);
    this.#socket.destroy();
    this.#options.onClosed(this, idleForMs);
  }
}

/** The body reader and the head collector speak of requests; here the other side wrote the message. */
function asAnswer(fault: Fault): Fault {
  const tooLarge = fault.code === 'request.headers-too-large' || fault.code === 'request.line-too-long';
  return new Fault(tooLarge ? 'upstream.headers-too-large' : 'upstream.malformed', fault.detail);
}
