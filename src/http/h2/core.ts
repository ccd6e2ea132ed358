/**
 * The part of an HTTP/2 connection that both sides share: its socket, its life from preface to GOAWAY, and the way out
 * for streams. Frames of the peer are read in frames-in.ts. What a request or an answer is, its two users know:
 * server-conn.ts and client-conn.ts.
 *
 *     open -> ending -> gone      ending: GOAWAY was sent, what still comes is read and forgotten
 *
 * A peer that breaks a rule of the connection gets a GOAWAY with the right code and loses it; one that breaks a rule of
 * a stream loses that stream, and pays for it (flood-guard.ts).
 */
import type { Duplex } from 'node:stream';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import type { Intake } from '../../net/read-buffer.ts';
import { turnEnd } from '../../net/turn-end.ts';
import type { Headers } from '../headers.ts';
import { FloodGuard } from './flood-guard.ts';
import { FLAG, FRAME, FRAME_BYTES_MAX, FrameReader, H2_ERROR, H2ConnectionError, PREFACE, SETTING } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import { type FrameLimits, FramesIn, type FramesInOwner } from './frames-in.ts';
import { HpackEncoder, linesBytesMax } from './hpack/encoder.ts';
import { InFlow, type InFlowLimits } from './in-flow.ts';
import { OutFlow, type OutFlowOwner } from './out-flow.ts';
import { PeerSettings } from './peer-settings.ts';
import type { H2Stream } from './stream.ts';
import { maySend } from './stream-state.ts';
import { Streams, type StreamsOwner } from './streams.ts';

export interface H2Limits extends FrameLimits, InFlowLimits {}

export interface H2Timeouts {
  /** For SETTINGS and their acknowledgement, for a header block from its first byte to its last, for the answer to a PING. */
  readonly headMs: number;
  /** Longest time that a peer may refuse to read. 0: none. */
  readonly writeIdleMs: number;
  /** Silence with streams open until a PING asks whether the peer is there. 0: never. */
  readonly pingMs: number;
  /** After the last word, waiting for the peer to close. */
  readonly lingerMs: number;
}

/** What one side of the wire makes of the connection. */
export interface H2Side<S extends H2Stream> {
  /** The peer opens a stream. @returns who carries it; undefined to pass it over, as if GOAWAY had excluded it */
  onOpen(id: number): S | undefined;
  /** The first stream was opened. */
  onBusy(): void;
  /** A stream is closed, and was told. Its object can be used again when the turn is over. */
  onClosed(stream: S): void;
  /** The last stream was closed. */
  onQuiet(): void;
  /** New settings of the peer. */
  onSettings(): void;
  onGoAway(lastStreamId: number, code: number): void;
  /** The answer to {@link H2Core.ping}. */
  onPong(): void;
  /** We end the connection because of this. For logs and metrics. */
  onFailed(error: H2ConnectionError): void;
  /** The connection is gone, and all streams were told. Called once. */
  onGone(): void;
}

export interface H2CoreOptions<S extends H2Stream> {
  readonly socket: Duplex;
  /** Set when bytes come this way instead of by `data` events. */
  readonly intake?: Intake | undefined;
  readonly role: 'server' | 'client';
  readonly side: H2Side<S>;
  readonly wheel: TimerWheel;
  readonly limits: H2Limits;
  readonly timeouts: H2Timeouts;
  /** Settings beside those that follow from limits: identifier, value, identifier, value … */
  readonly settings: readonly number[];
}

/** Bytes that wait in the socket until nothing more is read: whoever reads no answers asks no questions. */
const UNREAD_BYTES_MAX = 256 * 1024;

const OUR_PING = Buffer.from('fourways');

/**
 * While nothing but pings is answered they become rare: servers of gRPC take the third within five minutes on a silent
 * connection for abuse, and end it. Whether the peer is there is known as soon all the same.
 */
const PING_GROWTH = 3;
const PING_GROWTHS_MAX = 5;

export class H2Core<S extends H2Stream> implements OutFlowOwner, StreamsOwner<S>, FramesInOwner<S> {
  readonly peer: PeerSettings;
  readonly streams: Streams<S>;

  readonly #options: H2CoreOptions<S>;
  readonly #socket: Duplex;
  readonly #writer: FrameWriter;
  readonly #guard: FloodGuard;
  readonly #reader: FrameReader;
  readonly #frames: FramesIn<S>;
  readonly #encoder = new HpackEncoder();
  readonly #in: InFlow;
  readonly #out: OutFlow;
  #state: 'open' | 'ending' | 'gone' = 'open';
  /** Bytes of the preface of a client that have come. */
  #prefaceAt: number;
  #settingsAcked = false;
  #readingPaused = false;
  /** Where the block that is written now stands. */
  #block: Buffer | undefined;
  #blockAt = 0;

