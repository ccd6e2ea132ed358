/**
 * Frames of the peer, by the rules of RFC 9113 section 6. Each rule that must end the connection is a returned
 * {@link H2ConnectionError}; each that must end the stream goes through {@link Streams.error}.
 */
import { Headers } from '../headers.ts';
import { BlockReader } from './block-reader.ts';
import type { FloodGuard } from './flood-guard.ts';
import {
  FLAG,
  FRAME,
  FRAME_BYTES_MAX,
  type FrameHeader,
  type FrameSink,
  H2_ERROR,
  H2ConnectionError,
  STREAM_ID_MAX,
} from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import type { FieldLimits, FieldList } from './hpack/field-list.ts';
import type { InFlow } from './in-flow.ts';
import type { OutFlow } from './out-flow.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { H2Stream } from './stream.ts';
import { mayReceive } from './stream-state.ts';
import type { Streams } from './streams.ts';

/** A block is compressed: one so much longer than what is allowed decoded is no header. */
const BLOCK_BYTES_FACTOR = 2;

export interface FrameLimits extends FieldLimits {
  readonly trailerBytesMax: number;
  /** Streams that the peer may have open; 0 on the client side. */
  readonly streamsMax: number;
}

export interface FramesInOwner<S extends H2Stream> {
  /** The peer opens a stream. @returns who carries it; undefined to pass it over, as if GOAWAY had excluded it */
  onOpen(id: number): S | undefined;
  /** Settings of the peer were taken over, and are not acknowledged yet. */
  onSettings(): void;
  onSettingsAck(): void;
  onGoAway(lastStreamId: number, code: number): void;
  onPong(): void;
}

export interface FramesInParts<S extends H2Stream> {
  readonly limits: FrameLimits;
  readonly peer: PeerSettings;
  readonly writer: FrameWriter;
  readonly guard: FloodGuard;
  readonly in: InFlow;
  readonly out: OutFlow;
  readonly streams: Streams<S>;
}

export class FramesIn<S extends H2Stream> implements FrameSink {
  readonly #owner: FramesInOwner<S>;
  readonly #role: 'server' | 'client';
  readonly #parts: FramesInParts<S>;
  readonly #blocks: BlockReader;
  readonly #decoder = new HpackDecoder();
  readonly #trailerLimits: FieldLimits;
  #settingsSeen = false;
  #over = false;

  constructor(owner: FramesInOwner<S>, role: 'server' | 'client', parts: FramesInParts<S>) {
    this.#owner = owner;
    this.#role = role;
    this.#parts = parts;
    const { limits, guard } = parts;
    this.#blocks = new BlockReader(guard, limits.headerBytesMax * BLOCK_BYTES_FACTOR + FRAME_BYTES_MAX);
    this.#trailerLimits = { headerBytesMax: limits.trailerBytesMax, headersMax: limits.headersMax };
  }

  /** The peer has told its settings. */
  get settingsSeen(): boolean {
    return this.#settingsSeen;
  }

  /** A header block has begun and is not complete. */
  get blockOpen(): boolean {
    return this.#blocks.open;
  }

  /** Takes no frame any more. */
  stop(): void {
    this.#over = true;
  }

