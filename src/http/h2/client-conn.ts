/**
 * One HTTP/2 connection to an upstream. Carries many requests at a time, each offered to the proxy as a stream; the
 * pool asks it for room. Frames and flow control are the core's (core.ts).
 */
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { Fault } from '../../base/fault.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import type { Intake } from '../../net/read-buffer.ts';
import { refusalOf } from '../../net/tls-client.ts';
import { turnEnd, type TurnEndTask } from '../../net/turn-end.ts';
import type { ClientStream, UpstreamRequest } from '../stream.ts';
import { type ClientStreamHost, H2ClientStream, whereOf } from './client-stream.ts';
import { H2Core, type H2Side } from './core.ts';
import { H2_ERROR, type H2ConnectionError, h2ErrorName } from './frame.ts';
import { writeRequest } from './write-request.ts';

export interface H2ClientConnOptions {
  readonly socket: Duplex;
  /** Set when bytes come this way instead of by `data` events. */
  readonly intake?: Intake | undefined;
  readonly wheel: TimerWheel;
  readonly headerBytesMax: number;
  /** Longest silence while an answer is awaited or under way; 0 for none. */
  readonly idleMs: number;
  /** How long the connection may lie unused. */
  readonly keepAliveMs: number;
  /** Requests at a time, whatever the upstream allows. */
  readonly streamsMax: number;
  /** How many it is held to allow until it says so; {@link STREAMS_BEFORE_SETTINGS} when nothing is known. */
  readonly peerStreamsMax: number;
  /** Silence, while requests are open, until the upstream is asked whether it is there; 0 for never. */
  readonly pingIntervalMs: number;
  /** For that, and for everything else that an upstream owes at once. */
  readonly pingTimeoutMs: number;
  /** How much of one answer may be on its way. */
  readonly windowBytes: number;
  /** The last request is done. */
  onIdle(): void;
  /** One more request can be carried, perhaps. */
  onRoom(): void;
  /** How many requests at a time the upstream allows. */
  onPeerStreamsMax(streamsMax: number): void;
  /** The upstream wants HTTP/1.1. @returns whether it will be spoken to in that */
  onHttp1Required(): boolean;
  /** The upstream broke the protocol, and the connection with it; for the log. */
  onFailed(error: H2ConnectionError): void;
  /** The connection carries nothing more. `idleForMs`: how long it had lain unused, when the peer ended it then. */
  onClosed(conn: H2ClientConn, idleForMs: number | undefined): void;
}

const HEADERS_MAX = 256;
const TRAILER_BYTES_MAX = 16_384;

/** What RFC 9113 section 6.5.2 advises servers to allow at least: held to be so until they say. */
export const STREAMS_BEFORE_SETTINGS = 100;

/** All answers of a connection together may be on their way like so many of them that nobody reads. */
const WINDOWS_PER_CONNECTION = 4;

/** After our last words, waiting for the upstream to close. */
const LINGER_MS = 1_000;

export class H2ClientConn implements ClientStreamHost, H2Side<H2ClientStream>, TurnEndTask {
  readonly core: H2Core<H2ClientStream>;
  readonly wheel: TimerWheel;
  readonly idleMs: number;

  readonly #options: H2ClientConnOptions;
  readonly #scheme: 'http' | 'https';
  readonly #keepAlive: Timed;
  /** Objects of streams that are done, and those that may be used again when the turn is over. At most streamsMax. */
  readonly #spare: H2ClientStream[] = [];
  readonly #used: H2ClientStream[] = [];
  /** Streams that wait for the settings of the upstream; few, at the start only. */
  readonly #early = new Set<H2ClientStream>();
  #streams = 0;
  #requests = 0;
  #roomBefore = 0;
  #draining = false;
  #left = false;
  #idleSinceMs: number;
  /** Why the connection was or will be lost. */
  #failure: H2ConnectionError | undefined;
  #goAway = '';

