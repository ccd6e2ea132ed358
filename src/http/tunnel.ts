/**
 * Two sides that carry something else than HTTP from now on: a switched connection (101), an extended CONNECT
 * stream, or a connection that never was HTTP. Bytes, backpressure, half-close and resets are passed on as they are,
 * whatever the two sides are made of.
 */
import { FrameTracker } from './ws/frame-tracker.ts';

/** One side. What it is made of (a socket, a stream of an HTTP/2 connection) only its maker knows. */
export interface Tunnel {
  /** Starts the flow, once. Bytes that had arrived before come first, inside this call. */
  open(events: TunnelSideEvents): void;
  /** @returns false when enough is waiting to be sent: stop until `onWritable` */
  write(bytes: Buffer): boolean;
  /** Nothing more will be written. The other direction stays open; `onFinished` tells when the last byte was sent. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Ends both directions at once, in a way that the peer can tell from a proper end. No event follows. */
  reset(): void;
}

export interface TunnelSideEvents {
  /** Valid until the call returns (net/read-buffer.ts). */
  onBytes(bytes: Buffer): void;
  /** The peer will send nothing more; it may still read. */
  onEnd(): void;
  /** Everything written was handed over, the end included. */
  onFinished(): void;
  /** The side was lost: reset by its peer, or failed. No event follows. */
  onGone(): void;
  onWritable(): void;
}

export interface TunnelCounts {
  bytesFromClient: number;
  bytesFromUpstream: number;
}

/** How a tunnel ended. */
export type TunnelEnd = 'finished' | 'client-gone' | 'upstream-gone' | 'cut';

export interface TunnelEvents {
  /** Bytes went through; called for every piece, so it must be cheap. */
  onBytes(): void;
  /** One direction has ended and the other has not. */
  onHalfOpen(): void;
  /** Called once. */
  onClosed(end: TunnelEnd): void;
}

export interface TunnelSides {
  readonly client: Tunnel;
  readonly upstream: Tunnel;
  /** `websocket`: frames are followed, so that a last one of ours can be put behind them. */
  readonly protocol: 'websocket' | 'other';
}

/** Both sides of a tunnel, joined. */
export interface JoinedTunnels {
  /** Ends both directions at once. */
  cut(): void;
  /**
   * WebSockets only: sends `frame`, a Close, where the frame under way ends; what comes from the other side after it is
   * read and dropped. Does nothing when that direction has ended, or has said Close by itself.
   */
  sayLast(to: 'client' | 'upstream', frame: Buffer): void;
}

/**
 * Joins both sides until both have ended. When one side fails, the other is reset: a half of a broken
 * conversation must not look like a complete one.
 */
export function joinTunnels(sides: TunnelSides, counts: TunnelCounts, events: TunnelEvents): JoinedTunnels {
  const join = new Join(sides, counts, events);
  join.start();
  return join;
}

class Join implements JoinedTunnels {
  readonly #counts: TunnelCounts;
  readonly #events: TunnelEvents;
  readonly #toUpstream: Direction;
  readonly #toClient: Direction;
  /** Directions whose last byte was not handed over yet. */
  #open = 2;
  #closed = false;

  constructor({ client, upstream, protocol }: TunnelSides, counts: TunnelCounts, events: TunnelEvents) {
    this.#counts = counts;
    this.#events = events;
    const tracker = (): FrameTracker | undefined => (protocol === 'websocket' ? new FrameTracker() : undefined);
    this.#toUpstream = new Direction(this, { from: client, to: upstream, gone: 'client-gone' }, tracker());
    this.#toClient = new Direction(this, { from: upstream, to: client, gone: 'upstream-gone' }, tracker());
  }

  start(): void {
    this.#toUpstream.from.open(this.#toUpstream);
    if (!this.#closed) this.#toClient.from.open(this.#toClient);
  }

  cut(): void {
    this.close('cut');
  }

  sayLast(to: 'client' | 'upstream', frame: Buffer): void {
    if (!this.#closed) (to === 'client' ? this.#toClient : this.#toUpstream).sayLast(frame);
  }

  counted(direction: Direction, bytes: number): void {
    if (direction === this.#toUpstream) this.#counts.bytesFromClient += bytes;
    else this.#counts.bytesFromUpstream += bytes;
    this.#events.onBytes();
  }

  /** The last byte of a direction was handed over. */
  finished(): void {
    if (--this.#open === 0) this.close('finished');
    else this.#events.onHalfOpen();
  }

  close(end: TunnelEnd): void {
    if (this.#closed) return;
    this.#closed = true;
    if (end !== 'finished' && end !== 'client-gone') this.#toUpstream.from.reset();
    if (end !== 'finished' && end !== 'upstream-gone') this.#toClient.from.reset();
    this.#events.onClosed(this.#isSaid(end) ? 'finished' : end);
  }

  /** Who is lost after both have said Close has left: several servers reset what is left of the connection then. */
  #isSaid(end: TunnelEnd): boolean {
    return end !== 'cut' && this.#toUpstream.hasSaidClose && this.#toClient.hasSaidClose;
  }
}

interface Way {
  readonly from: Tunnel;
  readonly to: Tunnel;
  /** What it means when `from` is lost. */
  readonly gone: TunnelEnd;
}

/** One direction: told of everything that happens to the side that sends in it. */
class Direction implements TunnelSideEvents {
  readonly from: Tunnel;
  readonly #to: Tunnel;
  readonly #gone: TunnelEnd;
  readonly #join: Join;
  readonly #tracker: FrameTracker | undefined;
  #ended = false;
  /** Waits for the end of the frame under way. */
  #last: Buffer | undefined;
  #lastSaid = false;

  constructor(join: Join, { from, to, gone }: Way, tracker: FrameTracker | undefined) {
    this.#join = join;
    this.from = from;
    this.#to = to;
    this.#gone = gone;
    this.#tracker = tracker;
  }

  /** Whether a Close went through, or was said in its place. */
  get hasSaidClose(): boolean {
    return this.#lastSaid || (this.#tracker !== undefined && this.#tracker.closing && this.#tracker.atBorder);
  }

  onBytes(bytes: Buffer): void {
    this.#join.counted(this, bytes.length);
    const border = this.#tracker?.push(bytes) ?? -1;
    if (this.#lastSaid) return;
    if (this.#last === undefined || border < 0 || this.#tracker!.closing) this.#pass(bytes);
    else {
      if (border > 0) this.#pass(bytes.subarray(0, border));
      this.#say(this.#last);
    }
  }

  onEnd(): void {
    this.#ended = true;
    this.#to.end();
  }

  onFinished(): void {
    this.#join.finished();
  }

  onGone(): void {
    this.#join.close(this.#gone);
  }

  onWritable(): void {
    this.#to.resume();
  }

  sayLast(frame: Buffer): void {
    if (this.#tracker === undefined || this.#ended || this.#lastSaid || this.#tracker.closing) return;
    if (this.#tracker.atBorder) this.#say(frame);
    else this.#last = frame;
  }

  #say(frame: Buffer): void {
    this.#last = undefined;
    this.#lastSaid = true;
    this.#to.write(frame);
    this.from.resume(); // nothing of it waits any more
  }

  #pass(bytes: Buffer): void {
    if (!this.#to.write(bytes)) this.from.pause();
  }
}
