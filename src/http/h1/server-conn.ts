/**
 * One HTTP/1.1 connection from a client. Reads requests one after the other,
 * offers each to the proxy as a {@link ServerStream}, and writes the answers in
 * order. What arrives behind a request that is still running waits, bounded.
 *
 *     idle -> head -> exchange -> idle ...         keep-alive
 *                        |---> linger -> closed    last answer, then a polite close
 *                        |---> tunnel              101: the connection is given away
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Fault } from '../../base/fault.ts';
import type { ConnectionLimits, ConnectionTimeouts } from '../../base/limits.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import { type Intake, owned } from '../../net/read-buffer.ts';
import type { Headers } from '../headers.ts';
import { clearRequest, emptyRequest, type RequestHead, type ResponseHead } from '../message.ts';
import { SocketTunnel } from '../socket-tunnel.ts';
import { ProxyTargetReader } from '../proxy-target.ts';
import type {
  ClientFacts,
  GivenConnection,
  RequestSink,
  ServerConn,
  ServerStream,
  ServerStreamEvents,
} from '../stream.ts';
import { TargetReader } from '../target-reader.ts';
import type { Tunnel } from '../tunnel.ts';
import { tunnelsOf } from '../upgrade.ts';
import { offersWebSocket, switchingHead, takeKey } from '../ws/handshake.ts';
import { BodyReader, type BodySink } from './body-reader.ts';
import { type FoundHead, HeadCollector } from './head-collector.ts';
import { LastHead } from './last-head.ts';
import { emptyFacts, type HeadFacts, parseRequestHead } from './parse-head.ts';
import { type Framing, WireWriter } from './wire-writer.ts';

export interface ServerConnOptions {
  readonly socket: Duplex;
  /** Set when bytes come this way instead of by `data` events. */
  readonly intake?: Intake | undefined;
  readonly facts: ClientFacts;
  readonly sink: RequestSink;
  readonly wheel: TimerWheel;
  readonly limits: ConnectionLimits;
  readonly timeouts: ConnectionTimeouts;
  /** What clients take us for; a server when absent. */
  readonly role?: 'forward-proxy' | undefined;
  /** Bytes that were read from the socket before. */
  readonly early?: Buffer | undefined;
  /** It begins in a drain. */
  readonly draining?: boolean | undefined;
  onClosed(conn: ServerConn): void;
}

type State = 'idle' | 'head' | 'exchange' | 'linger' | 'tunnel' | 'closed';

/** Bytes of later requests that may wait behind a running one; beyond, the socket is paused. */
const PIPELINE_BYTES_MAX = 64 * 1024;

/** Body that is read and thrown away after an early answer, to keep the connection. Longer ones end it. */
const DISCARD_BYTES_MAX = 256 * 1024;

/** How long a connection that was just opened, or just in use, may still bring a request during a drain. */
export const DRAIN_GRACE_MS = 1_000;

/** A FIN this soon after the request is a client that half-closes; later, it is one that went away. */
const HALF_CLOSE_MS = 3;

export class H1ServerConn implements ServerConn, ServerStream, BodySink {
  readonly facts: ClientFacts;
  readonly request: RequestHead;
  startedMs = 0;
  requests = 0;

  readonly #options: ServerConnOptions;
  readonly #socket: Duplex;
  readonly #writer: WireWriter;
  readonly #head: HeadFacts = emptyFacts();
  readonly #lastHead = new LastHead();
  readonly #target: TargetReader;
  readonly #body = new BodyReader();
  readonly #collector: HeadCollector;
  readonly #timer: Timed;
  #writeTimer: Timed | undefined;
  #state: State = 'idle';
  #events: ServerStreamEvents | undefined;
  #waiting: Buffer | undefined;
  #bodyPaused = false;
  #socketPaused = false;
  #answerStarted = false;
  #answerEnded = false;
  #continueOwed = false;
  /** Of the WebSocket handshake that runs; empty when none does. */
  #socketKey = '';
  #closing = false;
  #draining = false;
  #peerEnded = false;
  #discarded = 0;
  #requestReadMs = 0;
  #idleSinceMs: number;