  onFrame(frame: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    if (this.#over) return undefined;
    const { type } = frame;
    if (!this.#settingsSeen && (type !== FRAME.SETTINGS || (frame.flags & FLAG.ACK) !== 0)) {
      return protocol('First frame is not SETTINGS');
    }
    if (this.#blocks.open && (type !== FRAME.CONTINUATION || frame.streamId !== this.#blocks.streamId)) {
      return protocol('Header block is interrupted');
    }
    switch (type) {
      case FRAME.DATA:
        return this.#onData(frame, bytes, start, end);
      case FRAME.HEADERS:
        return this.#onHeaders(frame, bytes, start, end);
      case FRAME.PRIORITY:
        return this.#onPriority(frame, bytes, start, end);
      case FRAME.RST_STREAM:
        return this.#onRstStream(frame, bytes, start, end);
      case FRAME.SETTINGS:
        return this.#onSettings(frame, bytes, start, end);
      case FRAME.PUSH_PROMISE:
        return protocol('PUSH_PROMISE was not allowed');
      case FRAME.PING:
        return this.#onPing(frame, bytes, start, end);
      case FRAME.GOAWAY:
        return this.#onGoAway(frame, bytes, start, end);
      case FRAME.WINDOW_UPDATE:
        return this.#onWindowUpdate(frame, bytes, start, end);
      case FRAME.CONTINUATION:
        return this.#onContinuation(frame, bytes, start, end);
      case FRAME.PRIORITY_UPDATE:
        return this.#onPriorityUpdate(frame, bytes, start, end);
      default: // section 4.1: unknown frames are passed over
        return this.#parts.guard.spend('unknown-frame');
    }
  }

  // --- bodies ------------------------------------------------------------------------------------------------------

  #onData(frame: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    const { streams, guard } = this.#parts;
    const { streamId } = frame;
    if (streamId === 0) return protocol('DATA without a stream');
    const size = end - start;
    let from = start;
    let to = end;
    if ((frame.flags & FLAG.PADDED) !== 0) {
      const padding = size > 0 ? bytes[start]! : 0;
      if (padding >= size) return protocol('Padding is longer than its frame');
      from++;
      to -= padding;
    }
    const error = this.#parts.in.receive(size);
    if (error !== undefined) return error;
    const stream = streams.get(streamId);
    if (stream === undefined) return this.#onDataNowhere(streamId);
    if (!mayReceive(stream.state)) return streams.error(stream, H2_ERROR.STREAM_CLOSED);
    stream.receiveWindow -= size;
    if (stream.receiveWindow < 0) return streams.error(stream, H2_ERROR.FLOW_CONTROL_ERROR);
    const ended = (frame.flags & FLAG.END_STREAM) !== 0;
    if (from === to && !ended) {
      const flood = guard.spend('empty-data');
      if (flood !== undefined) return flood;
    }
    guard.received(to - from);
    if (ended) streams.ended(stream);
    // Padding counts (section 6.1), and nobody has to take it.
    if (to - from < size) this.#parts.in.consumed(stream, size - (to - from));
    return streams.deliver(stream, bytes, from, to) ?? (ended ? this.#onEnd(stream, undefined) : undefined);
  }

  #onEnd(stream: S, trailers: Headers | undefined): H2ConnectionError | undefined {
    const { streams } = this.#parts;
    const { id } = stream;
    // It may have been reset by what it was given.
    if (streams.get(id) !== stream) return undefined;
    const error = streams.bodyEnded(stream, trailers);
    if (streams.get(id) === stream) streams.closeIfEnded(stream);
    return error;
  }