  readonly #headTimer: Timed;
  readonly #stallTimer: Timed;
  readonly #silenceTimer: Timed;
  #unreadBytes = 0;
  #lastReadMs: number;
  #pingOut = false;
  /** Pings in a row that were all the peer answered, and when it answered the last of them. */
  #pings = 0;
  #pongMs = -1;

  constructor(options: H2CoreOptions<S>) {
    const { socket, role, wheel, limits } = options;
    this.#options = options;
    this.#socket = socket;
    const writer = new FrameWriter(socket, turnEnd);
    const guard = new FloodGuard(wheel, limits.streamsMax);
    const peer = new PeerSettings(role);
    const inFlow = new InFlow(writer, limits);
    const out = new OutFlow(this, { writer, peer, guard });
    this.#writer = writer;
    this.#guard = guard;
    this.peer = peer;
    this.#in = inFlow;
    this.#out = out;
    this.streams = new Streams<S>(this, role, { writer, guard, in: inFlow, out });
    this.#frames = new FramesIn<S>(this, role, { limits, peer, writer, guard, in: inFlow, out, streams: this.streams });
    this.#reader = new FrameReader(this.#frames);
    this.#prefaceAt = role === 'client' ? PREFACE.length : 0;
    this.#headTimer = new Timed(() => this.#onHeadTimeout());
    this.#stallTimer = new Timed(() => this.#onStall());
    this.#silenceTimer = new Timed(() => this.#onSilence());
    this.#lastReadMs = wheel.nowMs;
    this.#greet();
    this.#listen();
  }

  /** Whether anything can be sent and received. */
  get usable(): boolean {
    return this.#state === 'open' && !this.#socket.destroyed;
  }

  /** Whether the peer has told its settings. */
  get ready(): boolean {
    return this.#frames.settingsSeen;
  }

  // --- the connection ----------------------------------------------------------------------------------------------

