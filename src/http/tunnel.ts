/**
 * Two sockets that carry something else than HTTP from now on (after 101).
 * Bytes, backpressure, half-close and resets are passed on as they are.
 */
import type { Duplex } from 'node:stream';
import { type Intake, owned } from '../net/read-buffer.ts';

export interface Tunnel {
  readonly socket: Duplex;
  /** Set when bytes come this way instead of by `data` events. */
  readonly intake?: Intake | undefined;
  /** Bytes that arrived together with the head and belong to the new protocol. */
  readonly early: Buffer | undefined;
}

export interface TunnelCounts {
  bytesFromClient: number;
  bytesFromUpstream: number;
}

export interface TunnelEvents {
  /** One side has ended and the other has not: called then, and for each piece that still comes. */
  onHalfOpen(): void;
  /** Both directions ended, or one side was lost. Called once. */
  onClosed(): void;
}

/**
 * Joins both sides until both have ended. When one side fails, the other is destroyed: a half of a broken
 * conversation must not look like a complete one.
 *
 * @returns a function that cuts both sides
 */
export function joinTunnels(client: Tunnel, upstream: Tunnel, counts: TunnelCounts, events: TunnelEvents): () => void {
  let open = 2;
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    client.socket.destroy();
    upstream.socket.destroy();
    events.onClosed();
  };
  const join = (from: Tunnel, to: Tunnel, count: (bytes: number) => void): void => {
    if (from.early !== undefined && from.early.length > 0) {
      count(from.early.length);
      to.socket.write(owned(from.early));
    }
    const pass = (bytes: Buffer): void => {
      count(bytes.length);
      if (open === 1) events.onHalfOpen();
      if (!to.socket.write(owned(bytes))) from.socket.pause();
    };
    if (from.intake === undefined) from.socket.on('data', pass);
    else from.intake.take = pass;
    to.socket.on('drain', () => from.socket.resume());
    from.socket.on('end', () => {
      to.socket.end();
      if (--open === 0) setImmediate(close);
      else events.onHalfOpen();
    });
    from.socket.on('error', close);
    from.socket.on('close', () => {
      if (!from.socket.readableEnded) close();
    });
    from.socket.resume();
  };
  join(client, upstream, (bytes) => (counts.bytesFromClient += bytes));
  join(upstream, client, (bytes) => (counts.bytesFromUpstream += bytes));
  return close;
}
