/**
 * A tunnel that runs: bytes between a client and an upstream, within its limits. Ends by itself, at a limit, or with
 * the drain of its port. A WebSocket is told with a Close frame before it is cut; other protocols have no such word.
 */
import { Fault } from '../base/fault.ts';
import { HALF_CLOSED_MS, type TunnelLimits } from '../base/limits.ts';
import { Timed, type TimerWheel } from '../base/timers.ts';
import { joinTunnels, type JoinedTunnels, type TunnelEnd, type TunnelSides } from '../http/tunnel.ts';
import { closeFrame, GOING_AWAY } from '../http/ws/close-frame.ts';

/** How long the two sides of a WebSocket have to finish after a limit was reached. */
const LAST_WORDS_MS = 5_000;

/** How long a client has to answer our Close with its own, which tells the upstream; then we tell it. */
const ANSWER_MS = 1_000;

export interface TunnelResult {
  readonly bytesFromClient: number;
  readonly bytesFromUpstream: number;
  /** Why it did not end by itself. */
  readonly fault: Fault | undefined;
}

export interface TunnelOptions {
  readonly sides: TunnelSides;
  readonly limits: TunnelLimits;
  readonly wheel: TimerWheel;
  /** Called once. */
  onClosed(result: TunnelResult): void;
}

/** Why a tunnel is to end before its sides have ended it. */
interface Cause {
  readonly fault: Fault;
  /** What both sides of a WebSocket are told. */
  readonly words: string;
}

export class RunningTunnel {
  readonly #options: TunnelOptions;
  readonly #counts = { bytesFromClient: 0, bytesFromUpstream: 0 };
  readonly #silence = new Timed(() => this.#onSilence());
  readonly #lifetime = new Timed(() => this.#onLifetime());
  #lastWords: Timed | undefined;
  #idleMs: number;
  #halfOpen = false;
  #joined: JoinedTunnels | undefined;
  #cause: Cause | undefined;

  constructor(options: TunnelOptions) {
    this.#options = options;
    this.#idleMs = options.limits.idleMs;
  }

  /** Everything may happen in this call already, the end included. */
  start(): void {
    const { sides, limits, wheel } = this.#options;
    this.#noteBytes();
    if (limits.maxMs > 0) wheel.arm(this.#lifetime, limits.maxMs);
    this.#joined = joinTunnels(sides, this.#counts, {
      onBytes: () => this.#noteBytes(),
      onHalfOpen: () => this.#onHalfOpen(),
      onClosed: (end) => this.#onClosed(end),
    });
  }

  /** Lets both sides finish, which those of a WebSocket are asked to, and cuts what is left after `graceMs`. */
  drain(graceMs: number): void {
    if (this.#cause === undefined) this.#endWithin(graceMs, { fault: draining(), words: 'going away' });
  }

  cut(): void {
    this.#cause ??= { fault: draining(), words: '' };
    this.#joined?.cut();
  }

  #noteBytes(): void {
    if (this.#idleMs > 0 && this.#cause === undefined) this.#options.wheel.arm(this.#silence, this.#idleMs);
  }

  #onHalfOpen(): void {
    this.#halfOpen = true;
    const { halfClosedMs = HALF_CLOSED_MS } = this.#options.limits;
    if (halfClosedMs > 0) this.#idleMs = this.#idleMs === 0 ? halfClosedMs : Math.min(halfClosedMs, this.#idleMs);
    this.#noteBytes();
  }

  #onSilence(): void {
    const silent = `No byte for ${this.#idleMs} ms`;
    const fault = new Fault('tunnel.idle', this.#halfOpen ? `${silent} after one side had ended` : silent);
    this.#onLimit({ fault, words: 'idle for too long' });
  }

  #onLifetime(): void {
    const fault = new Fault('tunnel.max', `Tunnel was open for ${this.#options.limits.maxMs} ms`);
    this.#onLimit({ fault, words: 'open for too long' });
  }

  #onLimit(cause: Cause): void {
    if (this.#cause !== undefined) return;
    if (this.#options.sides.protocol === 'websocket' && !this.#halfOpen) return this.#endWithin(LAST_WORDS_MS, cause);
    this.#cause = cause;
    this.cut();
  }

  /**
   * A WebSocket is closed from the client's side: it hears that we go, what it had said before it heard reaches the upstream,
   * and its own Close ends the conversation there. An upstream that gets none hears it from us.
   */
  #endWithin(graceMs: number, cause: Cause): void {
    const { sides, wheel } = this.#options;
    this.#cause = cause;
    wheel.disarm(this.#silence);
    const cut = new Timed(() => this.cut());
    this.#lastWords = cut;
    if (sides.protocol !== 'websocket') return wheel.arm(cut, graceMs);
    this.#joined?.sayLast('client', closeFrame(GOING_AWAY, cause.words, 'client'));
    const answerMs = Math.min(ANSWER_MS, graceMs / 2);
    this.#lastWords = new Timed(() => {
      this.#joined?.sayLast('upstream', closeFrame(GOING_AWAY, cause.words, 'upstream'));
      this.#lastWords = cut;
      wheel.arm(cut, graceMs - answerMs);
    });
    wheel.arm(this.#lastWords, answerMs);
  }

  #onClosed(end: TunnelEnd): void {
    const { wheel } = this.#options;
    wheel.disarm(this.#silence);
    wheel.disarm(this.#lifetime);
    if (this.#lastWords !== undefined) wheel.disarm(this.#lastWords);
    this.#options.onClosed({ ...this.#counts, fault: this.#faultOf(end) });
  }

  #faultOf(end: TunnelEnd): Fault | undefined {
    const cause = this.#cause?.fault;
    // Who ended politely because of a drain has done what was asked.
    if (cause !== undefined && (end === 'cut' || cause.code !== 'proxy.draining')) return cause;
    if (end === 'client-gone') return new Fault('request.aborted', 'Client reset the tunnel');
    if (end === 'upstream-gone') return new Fault('upstream.closed', 'Upstream reset the tunnel');
    return undefined;
  }
}

function draining(): Fault {
  return new Fault('proxy.draining', 'Tunnel was cut at the end of the drain');
}
