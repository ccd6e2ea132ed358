/** The streams of one connection: which are open, how they end, and what of their bodies goes where. */
import { ClosedStreams } from './closed-streams.ts';
import type { FloodGuard } from './flood-guard.ts';
import { type H2ConnectionError, STREAM_ID_MAX } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { InFlow } from './in-flow.ts';
import type { OutFlow } from './out-flow.ts';
import type { Headers } from '../headers.ts';
import type { H2Stream } from './stream.ts';
import { step } from './stream-state.ts';
import { StreamTable } from './stream-table.ts';

export interface StreamsOwner<S extends H2Stream> {
  /** The first stream was opened. */
  onBusy(): void;
  /** A stream is closed, and was told. Its object can be used again when the turn is over. */
  onClosed(stream: S): void;
  /** The last stream was closed. */
  onQuiet(): void;
}

export class Streams<S extends H2Stream> {
  /** Highest id of a stream that the peer opened. */
  lastPeerId = 0;
  /** Highest id that is served; lower than any other after GOAWAY. */
  lastServedId = STREAM_ID_MAX;

  readonly #owner: StreamsOwner<S>;
  readonly #writer: FrameWriter;
  readonly #guard: FloodGuard;
  readonly #in: InFlow;
  readonly #out: OutFlow;
  readonly #table = new StreamTable<S>();
  readonly #closed = new ClosedStreams();
  /** Parity of the ids that the peer opens. */
  readonly #peerParity: number;
  #nextId: number;
  /** Those that were given something in this read. */
  readonly #fed: S[] = [];

  constructor(
    owner: StreamsOwner<S>,
    role: 'server' | 'client',
    parts: { writer: FrameWriter; guard: FloodGuard; in: InFlow; out: OutFlow },
  ) {
    this.#owner = owner;
    this.#writer = parts.writer;
    this.#guard = parts.guard;
    this.#in = parts.in;
    this.#out = parts.out;
    this.#peerParity = role === 'server' ? 1 : 0;
    this.#nextId = role === 'server' ? 2 : 1;
  }

  get size(): number {
    return this.#table.size;
  }

  /** Whether ids are left for streams that we open. */
  get idsLeft(): boolean {
    return this.#nextId < STREAM_ID_MAX;
  }

  get(id: number): S | undefined {
    return this.#table.get(id);
  }

  all(): S[] {
    return this.#table.all();
  }

  /** Never opened, by either side. */
  isIdle(id: number): boolean {
    return (id & 1) === this.#peerParity ? id > this.lastPeerId : id >= this.#nextId;
  }

  /** Whether the peer may open streams with such ids at all. */
  isOfPeer(id: number): boolean {
    return (id & 1) === this.#peerParity;
  }

  how(id: number): 'ended' | 'reset-here' | 'unknown' {
    return this.#closed.how(id);
  }

  /** The peer tried to open one stream too many. */
  refused(id: number): void {
    this.#closed.note(id, 'reset-here');
  }

  /** The peer opened the stream; HEADERS came. @param windowBytes  that the peer gives to each */
  openOfPeer(stream: S, id: number, windowBytes: number): void {
    stream.id = id;
    this.#open(stream, windowBytes);
  }

  /** We open the stream; HEADERS follow. */
  openOurs(stream: S, windowBytes: number): void {
    stream.id = this.#nextId;
    this.#nextId += 2;
    this.#open(stream, windowBytes);
  }

  #open(stream: S, windowBytes: number): void {
    stream.state = step(stream.state, 'open');
    stream.sendWindow = windowBytes;
    this.#in.open(stream);
    this.#table.add(stream);
    if (this.#table.size === 1) this.#owner.onBusy();
  }

  /** The peer's side of the stream ended. */
  ended(stream: S): void {
    stream.state = step(stream.state, 'end-in');
  }

