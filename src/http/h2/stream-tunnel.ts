/** A tunnel side that is a stream of an HTTP/2 connection (RFC 8441 section 5). */
import { owned } from '../../net/read-buffer.ts';
import type { Tunnel, TunnelSideEvents } from '../tunnel.ts';
import type { H2Core } from './core.ts';
import { H2_ERROR } from './frame.ts';
import type { H2Stream } from './stream.ts';

/** Whoever carries the stream hands on what the core tells it. */
export class StreamTunnel<S extends H2Stream> implements Tunnel {
  readonly #core: H2Core<S>;
  readonly #stream: S;
  #events: TunnelSideEvents | undefined;
  #ended = false;
  #finished = false;
  #over = false;

  /** Nothing is handed over before {@link StreamTunnel.open}. */
  constructor(core: H2Core<S>, stream: S) {
    this.#core = core;
    this.#stream = stream;
    core.pause(stream);
  }

  open(events: TunnelSideEvents): void {
    this.#events = events;
    if (this.#over) return events.onGone();
    if (this.#ended) events.onEnd();
    this.#core.resume(this.#stream);
  }

  write(bytes: Buffer): boolean {
    return this.#over || this.#core.sendBody(this.#stream, bytes);
  }

  end(): void {
    if (!this.#over) this.#core.sendEnd(this.#stream, undefined);
  }

  pause(): void {
    if (!this.#over) this.#core.pause(this.#stream);
  }

  resume(): void {
    if (!this.#over) this.#core.resume(this.#stream);
  }

  reset(): void {
    if (this.#over) return;
    this.#over = true;
    this.#core.reset(this.#stream, H2_ERROR.CANCEL);
  }

  // --- the stream speaks -------------------------------------------------------------------------------------------

  onBytes(bytes: Buffer): void {
    this.#events?.onBytes(owned(bytes));
  }

  onEnd(): void {
    this.#ended = true;
    this.#events?.onEnd();
  }

  onFinished(): void {
    if (this.#finished || this.#over) return;
    this.#finished = true;
    this.#events?.onFinished();
  }

  onWritable(): void {
    this.#events?.onWritable();
  }

  /** The stream was lost. */
  onGone(): void {
    if (this.#over) return;
    this.#over = true;
    this.#events?.onGone();
  }

  /** The stream is closed: both sides have ended, unless it was lost. Its object is not ours any more. */
  onClosed(): void {
    this.onFinished();
    this.#over = true;
  }
}
