/** A tunnel side that is a socket, plain or TLS. */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { type Intake, owned } from '../net/read-buffer.ts';
import type { Tunnel, TunnelSideEvents } from './tunnel.ts';

export interface SocketTunnelOptions {
  readonly socket: Duplex;
  /** Set when bytes come this way instead of by `data` events. */
  readonly intake?: Intake | undefined;
  /** Bytes that were read before and belong to the tunnel. */
  readonly early?: Buffer | undefined;
}

/** The socket must have been made with `allowHalfOpen`, or one direction takes the other with it. */
export class SocketTunnel implements Tunnel {
  readonly #socket: Duplex;
  readonly #intake: Intake | undefined;
  #early: Buffer | undefined;
  #over = false;

  constructor({ socket, intake, early }: SocketTunnelOptions) {
    this.#socket = socket;
    this.#intake = intake;
    this.#early = early;
  }

  open(events: TunnelSideEvents): void {
    const socket = this.#socket;
    const take = (bytes: Buffer): void => events.onBytes(bytes);
    if (this.#intake === undefined) socket.on('data', take);
    else this.#intake.take = take;
    socket.on('drain', () => events.onWritable());
    socket.on('end', () => events.onEnd());
    socket.on('finish', () => events.onFinished());
    const gone = (): void => {
      if (this.#over) return;
      this.#over = true;
      events.onGone();
    };
    socket.on('error', gone);
    socket.on('close', () => {
      // After both ends a close is only the socket being put away.
      if (!socket.readableEnded || !socket.writableFinished) gone();
    });
    const early = this.#early;
    this.#early = undefined;
    if (socket.destroyed) return gone();
    if (early !== undefined && early.length > 0) events.onBytes(early);
    if (socket.readableEnded) events.onEnd();
    else socket.resume();
  }

  write(bytes: Buffer): boolean {
    return this.#socket.destroyed || this.#socket.write(owned(bytes));
  }

  end(): void {
    if (!this.#socket.destroyed) this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** RST where the wire has one: a FIN would look like a proper end (RFC 9293 section 3.10.7). */
  reset(): void {
    this.#over = true;
    const socket = this.#socket;
    socket.on('error', ignore);
    if (socket instanceof Socket && !(socket instanceof TLSSocket)) socket.resetAndDestroy();
    else socket.destroy();
  }
}

const ignore = (): void => undefined;