  constructor(options: ServerConnOptions) {
    this.#options = options;
    this.facts = options.facts;
    this.#idleSinceMs = options.wheel.nowMs;
    this.#socket = options.socket;
    this.#writer = new WireWriter(options.socket);
    const { limits } = options;
    this.#target = options.role === 'forward-proxy' ? new ProxyTargetReader() : new TargetReader();
    this.#collector = new HeadCollector(limits.requestLineBytesMax, limits.headerBytesMax);
    this.#body.limit(limits.bodyBytesMax, limits.trailerBytesMax, limits.headersMax);
    this.request = emptyRequest(options.facts.scheme);
    this.#timer = new Timed(() => this.#onTimeout());
    this.#listen();
    if (options.draining === true) this.drain();
    if (options.early !== undefined) this.#onData(options.early);
  }

  get socket(): Duplex {
    return this.#socket;
  }

  get seen(): number {
    return this.#head.seen;
  }

  get version(): string {
    return this.#head.minorVersion === 1 ? '1.1' : '1.0';
  }

  // --- the wire speaks ---------------------------------------------------------------------------------------------

  #listen(): void {
    const socket = this.#socket;
    const { intake } = this.#options;
    const take = (bytes: Buffer): void => this.#onData(bytes);
    if (intake === undefined) socket.on('data', take);
    else intake.take = take;
    socket.on('drain', () => {
      if (this.#writeTimer !== undefined) this.#options.wheel.disarm(this.#writeTimer);
      this.#events?.onClientWritable();
    });
    socket.on('end', () => this.#onEnd());
    socket.on('error', () => this.#gone());
    socket.on('close', () => this.#gone());
    this.#arm(this.#options.timeouts.keepAliveMs);
  }

  #onData(bytes: Buffer): void {
    switch (this.#state) {
      case 'idle':
      case 'head': // what waits for its turn came first
        if (this.#waiting === undefined) this.#readHead(bytes);
        else this.#wait(bytes);
        break;
      case 'exchange':
        this.#readBody(bytes, 0);
        break;
      case 'linger':
      case 'tunnel':
      case 'closed': // what comes after the last answer is read so that the peer can finish, and forgotten
        break;
    }
  }

  /** Reads as many requests from `bytes` as are there and can be taken now. */
  #readHead(received: Buffer): void {
    let bytes: Buffer | undefined = received;
    while (bytes !== undefined) {
      const found = this.#collector.take(bytes);
      if (found === 'more') {
        if (this.#state === 'idle' && this.#collector.started) {
          this.#state = 'head';
          this.startedMs = this.#options.wheel.readMs();
          this.#arm(this.#options.timeouts.headMs);
        }
        return;
      }
      if (found instanceof Fault) return this.#refuseUnread(found);
      const fault = this.#parse(found);
      if (fault !== undefined) return this.#refuseUnread(fault);
      const refused = this.#target.read(this.#head, this.request) ?? this.#frameBody() ?? this.#readUpgrade();
      if (refused !== undefined) return this.#refuse(refused);
      const { rest } = found;
      this.#begin(rest);
      bytes = this.#state === 'idle' ? this.#takeWaiting() : undefined;
    }
  }

  #parse(found: FoundHead): Fault | undefined {
    const { headers } = this.request;
    if (this.#lastHead.isSame(found, headers)) return undefined;
    this.#lastHead.forget();
    const fault = parseRequestHead(found.text, found, { facts: this.#head, headers, limits: this.#options.limits });
    if (fault === undefined) this.#lastHead.keep(found);
    return fault;
  }

  #begin(rest: Buffer | undefined): void {
    this.#state = 'exchange';
    this.requests++;
    this.#answerStarted = false;
    this.#answerEnded = false;
    this.#discarded = 0;
    this.#bodyPaused = false;
    this.#closing =
      this.#head.close || this.#draining || this.requests >= this.#options.limits.requestsPerConnectionMax;
    this.#continueOwed = this.#head.expectContinue && !this.#body.done;
    const events = this.#options.sink.onRequest(this);
    // It may have been answered already, and the connection may be idle again or about to close.
    if (this.#state !== 'exchange') {
      if (this.#state === 'idle' && rest !== undefined) this.#wait(rest);
      return;
    }
    if (!this.#answerEnded) this.#events = events;
    if (this.#body.done) {
      this.#requestRead(rest);
    } else {
      this.#arm(this.#options.timeouts.bodyIdleMs);
      if (rest !== undefined) return this.#readBody(rest, 0);
    }
    this.#afterRead(events);
  }

  /** Feeds body bytes to the exchange; what follows the body waits for the next request. */
  #readBody(bytes: Buffer, at: number): void {
    if (this.#body.done) {
      this.#wait(bytes);
      return;
    }
    const events = this.#events;
    this.#arm(this.#options.timeouts.bodyIdleMs);
    const next = this.#body.read(bytes, at, this);
    if (this.#state !== 'exchange') return;
    if (next instanceof Fault) {
      this.#closing = true;
      if (this.#answerEnded) this.#linger();
      else events?.onRequestFault(next);
      return;
    }
    if (this.#body.done) this.#requestRead(next < bytes.length ? bytes.subarray(next) : undefined);
    if (events !== undefined) this.#afterRead(events);
  }

  /** BodySink: one piece of the request body. */
  onBytes(bytes: Buffer): void {
    if (!this.#answerEnded) {
      this.#continueOwed = false; // the client did not wait
      this.#events?.onRequestBody(bytes);
      return;
    }
    this.#discarded += bytes.length;
    if (this.#discarded > DISCARD_BYTES_MAX && this.#state === 'exchange') this.#linger();
  }

  #requestRead(rest: Buffer | undefined): void {
    if (rest !== undefined) this.#wait(rest);
    // Without a body this is the turn of the head, at whose begin the exchange read the clock.
    const { wheel } = this.#options;
    this.#requestReadMs = this.request.bodyLength === 0 ? wheel.nowMs : wheel.readMs();
    if (this.#answerEnded) this.#finish();
    else this.#events?.onRequestEnd(this.#body.trailers);
  }

  /** The exchange may have ended meanwhile, and even another begun: tell only the one that was fed. */
  #afterRead(fed: ServerStreamEvents): void {
    if (this.#events === fed) fed.onRequestIdle();
  }

  #wait(bytes: Buffer): void {
    this.#waiting = this.#waiting === undefined ? owned(bytes) : Buffer.concat([this.#waiting, bytes]);
    if (this.#waiting.length > PIPELINE_BYTES_MAX && !this.#socketPaused) {
      this.#socketPaused = true;
      this.#socket.pause();
    }
  }

  #takeWaiting(): Buffer | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }

  #onEnd(): void {
    if (this.#state === 'closed' || this.#state === 'tunnel') return;
    const soon = this.#options.wheel.readMs() - this.#requestReadMs < HALF_CLOSE_MS;
    // What has no length may never end, and nothing else would tell that its reader is gone.
    const streams = this.#answerStarted && this.#writer.framing !== 'length';
    const running = this.#state === 'exchange' && this.#body.done && !this.#answerEnded && soon && !streams;
    if (running || this.#waiting !== undefined) {
      this.#peerEnded = true; // it half-closed behind its requests, and gets all their answers
      return;
    }
    if (this.#state === 'exchange' && !this.#answerEnded) this.#socket.destroy();
    else this.#socket.end();
    this.#gone();
  }

  #gone(): void {
    if (this.#state === 'closed' || this.#state === 'tunnel') return;
    this.#state = 'closed';
    this.#stopTimers();
    const events = this.#events;
    this.#events = undefined;
    this.#waiting = undefined;
    this.#options.onClosed(this);
    events?.onClientGone();
  }

  #onTimeout(): void {
    switch (this.#state) {
      case 'idle':
      case 'linger':
        this.#socket.destroy();
        this.#gone();
        break;
      case 'head':
        this.#refuseUnread(new Fault('request.timeout', 'Head did not arrive in time'));
        break;
      case 'exchange':
        if (this.#body.done || this.#bodyPaused) break;
        if (this.#answerEnded) this.#linger();
        else this.#events?.onRequestFault(new Fault('request.timeout', 'Body stopped arriving'));
        break;
      case 'tunnel':
      case 'closed':
        break;
    }
  }

  // --- what the head says ------------------------------------------------------------------------------------------

  #frameBody(): Fault | undefined {
    const { request } = this;
    const head = this.#head;
    request.upgrade = head.upgrade;
    request.expectContinue = head.expectContinue;
    if (head.chunked) {
      request.bodyLength = -1;
      this.#body.startChunked();
      return undefined;
    }
    const length = Math.max(0, head.contentLength);
    const { bodyBytesMax } = this.#options.limits;
    if (bodyBytesMax > 0 && length > bodyBytesMax) {
      return new Fault('request.body-too-large', `Content-Length is larger than ${bodyBytesMax}`);
    }
    request.bodyLength = length;
    this.#body.startLength(length);
    return undefined;
  }

  #readUpgrade(): Fault | undefined {
    const { request } = this;
    this.#socketKey = '';
    if (request.upgrade === undefined) return undefined;
    request.upgrade = tunnelsOf(request.upgrade);
    if (request.upgrade === undefined || !offersWebSocket(request.upgrade)) return undefined;
    request.upgrade = 'websocket';
    const key = takeKey(request);
    if (key instanceof Fault) return key;
    this.#socketKey = key;
    return undefined;
  }

  #refuseUnread(fault: Fault): void {
    this.#head.method = '';
    clearRequest(this.request);
    this.#refuse(fault);
  }

  /** No answer but a refusal is safe any more: nothing that follows on this connection can be trusted. */
  #refuse(fault: Fault): void {
    this.#state = 'exchange';
    this.#body.startLength(0);
    this.#waiting = undefined;
    this.#answerStarted = false;
    this.#answerEnded = false;
    this.#closing = true;
    this.request.method = this.#head.method;
    this.#options.sink.onRefused(this, fault);
  }

  // --- the proxy speaks --------------------------------------------------------------------------------------------

  sendContinue(): void {
    if (!this.#continueOwed) return;
    this.#continueOwed = false;
    this.#writer.raw('HTTP/1.1 100 Continue\r\n\r\n');
    this.#writer.flush();
  }

  pauseBody(): void {
    this.#bodyPaused = true;
    if (this.#socketPaused) return;
    this.#socketPaused = true;
    this.#socket.pause();
  }

  resumeBody(): void {
    if (!this.#bodyPaused) return;
    this.#bodyPaused = false;
    this.#arm(this.#options.timeouts.bodyIdleMs);
    this.#resumeSocket();
  }

  sendInformational(head: ResponseHead): void {
    if (this.#head.minorVersion === 0 || this.#answerStarted || this.#state !== 'exchange') return;
    if (head.status === 100) return this.sendContinue();
    this.#writer.raw(`HTTP/1.1 ${head.status} ${head.reason}\r\n${head.headers.toLines()}\r\n`);
    this.#writer.flush();
  }

  sendHead(head: ResponseHead): void {
    if (this.#state !== 'exchange') return;
    this.#answerStarted = true;
    // A client that still waits for 100 may or may not send its body: the next message could not be found.
    if (this.#continueOwed) this.#closing = true;
    const { status } = head;
    let framing: Framing = 'none';
    let lines = '';
    if (this.request.method === 'HEAD' || status === 304) {
      if (head.bodyLength > 0) lines = `content-length: ${head.bodyLength}\r\n`;
    } else if (status !== 204) {
      if (head.bodyLength >= 0) {
        framing = 'length';
        lines = `content-length: ${head.bodyLength}\r\n`;
      } else if (this.#head.minorVersion === 1) {
        framing = 'chunked';
        lines = 'transfer-encoding: chunked\r\n';
      } else {
        framing = 'until-close';
        this.#closing = true;
      }
    }
    // RFC 9110 section 15.5.22.
    if (status === 426 && this.request.upgrade !== undefined) {
      lines += `connection: upgrade\r\nupgrade: ${this.request.upgrade}\r\n`;
    }
    if (this.#closing) lines += 'connection: close\r\n';
    else if (this.#head.minorVersion === 0) lines += 'connection: keep-alive\r\n';
    this.#writer.start(
      `HTTP/1.1 ${status} ${head.reason}\r\n${head.headers.toLines()}${lines}\r\n`,
      framing,
      Math.max(0, head.bodyLength),
    );
  }

  sendBody(bytes: Buffer): boolean {
    if (this.#state !== 'exchange') return true;
    const more = this.#writer.body(bytes);
    if (more === 'overrun') {
      this.cut();
      return false;
    }
    if (!more) this.#armWrite();
    return more;
  }

  sendEnd(trailers: Headers | undefined): void {
    if (this.#state !== 'exchange') return;
    if (!this.#writer.end(this.#head.minorVersion === 1 ? trailers : undefined)) return this.cut();
    this.#answerEnded = true;
    this.#events = undefined;
    if (this.#closing) this.#linger();
    else if (this.#body.done) this.#finish();
    else {
      // The answer came before the request was complete: read the rest of it, if it is short.
      this.#bodyPaused = false;
      this.#resumeSocket();
      this.#arm(this.#options.timeouts.bodyIdleMs);
    }
  }

  flush(): void {
    this.#writer.flush();
  }

  cut(): void {
    if (this.#state !== 'exchange') return;
    this.#writer.flush();
    if (this.#writer.framing === 'until-close') {
      // Only a reset tells this end from a proper one.
      const socket = this.#socket;
      if (socket instanceof Socket) socket.resetAndDestroy();
      else socket.destroy();
      this.#gone();
    } else this.#linger();
  }

  closeAfterAnswer(): void {
    this.#closing = true;
  }

  switchProtocols(head: ResponseHead): Tunnel {
    this.#writer.raw(switchingHead(head, this.request.upgrade, this.#socketKey));
    this.#socket.once('close', () => this.#options.onClosed(this));
    return new SocketTunnel(this.#giveAway());
  }

  /** `onClosed` is not called after this: whoever takes the connection knows. */
  establish(): GivenConnection {
    this.#writer.raw('HTTP/1.1 200 Connection established\r\n\r\n');
    this.#socket.pause();
    return this.#giveAway();
  }

  #giveAway(): GivenConnection {
    this.#writer.flush();
    this.#state = 'tunnel';
    this.#events = undefined;
    this.#stopTimers();
    this.#socket.removeAllListeners('data').removeAllListeners('drain').removeAllListeners('end');
    return { socket: this.#socket, intake: this.#options.intake, early: this.#takeWaiting() };
  }

  /**
   * Starts nothing new: a busy connection closes after its answer; one that was opened or busy a moment ago may still
   * send a request, whose answer will say close, because a close now could meet that request on its way.
   */
  drain(): void {
    this.#draining = true;
    this.#closing = true;
    if (this.#state !== 'idle') return;
    const graceMs = DRAIN_GRACE_MS - (this.#options.wheel.readMs() - this.#idleSinceMs);
    if (graceMs > 0) this.#arm(graceMs);
    else {
      this.#socket.end();
      this.#gone();
    }
  }

  /** Ends the connection whatever it does. */
  destroy(): void {
    this.#socket.destroy();
    this.#gone();
  }

  // --- between exchanges -------------------------------------------------------------------------------------------

  #finish(): void {
    this.#events = undefined;
    if (this.#peerEnded && this.#waiting === undefined) return this.#linger();
    this.#state = 'idle';
    this.startedMs = 0;
    this.#idleSinceMs = this.#options.wheel.nowMs;
    this.#arm(this.#options.timeouts.keepAliveMs);
    this.#resumeSocket();
    if (this.#waiting !== undefined) this.#readNextSoon();
  }

  /** Later, so that a long row of pipelined requests neither nests nor starves other connections. */
  #readNextSoon(): void {
    setImmediate(() => {
      const waiting = this.#state === 'idle' ? this.#takeWaiting() : undefined;
      if (waiting === undefined) return;
      this.#resumeSocket();
      this.#readHead(waiting);
    });
  }

  /** RFC 9112 section 9.6: close only after the peer had time to read the answer. */
  #linger(): void {
    this.#state = 'linger';
    this.#events = undefined;
    this.#waiting = undefined;
    this.#resumeSocket();
    this.#arm(this.#options.timeouts.lingerMs);
    this.#socket.end();
  }

  #resumeSocket(): void {
    if (!this.#socketPaused || this.#bodyPaused) return;
    this.#socketPaused = false;
    this.#socket.resume();
  }

  #arm(delayMs: number): void {
    if (delayMs > 0) this.#options.wheel.arm(this.#timer, delayMs);
    else this.#options.wheel.disarm(this.#timer);
  }

  #armWrite(): void {
    const { writeIdleMs } = this.#options.timeouts;
    if (writeIdleMs === 0) return;
    this.#writeTimer ??= new Timed(() => {
      this.#socket.destroy();
      this.#gone();
    });
    this.#options.wheel.arm(this.#writeTimer, writeIdleMs);
  }

  #stopTimers(): void {
    this.#options.wheel.disarm(this.#timer);
    if (this.#writeTimer !== undefined) this.#options.wheel.disarm(this.#writeTimer);
  }
}