  constructor(options: H2ClientConnOptions) {
    const { socket, intake, wheel, idleMs, windowBytes } = options;
    this.#options = options;
    this.wheel = wheel;
    this.idleMs = idleMs;
    this.#scheme = socket instanceof TLSSocket ? 'https' : 'http';
    this.#idleSinceMs = wheel.nowMs;
    this.#keepAlive = new Timed(() => this.#end());
    wheel.arm(this.#keepAlive, options.keepAliveMs);
    this.core = new H2Core<H2ClientStream>({
      socket,
      intake,
      role: 'client',
      side: this,
      wheel,
      limits: {
        headerBytesMax: options.headerBytesMax,
        headersMax: HEADERS_MAX,
        trailerBytesMax: TRAILER_BYTES_MAX,
        streamsMax: 0,
        windowBytes,
        connectionWindowBytes: windowBytes * WINDOWS_PER_CONNECTION,
      },
      timeouts: {
        headMs: options.pingTimeoutMs,
        writeIdleMs: idleMs,
        pingMs: options.pingIntervalMs,
        lingerMs: LINGER_MS,
      },
      settings: [],
    });
  }

  /** That were sent here. */
  get requests(): number {
    return this.#requests;
  }

  /** Requests that are under way. */
  get streams(): number {
    return this.#streams;
  }

  /** How many more requests can be sent now. */
  get room(): number {
    if (this.#draining || !this.core.usable || !this.core.streams.idsLeft) return 0;
    return Math.min(this.#options.streamsMax, this.#peerStreamsMax) - this.#streams;
  }

  get takesTunnels(): boolean {
    return this.core.peer.connectProtocol;
  }

  get #peerStreamsMax(): number {
    return this.core.ready ? this.core.peer.streamsMax : this.#options.peerStreamsMax;
  }

  /** Takes a place for one request; only when there is {@link H2ClientConn.room}. */
  open(): ClientStream {
    if (this.#streams++ === 0) this.wheel.disarm(this.#keepAlive);
    const stream = this.#spare.pop() ?? new H2ClientStream(this);
    stream.prepare(this.#requests++);
    if (!this.core.ready) this.#early.add(stream);
    return stream;
  }

  /** Takes nothing more, and ends when what it carries is done. */
  retire(): void {
    this.#draining = true;
    if (this.#streams === 0) this.#end();
  }

  // --- for streams -------------------------------------------------------------------------------------------------

  sendHead(stream: H2ClientStream, request: UpstreamRequest): void {
    this.core.open(stream);
    writeRequest(this.core, stream, { request, scheme: this.#scheme });
  }

  onHttp1Required(): boolean {
    return this.#options.onHttp1Required();
  }

  lostFault(answered: boolean): Fault {
    const failure = this.#failure;
    const broken =
      failure !== undefined && failure.code !== H2_ERROR.NO_ERROR && failure.code !== H2_ERROR.SETTINGS_TIMEOUT;
    if (broken) return new Fault('upstream.malformed', `${h2ErrorName(failure.code)}: ${failure.detail}`);
    const refusal = answered ? undefined : refusalOf(this.#options.socket);
    if (refusal !== undefined) return new Fault('upstream.tls-failed', refusal);
    const why = failure?.detail ?? (this.#goAway === '' ? 'closed' : this.#goAway);
    return new Fault('upstream.closed', `Connection was lost ${whereOf(answered)}: ${why}`);
  }

  // --- the core speaks ---------------------------------------------------------------------------------------------

  /** Nothing is pushed: the core refuses it before. */
  onOpen(): undefined {}

  onBusy(): void {}

  onQuiet(): void {}

  onPong(): void {}

  onClosed(stream: H2ClientStream): void {
    stream.onClosed();
    this.#early.delete(stream);
    if (this.#used.push(stream) === 1) turnEnd.add(this);
    if (--this.#streams === 0) this.#becomeIdle();
    if (!this.#left && !this.#draining) this.#options.onRoom();
  }

  /** Objects of closed streams are free: nobody who heard of their end is still speaking. */
  onTurnEnd(): void {
    for (const stream of this.#used) this.#spare.push(stream);
    this.#used.length = 0;
  }

  #becomeIdle(): void {
    if (this.#left) return;
    this.#idleSinceMs = this.wheel.nowMs;
    this.#options.onIdle();
    if (this.#draining) this.#end();
    else this.wheel.arm(this.#keepAlive, this.#options.keepAliveMs);
  }

  onSettings(): void {
    const { streamsMax } = this.core.peer;
    this.#options.onPeerStreamsMax(streamsMax);
    const early = [...this.#early];
    this.#early.clear();
    for (const stream of early) stream.onSettings();
    const { room } = this;
    if (room > this.#roomBefore) this.#options.onRoom();
    this.#roomBefore = room;
  }

  /** RFC 9113 section 6.8: what came after the last stream was not looked at, what came before will be answered. */
  onGoAway(lastStreamId: number, code: number): void {
    if (code === H2_ERROR.HTTP_1_1_REQUIRED) this.#options.onHttp1Required();
    this.#draining = true;
    this.#goAway = `GOAWAY ${h2ErrorName(code)}`;
    if (this.#streams === 0) return this.#end(this.wheel.readMs() - this.#idleSinceMs);
    this.#loseWaiting(H2_ERROR.REFUSED_STREAM, 'peer');
    for (const stream of this.core.streams.all()) {
      if (stream.id > lastStreamId) this.core.streams.lose(stream, H2_ERROR.REFUSED_STREAM, 'peer');
    }
  }

  onFailed(error: H2ConnectionError): void {
    this.#failure = error;
    this.#options.onFailed(error);
    this.#leave(undefined);
    this.#loseWaiting(H2_ERROR.NO_ERROR, 'connection');
  }

  /** Those that wait for settings: the core does not know them. */
  #loseWaiting(code: number, by: 'peer' | 'connection'): void {
    for (const stream of this.#early) {
      if (stream.id !== 0) continue;
      stream.onReset(code, by);
      this.core.reset(stream, H2_ERROR.CANCEL);
    }
  }

  onGone(): void {
    this.#loseWaiting(H2_ERROR.NO_ERROR, 'connection');
    this.#leave(this.#streams === 0 ? this.wheel.readMs() - this.#idleSinceMs : undefined);
  }

  // --- ends --------------------------------------------------------------------------------------------------------

  #end(idleForMs?: number): void {
    this.#draining = true;
    this.#leave(idleForMs);
    this.core.end(H2_ERROR.NO_ERROR, '');
  }

  #leave(idleForMs: number | undefined): void {
    if (this.#left) return;
    this.#left = true;
    this.wheel.disarm(this.#keepAlive);
    this.#options.onClosed(this, idleForMs);
  }
}