  /** DATA for a stream that is not open: its bytes were counted, and are given back. */
  #onDataNowhere(streamId: number): H2ConnectionError | undefined {
    const { streams } = this.#parts;
    if (streams.isIdle(streamId)) {
      return streamId > streams.lastServedId ? undefined : protocol('DATA for a stream that was never opened');
    }
    if (streamId > streams.lastServedId || streams.how(streamId) === 'reset-here') return undefined;
    return new H2ConnectionError(H2_ERROR.STREAM_CLOSED, 'DATA for a closed stream');
  }

  // --- heads and trailers ------------------------------------------------------------------------------------------

  #onHeaders(frame: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    const { streamId, flags } = frame;
    if (streamId === 0) return protocol('HEADERS without a stream');
    let from = start;
    let to = end;
    if ((flags & FLAG.PADDED) !== 0) {
      if (from === to) return frameSize('HEADERS are too short for their padding');
      to -= bytes[from++]!;
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (end - from < 5) return frameSize('HEADERS are too short for their priority');
      if (dependsOn(bytes, from) === streamId) return protocol('Stream depends on itself');
      from += 5;
    }
    if (to < from) return protocol('Padding is longer than its frame');
    return this.#blocks.begin(frame, bytes, from, to) ? this.#onBlock() : undefined;
  }

  #onContinuation(frame: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    if (!this.#blocks.open) return protocol('CONTINUATION without HEADERS');
    const complete = this.#blocks.more(frame, bytes, start, end);
    if (complete instanceof H2ConnectionError) return complete;
    return complete ? this.#onBlock() : undefined;
  }

  /** A block must be decoded whatever becomes of it: the table of the connection has to stay in step. */
  #onBlock(): H2ConnectionError | undefined {
    const { limits, streams } = this.#parts;
    const { block } = this.#blocks;
    const { streamId, endStream } = block;
    const stream = streams.get(streamId);
    const trailing = stream?.trailing === true;
    const list = this.#decoder.decode(block.bytes, block.start, block.end, trailing ? this.#trailerLimits : limits);
    this.#blocks.done();
    if (list.outcome === 'compression-error') {
      return new H2ConnectionError(H2_ERROR.COMPRESSION_ERROR, list.detail);
    }
    if (stream === undefined) return this.#onNewBlock(streamId, list, endStream);
    if (!mayReceive(stream.state)) return streams.error(stream, H2_ERROR.STREAM_CLOSED);
    if (trailing) return this.#onTrailers(stream, list, endStream);
    if (endStream) streams.ended(stream);
    streams.feed(stream);
    stream.onFields(list, endStream);
    streams.closeIfEnded(stream);
    return undefined;
  }

  #onNewBlock(streamId: number, list: FieldList, endStream: boolean): H2ConnectionError | undefined {
    const { streams, guard, limits, writer, peer } = this.#parts;
    if (!streams.isOfPeer(streamId) || this.#role === 'client') {
      if (streams.isIdle(streamId)) return protocol('HEADERS for a stream that the peer cannot open');
      // An answer to what was given up.
      if (streams.how(streamId) === 'reset-here') return guard.spend('closed-stream');
      return new H2ConnectionError(H2_ERROR.STREAM_CLOSED, 'HEADERS for a closed stream');
    }
    if (!streams.isIdle(streamId)) {
      const how = streams.how(streamId);
      if (how === 'reset-here') return guard.spend('closed-stream');
      if (how === 'unknown') return protocol('Id of a new stream is not above those before');
      return new H2ConnectionError(H2_ERROR.STREAM_CLOSED, 'HEADERS for a closed stream');
    }
    if (streamId > streams.lastServedId) return guard.spend('closed-stream');
    streams.lastPeerId = streamId;
    if (streams.size >= limits.streamsMax) {
      // Section 5.1.2. Until it knows our settings, a peer cannot do better.
      writer.rstStream(streamId, H2_ERROR.REFUSED_STREAM);
      streams.refused(streamId);
      return guard.spend('provoked-reset');
    }
    const stream = this.#owner.onOpen(streamId);
    if (stream === undefined) return undefined;
    streams.openOfPeer(stream, streamId, peer.windowBytes);
    if (endStream) streams.ended(stream);
    streams.feed(stream);
    stream.onFields(list, endStream);
    return stream.broken ? guard.spend('provoked-reset') : undefined;
  }

  /** Section 8.1: the last thing of a message, without pseudo-headers and without what frames or routes it. */
  #onTrailers(stream: S, list: FieldList, endStream: boolean): H2ConnectionError | undefined {
    const { streams } = this.#parts;
    if (stream.broken) {
      if (endStream) streams.ended(stream);
      streams.closeIfEnded(stream);
      return undefined;
    }
    if (!endStream) return streams.break(stream, 'malformed', 'Trailers do not end the stream');
    streams.ended(stream);
    if (list.outcome === 'too-large') return streams.break(stream, 'too-large', `Trailers: ${list.detail}`);
    if (list.outcome === 'malformed') return streams.break(stream, 'malformed', `Trailers: ${list.detail}`);
    if (list.pseudos !== 0) return streams.break(stream, 'malformed', 'Trailers have a pseudo-header');
    if (list.contentLength >= 0 || list.host !== undefined) {
      return streams.break(stream, 'malformed', 'Trailers have a framing or routing field');
    }
    if (list.count === 0) return this.#onEnd(stream, undefined);
    const trailers = new Headers();
    list.copyTo(trailers);
    return this.#onEnd(stream, trailers);
  }

  // --- what concerns one stream ------------------------------------------------------------------------------------

  #onPriority({ streamId }: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    if (streamId === 0) return protocol('PRIORITY without a stream');
    // Section 6.3: an error of the stream, which may be of the connection.
    if (end - start !== 5) return frameSize('PRIORITY is not 5 bytes long');
    if (dependsOn(bytes, start) === streamId) return protocol('Stream depends on itself');
    return this.#parts.guard.spend('priority');
  }

  /** RFC 9218 section 7.1. */
  #onPriorityUpdate(
    { streamId }: FrameHeader,
    bytes: Buffer,
    start: number,
    end: number,
  ): H2ConnectionError | undefined {
    if (this.#role === 'client') return protocol('PRIORITY_UPDATE from a server');
    if (streamId !== 0) return protocol('PRIORITY_UPDATE on a stream');
    if (end - start < 4) return frameSize('PRIORITY_UPDATE is shorter than 4 bytes');
    if (dependsOn(bytes, start) === 0) return protocol('PRIORITY_UPDATE for stream 0');
    return this.#parts.guard.spend('priority');
  }

  #onRstStream({ streamId }: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    const { streams, guard } = this.#parts;
    if (streamId === 0) return protocol('RST_STREAM without a stream');
    if (end - start !== 4) return frameSize('RST_STREAM is not 4 bytes long');
    const stream = streams.get(streamId);
    if (stream === undefined) {
      if (streams.isIdle(streamId) && streamId <= streams.lastServedId) {
        return protocol('RST_STREAM for a stream that was never opened');
      }
      return guard.spend('closed-stream');
    }
    streams.lose(stream, bytes.readUInt32BE(start), 'peer');
    return this.#role === 'server' ? guard.spend('rapid-reset') : undefined;
  }

  #onWindowUpdate({ streamId }: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    const { streams, guard, out } = this.#parts;
    if (end - start !== 4) return frameSize('WINDOW_UPDATE is not 4 bytes long');
    const increment = bytes.readUInt32BE(start) & STREAM_ID_MAX;
    const error = guard.spend('window-update');
    if (error !== undefined) return error;
    if (streamId === 0) {
      return increment === 0 ? protocol('WINDOW_UPDATE adds nothing') : out.widen(increment);
    }
    const stream = streams.get(streamId);
    if (stream === undefined) {
      if (streams.isIdle(streamId) && streamId <= streams.lastServedId) {
        return protocol('WINDOW_UPDATE for a stream that was never opened');
      }
      return undefined;
    }
    if (increment === 0) return streams.error(stream, H2_ERROR.PROTOCOL_ERROR);
    return out.widenStream(stream, increment) ? undefined : streams.error(stream, H2_ERROR.FLOW_CONTROL_ERROR);
  }

  // --- what concerns the connection --------------------------------------------------------------------------------

  #onSettings(frame: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    if (frame.streamId !== 0) return protocol('SETTINGS on a stream');
    if ((frame.flags & FLAG.ACK) !== 0) {
      if (start !== end) return frameSize('Acknowledgement of SETTINGS is not empty');
      this.#owner.onSettingsAck();
      return this.#parts.guard.spend('settings');
    }
    if ((end - start) % 6 !== 0) return frameSize('SETTINGS are not a multiple of 6 bytes long');
    const { peer, streams, out, writer, guard } = this.#parts;
    const windowBefore = peer.windowBytes;
    const error = guard.spend('settings') ?? peer.read(bytes, start, end);
    if (error !== undefined) return error;
    this.#settingsSeen = true;
    const change = peer.windowBytes - windowBefore;
    if (change !== 0) {
      for (const stream of streams.all()) {
        if (out.widenStream(stream, change)) continue;
        return new H2ConnectionError(H2_ERROR.FLOW_CONTROL_ERROR, 'Settings make a window larger than 2^31-1');
      }
    }
    this.#owner.onSettings();
    writer.settingsAck();
    return undefined;
  }

  #onPing(frame: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    if (frame.streamId !== 0) return protocol('PING on a stream');
    if (end - start !== 8) return frameSize('PING is not 8 bytes long');
    if ((frame.flags & FLAG.ACK) !== 0) this.#owner.onPong();
    else this.#parts.writer.ping(bytes.subarray(start, end), FLAG.ACK);
    return this.#parts.guard.spend('ping');
  }

  #onGoAway({ streamId }: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    if (streamId !== 0) return protocol('GOAWAY on a stream');
    if (end - start < 8) return frameSize('GOAWAY is shorter than 8 bytes');
    this.#owner.onGoAway(bytes.readUInt32BE(start) & STREAM_ID_MAX, bytes.readUInt32BE(start + 4));
    return this.#parts.guard.spend('settings');
  }
}

/** The id in the first 4 bytes of a priority. */
function dependsOn(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) & STREAM_ID_MAX;
}

function protocol(detail: string): H2ConnectionError {
  return new H2ConnectionError(H2_ERROR.PROTOCOL_ERROR, detail);
}

function frameSize(detail: string): H2ConnectionError {
  return new H2ConnectionError(H2_ERROR.FRAME_SIZE_ERROR, detail);
}
