/** Serves a connection of a client with the codec of what it speaks. */
import { Timed } from '../base/timers.ts';
import { DRAIN_GRACE_MS, H1ServerConn } from './h1/server-conn.ts';
import { PREFACE } from './h2/frame.ts';
import { H2ServerConn, type H2ServerConnOptions } from './h2/server-conn.ts';
import type { ServerConn } from './stream.ts';

/** `look`: HTTP/2 with prior knowledge (RFC 9113 section 3.3) or HTTP/1.1, as the first bytes say. */
export type ClientWire = 'http/1.1' | 'h2' | 'look';

export function serveConn(wire: ClientWire, options: H2ServerConnOptions): ServerConn {
  if (wire === 'h2') return new H2ServerConn(options);
  return wire === 'look' ? new FirstBytes(options) : new H1ServerConn(options);
}

/**
 * A connection whose first bytes say what it speaks: the preface of HTTP/2, which no request of HTTP/1.1 begins with,
 * or HTTP/1.1. Costs nothing once that is known.
 */
class FirstBytes implements ServerConn {
  readonly #options: H2ServerConnOptions;
  readonly #timer: Timed;
  readonly #onData = (bytes: Buffer): void => this.#look(bytes);
  readonly #onGone = (): void => this.#gone();
  readonly #onEnd = (): void => this.destroy();
  /** Bytes of the preface that have come. */
  #matched = 0;
  #conn: ServerConn | undefined;
  #over = false;
  #draining: boolean;

  constructor(options: H2ServerConnOptions) {
    this.#options = options;
    this.#draining = options.draining === true;
    const { socket, intake, wheel, timeouts } = options;
    this.#timer = new Timed(() => this.destroy());
    if (intake === undefined) socket.on('data', this.#onData);
    else intake.take = this.#onData;
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onGone);
    socket.on('close', this.#onGone);
    if (this.#draining) wheel.arm(this.#timer, DRAIN_GRACE_MS);
    else if (timeouts.keepAliveMs > 0) wheel.arm(this.#timer, timeouts.keepAliveMs);
    if (options.early !== undefined) this.#look(options.early);
  }

  get requests(): number {
    return this.#conn?.requests ?? 0;
  }

  drain(): void {
    if (this.#conn !== undefined) return this.#conn.drain();
    if (this.#draining) return;
    this.#draining = true;
    // Bytes may be on their way. Which of the two they speak is not known before: nothing can be said yet.
    if (this.#matched === 0) this.#options.wheel.arm(this.#timer, DRAIN_GRACE_MS);
  }

  destroy(): void {
    if (this.#conn !== undefined) return this.#conn.destroy();
    this.#options.socket.destroy();
    this.#gone();
  }

  #look(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.#matched < PREFACE.length && bytes[at] === PREFACE[this.#matched]) {
      at++;
      this.#matched++;
    }
    const whole = this.#matched === PREFACE.length;
    const { wheel, timeouts } = this.#options;
    if (!whole && at === bytes.length) {
      // Once, with the first of them: they are a head, however slowly they drip in.
      if (timeouts.headMs > 0 && this.#matched === at) wheel.arm(this.#timer, timeouts.headMs);
      return;
    }
    const before = this.#matched - at;
    const early = before === 0 ? bytes : Buffer.concat([PREFACE.subarray(0, before), bytes]);
    this.#become(whole ? 'h2' : 'http/1.1', early);
  }

  #become(wire: 'http/1.1' | 'h2', early: Buffer): void {
    const options = this.#options;
    const { socket, wheel } = options;
    wheel.disarm(this.#timer);
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onGone);
    socket.off('close', this.#onGone);
    this.#conn = serveConn(wire, { ...options, draining: this.#draining, early, onClosed: () => this.#gone() });
  }

  #gone(): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.wheel.disarm(this.#timer);
    this.#options.onClosed(this);
  }
}
