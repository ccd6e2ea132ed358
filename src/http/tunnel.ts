/**
 * Two sides that carry something else than HTTP from now on: a switched connection (101), an extended CONNECT
 * stream, or a connection that never was HTTP. Bytes, backpressure, half-close and resets are passed on as they are,
 * whatever the two sides are made of.
 */

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

/**
 * Joins both sides until both have ended. When one side fails, the other is reset: a half of a broken
 * conversation must not look like a complete one.
 *
 * @returns a function that cuts both sides
 */
export function joinTunnels(client: Tunnel, upstream: Tunnel, counts: TunnelCounts, events: TunnelEvents): () => void {
  const join = new Join(client, upstream, counts, events);
  join.start();
  return () => join.cut();
}

class Join {
  readonly #client: Tunnel;
  readonly #upstream: Tunnel;
  readonly #counts: TunnelCounts;
  readonly #events: TunnelEvents;
  /** Directions whose last byte was not handed over yet. */
  #open = 2;
  #closed = false;

  constructor(client: Tunnel, upstream: Tunnel, counts: TunnelCounts, events: TunnelEvents) {
    this.#client = client;
    this.#upstream = upstream;
    this.#counts = counts;
    this.#events = events;
  }

  start(): void {
    this.#client.open(this.#pass('bytesFromClient', this.#client, this.#upstream));
    if (!this.#closed) this.#upstream.open(this.#pass('bytesFromUpstream', this.#upstream, this.#client));
  }

  cut(): void {
    this.#close('cut');
  }

  #pass(count: keyof TunnelCounts, from: Tunnel, to: Tunnel): TunnelSideEvents {
    return {
      onBytes: (bytes) => {
        this.#counts[count] += bytes.length;
        this.#events.onBytes();
        if (!to.write(bytes)) from.pause();
      },
      onEnd: () => to.end(),
      onFinished: () => {
        if (--this.#open === 0) this.#close('finished');
        else this.#events.onHalfOpen();
      },
      onGone: () => this.#close(from === this.#client ? 'client-gone' : 'upstream-gone'),
      onWritable: () => to.resume(),
    };
  }

  #close(end: TunnelEnd): void {
    if (this.#closed) return;
    this.#closed = true;
    if (end !== 'finished' && end !== 'client-gone') this.#client.reset();
    if (end !== 'finished' && end !== 'upstream-gone') this.#upstream.reset();
    this.#events.onClosed(end);
  }
}