  #greet(): void {
    const { role, limits, settings, timeouts } = this.#options;
    if (role === 'client') this.#writer.raw(PREFACE);
    this.#writer.settings([
      ...(role === 'server' ? [SETTING.MAX_CONCURRENT_STREAMS, limits.streamsMax] : [SETTING.ENABLE_PUSH, 0]),
      SETTING.INITIAL_WINDOW_SIZE,
      limits.windowBytes,
      SETTING.MAX_HEADER_LIST_SIZE,
      limits.headerBytesMax,
      ...settings,
    ]);
    this.#in.begin();
    this.#arm(this.#headTimer, timeouts.headMs);
  }

  #listen(): void {
    const socket = this.#socket;
    const { intake } = this.#options;
    const take = (bytes: Buffer): void => this.read(bytes);
    if (intake === undefined) socket.on('data', take);
    else intake.take = take;
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('error', () => this.#gone());
    socket.on('close', () => this.#gone());
  }

  /** Takes bytes of the peer; those that were read before there was a connection come this way too. */
  read(bytes: Buffer): void {
    if (this.#state !== 'open') return;
    this.#lastReadMs = this.#options.wheel.nowMs;
    const at = this.#prefaceAt < PREFACE.length ? this.#readPreface(bytes) : 0;
    if (at < 0) return this.fail(new H2ConnectionError(H2_ERROR.PROTOCOL_ERROR, 'Connection preface is not valid'));
    if (at < bytes.length) {
      const error = this.#reader.take(at === 0 ? bytes : bytes.subarray(at));
      if (error !== undefined) this.fail(error);
    }
    this.streams.tellFed();
    if (this.#state !== 'open') return;
    this.#in.giveBack();
    if (this.#settingsAcked) this.#watchHead();
    this.#watchWrites();
    if (this.#readingPaused || this.#socket.writableLength < UNREAD_BYTES_MAX) return;
    this.#readingPaused = true;
    this.#socket.pause();
  }

  /** @returns offset behind the preface, or -1 */
  #readPreface(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && this.#prefaceAt < PREFACE.length) {
      if (bytes[at++] !== PREFACE[this.#prefaceAt++]) return -1;
    }
    return at;
  }

  #onDrain(): void {
    this.#out.pump();
    this.#watchWrites();
    if (!this.#readingPaused) return;
    this.#readingPaused = false;
    this.#socket.resume();
  }

  /** Without the peer's half nothing can be acknowledged or given back: the connection is over. */
  #onEnd(): void {
    if (this.#state === 'gone') return;
    this.#writer.flush();
    this.#socket.end();
    this.#gone();
  }

  /** Ends the connection because of an error (RFC 9113 section 5.4.1). */
  fail(error: H2ConnectionError): void {
    if (this.#state !== 'open') return;
    this.#options.side.onFailed(error);
    this.end(error.code, error.detail);
  }

  /** The last words, then the end. Streams that are open are lost. */
  end(code: number, debug: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#frames.stop();
    const { lastPeerId, lastServedId } = this.streams;
    const said = code === H2_ERROR.NO_ERROR && lastServedId <= lastPeerId;
    if (!said) this.#writer.goAway(Math.min(lastPeerId, lastServedId), code, debug);
    this.#writer.flush();
    this.#loseStreams();
    this.#disarm();
    this.#arm(this.#headTimer, this.#options.timeouts.lingerMs);
    this.#socket.end();
    // What still comes is read and forgotten: a reset of the socket would take the GOAWAY from the peer.
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#gone();
  }

  /** @param lastStreamId  the last that is served; STREAM_ID_MAX when more may be on their way */
  goAway(lastStreamId: number): void {
    this.streams.lastServedId = lastStreamId;
    this.#writer.goAway(lastStreamId, H2_ERROR.NO_ERROR, '');
  }

  /** Asks for a sign of life, answered by `onPong`. */
  ping(): void {
    this.#pingOut = true;
    this.#writer.ping(OUR_PING, 0);
  }

  #gone(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#frames.stop();
    this.#disarm();
    this.#loseStreams();
    this.#options.side.onGone();
  }

  #loseStreams(): void {
    for (const stream of this.streams.all()) this.streams.lose(stream, H2_ERROR.NO_ERROR, 'connection');
  }

  // --- streams speak -----------------------------------------------------------------------------------------------

  /** Opens a stream; its head must follow at once. The peer's limit is the caller's business. */
  open(stream: S): void {
    this.streams.openOurs(stream, this.peer.windowBytes);
  }

  /**
   * Begins a header block: fields go to the result, then {@link H2Core.endFields}, and nothing else in between.
   *
   * @param chars  names and values, with 4 more for each field: `charsMax` of Headers says so for its lines
   */
  beginFields(chars: number): HpackEncoder {
    const bytesMax = linesBytesMax(chars);
    const inPlace = bytesMax <= FRAME_BYTES_MAX;
    this.#block = inPlace ? undefined : Buffer.allocUnsafe(bytesMax);
    const into = this.#block ?? this.#writer.reserve(bytesMax);
    this.#blockAt = inPlace ? this.#writer.payloadAt : 0;
    this.#encoder.begin(into, this.#blockAt);
    return this.#encoder;
  }

  /** Completes the block. {@link H2Core.end} may still make it the end of the stream. */
  endFields(stream: S): void {
    const size = this.#encoder.end() - this.#blockAt;
    const block = this.#block;
    if (block === undefined) {
      stream.frameAt = this.#writer.commit(FRAME.HEADERS, FLAG.END_HEADERS, stream.id, size);
      stream.frameBatch = this.#writer.batch;
    } else this.#writeLong(stream, block, size);
  }

  /** A block that may not fit into one frame. */
  #writeLong(stream: S, block: Buffer, size: number): void {
    this.#block = undefined;
    // They leave together: END_STREAM stands on the first of them.
    const frames = Math.ceil(size / FRAME_BYTES_MAX);
    this.#writer.reserve(size + frames * 9);
    stream.frameBatch = this.#writer.batch;
    for (let at = 0; at < size; at += FRAME_BYTES_MAX) {
      const end = Math.min(size, at + FRAME_BYTES_MAX);
      const into = this.#writer.reserve(end - at);
      block.copy(into, this.#writer.payloadAt, at, end);
      const flags = end === size ? FLAG.END_HEADERS : 0;
      const frameAt = this.#writer.commit(at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION, flags, stream.id, end - at);
      if (at === 0) stream.frameAt = frameAt;
    }
  }

  /** @returns false when enough waits: stop until `onWritable` of the stream */
  sendBody(stream: S, bytes: Buffer): boolean {
    if (bytes.length === 0 || !maySend(stream.state) || stream.endAsked) return true;
    const more = this.#out.data(stream, bytes);
    // What waits may wait for windows only: the next read that would notice may never come.
    if (stream.queuedBytes > 0) this.#watchWrites();
    return more;
  }

  /** Completes what the stream sends. */
  sendEnd(stream: S, trailers: Headers | undefined): void {
    if (!maySend(stream.state) || stream.endAsked) return;
    this.#out.end(stream, trailers);
  }

  /** Ends the stream at once. Does nothing more when it is closed; what it held is let go. */
  reset(stream: S, code: number): void {
    this.streams.reset(stream, code);
  }

  pause(stream: S): void {
    stream.paused = true;
  }

  resume(stream: S): void {
    if (stream.paused) this.streams.resume(stream);
  }

  /** For {@link OutFlow}. */
  writeTrailers(stream: H2Stream, trailers: Headers): void {
    this.beginFields(trailers.charsMax).headers(trailers);
    this.endFields(stream as S);
    this.#writer.endStream(stream.frameBatch, stream.frameAt);
  }

  /** For {@link OutFlow}. */
  onSent(stream: H2Stream): void {
    const complete = stream.state === 'half-closed-remote' && !stream.broken;
    this.streams.sent(stream as S);
    if (complete) this.#guard.answered();
  }

  // --- told by the parts -------------------------------------------------------------------------------------------

  onOpen(id: number): S | undefined {
    return this.#options.side.onOpen(id);
  }

  onBusy(): void {
    this.#arm(this.#silenceTimer, this.#options.timeouts.pingMs);
    this.#options.side.onBusy();
  }

  onClosed(stream: S): void {
    this.#options.side.onClosed(stream);
  }

  onQuiet(): void {
    this.#options.side.onQuiet();
  }

  onSettings(): void {
    if (this.peer.headerTableBytes !== undefined) this.#encoder.resize(this.peer.headerTableBytes);
    this.#options.side.onSettings();
  }

  onSettingsAck(): void {
    this.#settingsAcked = true;
  }

  onGoAway(lastStreamId: number, code: number): void {
    this.#options.side.onGoAway(lastStreamId, code);
  }

  onPong(): void {
    this.#pingOut = false;
    this.#pings++;
    this.#pongMs = this.#lastReadMs;
    if (this.streams.size > 0) this.#arm(this.#silenceTimer, this.#options.timeouts.pingMs);
    this.#options.side.onPong();
  }

  // --- timers ------------------------------------------------------------------------------------------------------

  #arm(timer: Timed, delayMs: number): void {
    if (delayMs > 0) this.#options.wheel.arm(timer, delayMs);
  }

  #disarm(): void {
    const { wheel } = this.#options;
    wheel.disarm(this.#headTimer);
    wheel.disarm(this.#stallTimer);
    wheel.disarm(this.#silenceTimer);
  }

  /** A header block must be complete in time, however slowly it drips in. Bodies have the patience of their streams. */
  #watchHead(): void {
    const inside = this.#reader.insideFrame && this.#reader.heldType !== FRAME.DATA;
    if (!inside && !this.#frames.blockOpen) {
      if (this.#headTimer.armed) this.#options.wheel.disarm(this.#headTimer);
    } else if (!this.#headTimer.armed) this.#arm(this.#headTimer, this.#options.timeouts.headMs);
  }

  #onHeadTimeout(): void {
    if (this.#state === 'ending') return this.destroy();
    if (!this.#settingsAcked) {
      const detail = 'Settings were not sent or acknowledged in time';
      this.fail(new H2ConnectionError(H2_ERROR.SETTINGS_TIMEOUT, detail));
    } else {
      const detail = 'Header block did not arrive in time';
      this.fail(new H2ConnectionError(H2_ERROR.ENHANCE_YOUR_CALM, detail, 'head-timeout'));
    }
  }

  #watchWrites(): void {
    const waiting = this.#out.queuedBytes > 0 || this.#writer.full;
    if (!waiting) {
      if (this.#stallTimer.armed) this.#options.wheel.disarm(this.#stallTimer);
    } else if (!this.#stallTimer.armed) this.#armStall();
  }

  #armStall(): void {
    this.#unreadBytes = this.#writer.full ? this.#socket.writableLength : 0;
    this.#arm(this.#stallTimer, this.#options.timeouts.writeIdleMs);
  }

  #onStall(): void {
    // The socket took nothing for the whole time: nobody reads at all.
    if (this.#unreadBytes > 0 && this.#writer.full && this.#socket.writableLength >= this.#unreadBytes) {
      return this.#giveUp('write-timeout', 'Peer does not read');
    }
    this.#out.stalled(this.streams.all());
    if (this.#out.queuedBytes > 0 || this.#writer.full) this.#armStall();
  }

  #onSilence(): void {
    const { wheel, timeouts } = this.#options;
    if (this.streams.size === 0) return;
    const silentMs = wheel.nowMs - this.#lastReadMs;
    if (this.#lastReadMs !== this.#pongMs) this.#pings = 0;
    const patienceMs = timeouts.pingMs * PING_GROWTH ** Math.min(this.#pings, PING_GROWTHS_MAX);
    if (silentMs < patienceMs) return this.#arm(this.#silenceTimer, patienceMs - silentMs);
    if (this.#pingOut) return this.#giveUp('ping-timeout', 'Peer does not answer');
    this.ping();
    this.#arm(this.#silenceTimer, timeouts.headMs);
  }

  /** The peer is not there: words would not reach it. */
  #giveUp(reason: string, detail: string): void {
    this.#options.side.onFailed(new H2ConnectionError(H2_ERROR.NO_ERROR, detail, reason));
    this.destroy();
  }
}
