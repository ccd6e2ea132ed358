/**
 * One stream of an HTTP/2 connection as the core sees it: its state, what waits to be sent and what waits to be taken.
 * The two sides of the wire extend it by what they make of requests and answers. Objects are used again for later
 * streams of their connection.
 */
import type { Headers } from '../headers.ts';
import type { FieldList } from './hpack/field-list.ts';
import type { StreamState } from './stream-state.ts';

export abstract class H2Stream {
  id = 0;
  state: StreamState = 'idle';

  // --- towards the peer: out-flow.ts ---
  /** Bytes that the peer takes now; negative after it made its windows smaller. */
  sendWindow = 0;
  /** Pieces that wait for the peer, the socket or their turn; bounded by the watermark of out-flow.ts. */
  readonly queue: Buffer[] = [];
  queuedBytes = 0;
  /** Whoever sends was asked to wait for {@link H2Stream.onWritable}. */
  stopped = false;
  /** The end comes behind what waits. */
  endAsked = false;
  trailersOut: Headers | undefined;
  /** Ring of the streams that can send as soon as the connection can; undefined when not in it. */
  nextReady: H2Stream | undefined;
  previousReady: H2Stream | undefined;
  /** Where the last HEADERS or DATA frame stands in the writer. */
  frameBatch = -1;
  frameAt = 0;
  /** Bytes sent so far and when progress was looked at last. */
  sentBytes = 0;
  sentBytesSeen = 0;

  // --- from the peer: in-flow.ts ---
  /** Bytes that the peer may still send. */
  receiveWindow = 0;
  /** Bytes taken and not given back to the peer yet. */
  owedBytes = 0;
  /** Pieces that came while paused; bounded by the window. */
  readonly held: Buffer[] = [];
  heldBytes = 0;
  paused = false;
  /** The end came while paused. */
  endHeld = false;
  trailersIn: Headers | undefined;
  /** Value of Content-Length if the body must have that length, else -1 (RFC 9113 section 8.1.1). */
  contentLength = -1;
  bodyBytes = 0;
  /** Its message broke a rule: what else of it comes is passed over. */
  broken = false;
  /** The next block of fields is trailers. */
  trailing = false;
  /** In the list of those that were given something in this read. */
  fed = false;

  /** Makes an object ready for another stream. */
  protected renew(): void {
    this.id = 0;
    this.state = 'idle';
    this.stopped = false;
    this.endAsked = false;
    this.trailersOut = undefined;
    this.frameBatch = -1;
    this.sentBytes = 0;
    this.sentBytesSeen = 0;
    this.owedBytes = 0;
    this.paused = false;
    this.endHeld = false;
    this.trailersIn = undefined;
    this.contentLength = -1;
    this.bodyBytes = 0;
    this.broken = false;
    this.trailing = false;
  }

  /**
   * A head, whatever its outcome; the list is valid until the call returns. Trailers do not come this way. `ended`: the
   * message has no body. `contentLength` and `trailing` are to be set here.
   */
  abstract onFields(list: FieldList, ended: boolean): void;
  /** Valid until the call returns. Not called while paused. */
  abstract onBody(bytes: Buffer): void;
  abstract onBodyEnd(trailers: Headers | undefined): void;
  /** All that has come was handed over, or is held because the stream is paused. */
  abstract onFed(): void;
  /** The body or the trailers break a rule. Whether and when the stream is reset is decided here; nothing more comes. */
  abstract onBroken(what: 'malformed' | 'too-large', detail: string): void;
  /** The stream is closed: by the peer, with its code, or with the connection. */
  abstract onReset(code: number, by: 'peer' | 'connection'): void;
  /** Everything was sent, the end included. The state says whether the peer has ended too. */
  abstract onSent(): void;
  /** What waited to be sent is nearly gone. */
  abstract onWritable(): void;
  /** Nothing was sent for too long because the peer takes nothing, or nearly so. */
  abstract onStalled(): void;
}
