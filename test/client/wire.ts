/**
 * One TCP or TLS connection for tests: exact bytes out, strict reads in. Every
 * wait ends: with what was asked for, with the end of the connection, or after
 * `patienceMs` with an error that shows what had arrived.
 */
import type { Socket } from 'node:net';

/** How the other side is: still there, ended politely (FIN), or gone with a reset or another error. */
export type PeerState = 'open' | 'ended' | 'reset';

/** Where to cut what is sent: the same message must mean the same whichever way it arrives. */
export type Cut = 'whole' | 'every-byte' | readonly number[];

const PATIENCE_MS = 10_000;

export class WireError extends Error {
  override readonly name = 'WireError';
}

export class Wire {
  readonly socket: Socket;
  patienceMs: number;
  #received: Buffer = Buffer.alloc(0);
  #receivedBytes = 0;
  #state: PeerState = 'open';
  #wake: (() => void) | undefined;
  #closed = Promise.withResolvers<PeerState>();

  /** Takes the socket over, which must have `allowHalfOpen` set. */
  constructor(socket: Socket, patienceMs: number = PATIENCE_MS) {
    this.socket = socket;
    this.patienceMs = patienceMs;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
      this.#receivedBytes += bytes.length;
      this.#notify();
    });
    socket.on('end', () => this.#leave('ended'));
    socket.on('error', () => this.#leave('reset'));
    socket.on('close', () => this.#leave('ended'));
  }

  get state(): PeerState {
    return this.#state;
  }

  /** All bytes that arrived so far, read or not. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Bytes that arrived and were not read yet. */
  get pending(): Buffer {
    return this.#received;
  }

  /** Resolves when the peer ended or reset the connection. */
  get peerLeft(): Promise<PeerState> {
    return this.#closed.promise;
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /**
   * Sends in pieces, each in a turn of the event loop of its own, so that the
   * peer reads them apart as far as the kernel allows.
   */
  async sendCut(bytes: string | Uint8Array, cut: Cut): Promise<void> {
    const whole = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    if (cut === 'whole') return this.send(whole);
    const ends = cut === 'every-byte' ? Array.from(whole, (_, i) => i + 1) : [...cut, whole.length];
    let start = 0;
    for (const end of ends) {
      if (end <= start) continue;
      if (this.socket.destroyed || this.#state === 'reset') return;
      await new Promise<void>((sent) => this.socket.write(whole.subarray(start, end), () => sent()));
      await new Promise<void>((next) => setImmediate(next));
      start = end;
    }
  }

  /** Sends FIN; reading goes on. */
  end(): void {
    this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    if ('resetAndDestroy' in this.socket) this.socket.resetAndDestroy();
    else (this.socket as Socket).destroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
  }

  /** Reads up to and with `mark`. Undefined when the connection ended before its first byte. */
  async readThrough(mark: string, what: string): Promise<string | undefined> {
    for (let from = 0; ;) {
      const at = this.#received.indexOf(mark, from, 'latin1');
      if (at >= 0) return this.#take(at + mark.length).toString('latin1');
      from = Math.max(0, this.#received.length - mark.length + 1);
      if (await this.#more(what)) continue;
      if (this.#received.length === 0) return undefined;
      throw new WireError(`Cannot read ${what}: the peer ${this.#gone()} after ${this.#show()}`);
    }
  }

  async readExactly(bytes: number, what: string): Promise<Buffer> {
    while (this.#received.length < bytes) {
      if (await this.#more(what)) continue;
      throw new WireError(
        `Cannot read ${what}: the peer ${this.#gone()} after ${this.#received.length} of ${bytes} bytes`,
      );
    }
    return this.#take(bytes);
  }

  /** Everything until the peer ends its side. A reset is an error unless `or` allows it. */
  async readToEnd(what: string, or: 'reset-is-error' | 'reset-is-end' = 'reset-is-error'): Promise<Buffer> {
    while (await this.#more(what)) continue;
    if (this.#state === 'reset' && or === 'reset-is-error') {
      throw new WireError(`Cannot read ${what}: the peer reset the connection after ${this.#show()}`);
    }
    return this.#take(this.#received.length);
  }

  /** Waits until at least `bytes` are pending or the peer left; says which pending bytes there are. */
  async waitFor(bytes: number, what: string): Promise<Buffer> {
    while (this.#received.length < bytes && (await this.#more(what))) continue;
    return this.#received;
  }

  /** Waits for the next bytes; false when none can come any more. */
  async #more(what: string): Promise<boolean> {
    if (this.#state !== 'open') return false;
    const had = this.#receivedBytes;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => (timer = setTimeout(resolve, this.patienceMs, 'late')));
    const woken = new Promise<'woken'>((resolve) => (this.#wake = () => resolve('woken')));
    const outcome = await Promise.race([late, woken]);
    clearTimeout(timer);
    if (outcome === 'late') {
      throw new WireError(`Cannot read ${what}: nothing for ${this.patienceMs} ms after ${this.#show()}`);
    }
    return this.#receivedBytes > had;
  }

  #take(bytes: number): Buffer {
    const taken = this.#received.subarray(0, bytes);
    this.#received = this.#received.subarray(bytes);
    return taken;
  }

  #leave(state: PeerState): void {
    if (this.#state !== 'open') return;
    this.#state = state;
    this.#closed.resolve(state);
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #gone(): string {
    return this.#state === 'reset' ? 'reset the connection' : 'ended the connection';
  }

  #show(): string {
    const shown = this.#received.subarray(0, 200).toString('latin1');
    return this.#receivedBytes === 0 ? 'no byte' : `${this.#receivedBytes} bytes, unread: ${JSON.stringify(shown)}`;
  }
}

/** `count` cut points inside `bytes`, from a seed: the same seed cuts the same way. */
export function cutsFrom(seed: number, bytes: number, count: number): number[] {
  const cuts = new Set<number>();
  let state = seed >>> 0 || 1;
  for (let i = 0; i < count; i++) {
    // xorshift32: good enough to spread cut points.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    cuts.add(1 + ((state >>> 0) % Math.max(1, bytes - 1)));
  }
  return [...cuts].toSorted((a, b) => a - b);
}