  /** After {@link ended}, when everything was handed over. */
  closeIfEnded(stream: S): void {
    if (stream.state === 'closed' && this.#table.get(stream.id) === stream) this.#close(stream);
  }

  /** Our side of the stream ended. */
  sent(stream: S): void {
    stream.state = step(stream.state, 'end-out');
    stream.onSent();
    this.closeIfEnded(stream);
  }

  /** Resets a stream; whoever carries it knows. */
  reset(stream: S, code: number): void {
    if (this.#table.get(stream.id) !== stream) return this.#forget(stream);
    this.#writer.rstStream(stream.id, code);
    stream.state = step(stream.state, 'reset');
    this.#remove(stream, 'reset-here');
    this.#forget(stream);
  }

  /** The stream is lost, and whoever carries it does not know yet. */
  lose(stream: S, code: number, by: 'peer' | 'connection'): void {
    stream.state = step(stream.state, 'reset');
    this.#remove(stream, 'ended');
    stream.onReset(code, by);
    this.#forget(stream);
  }

  /** The peer broke a rule of the stream (RFC 9113 section 5.4.2): that costs. */
  error(stream: S, code: number): H2ConnectionError | undefined {
    this.#writer.rstStream(stream.id, code);
    stream.state = step(stream.state, 'reset');
    this.#remove(stream, 'reset-here');
    stream.onReset(code, 'peer');
    this.#forget(stream);
    return this.#guard.spend('provoked-reset');
  }

  /** The peer's message is broken: how it ends decides whoever carries the stream. */
  break(stream: S, what: 'malformed' | 'too-large', detail: string): H2ConnectionError | undefined {
    stream.broken = true;
    stream.onBroken(what, detail);
    return this.#guard.spend('provoked-reset');
  }

  /** Hands on a piece of body. @returns an error of the connection: the message is broken once too often */
  deliver(stream: S, bytes: Buffer, from: number, to: number): H2ConnectionError | undefined {
    const size = to - from;
    if (stream.broken) this.#in.consumed(stream, size);
    if (stream.broken || size === 0) return undefined;
    stream.bodyBytes += size;
    if (stream.contentLength >= 0 && stream.bodyBytes > stream.contentLength) {
      this.#in.consumed(stream, size);
      return this.break(stream, 'malformed', 'Body is longer than Content-Length');
    }
    this.#feed(stream);
    this.#in.take(stream, from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
    return undefined;
  }

  /** The body is complete. */
  bodyEnded(stream: S, trailers: Headers | undefined): H2ConnectionError | undefined {
    if (stream.broken) return undefined;
    if (stream.contentLength >= 0 && stream.bodyBytes !== stream.contentLength) {
      return this.break(stream, 'malformed', 'Body is shorter than Content-Length');
    }
    this.#feed(stream);
    this.#in.end(stream, trailers);
    return undefined;
  }

  /** Takes what was held while the stream was paused. */
  resume(stream: S): void {
    this.#in.resume(stream);
    if (stream.state !== 'closed' || stream.heldBytes > 0 || stream.endHeld) return;
    if (this.#table.get(stream.id) !== stream) this.#forget(stream);
  }

  /** The stream was given something: it is told when there is no more for now. */
  feed(stream: S): void {
    this.#feed(stream);
  }

  /** All that had come was handed over. */
  tellFed(): void {
    const fed = this.#fed;
    for (const stream of fed) {
      stream.fed = false;
      if (stream.state !== 'closed') stream.onFed();
    }
    fed.length = 0;
  }

  #feed(stream: S): void {
    if (stream.fed) return;
    stream.fed = true;
    this.#fed.push(stream);
  }

  /** Both sides have ended. */
  #close(stream: S): void {
    this.#remove(stream, 'ended');
    // A whole answer that came for somebody who is slow stays until it is taken.
    const kept = !this.isOfPeer(stream.id) && (stream.heldBytes > 0 || stream.endHeld);
    if (!kept) this.#forget(stream);
  }

  #remove(stream: S, how: 'ended' | 'reset-here'): void {
    this.#table.delete(stream.id);
    this.#closed.note(stream.id, how);
    this.#out.drop(stream);
  }

  /** Nothing of the stream is wanted any more. */
  #forget(stream: S): void {
    this.#in.drop(stream);
    this.#owner.onClosed(stream);
    if (this.#table.size === 0) this.#owner.onQuiet();
  }
}
