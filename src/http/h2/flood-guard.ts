/**
 * What a peer may ask of a connection without doing anything useful on it. Frames that cost work and bring nothing are
 * paid from a purse; time, bytes of body and requests that were answered whole fill it again. So there is no number of
 * pings or resets that is too many by itself: what counts is how they stand to the rest.
 */
import type { TimerWheel } from '../../base/timers.ts';
import { H2_ERROR, H2ConnectionError } from './frame.ts';

/** What is paid for one of each. The names are labels of a metric. */
const PRICES = {
  /** RST_STREAM for a request that is not answered yet (CVE-2023-44487). */
  'rapid-reset': 10,
  /** A stream error that the peer provoked (CVE-2025-8671), malformed requests among them. */
  'provoked-reset': 10,
  settings: 5,
  ping: 2,
  /** DATA without data that ends nothing. */
  'empty-data': 5,
  'window-update': 1,
  /** CONTINUATION that is not as long as it could be, or not the last one. */
  continuation: 4,
  priority: 1,
  /** Frames for streams that are closed. */
  'closed-stream': 2,
  'unknown-frame': 2,
} as const satisfies Record<string, number>;

export type FloodKind = keyof typeof PRICES;

/** In the purse at the start and at most: a peer may cancel as many requests at once as it may have open, and again. */
const PURSE_MIN = 2_000;
const RESETS_OF_ALL_STREAMS = 2;

const FILLED_PER_MS = 0.2;

/** For a request that was answered whole. */
const ANSWER_EARNS = 5;
/** For a DATA frame that held all there was to send: peers answer it with a WINDOW_UPDATE or two, some with a PING. */
const FRAME_EARNS = 2;
/** For that many bytes of body, either way. */
const BYTES_PER_TOKEN = 512;

export class FloodGuard {
  readonly #wheel: TimerWheel;
  readonly #max: number;
  #tokens: number;
  #filledMs: number;

  /** @param streamsMax  streams that the peer may have open */
  constructor(wheel: TimerWheel, streamsMax: number) {
    this.#wheel = wheel;
    this.#max = Math.max(PURSE_MIN, streamsMax * RESETS_OF_ALL_STREAMS * PRICES['rapid-reset']);
    this.#tokens = this.#max;
    this.#filledMs = wheel.nowMs;
  }

  /** @returns an error when the purse is empty */
  spend(kind: FloodKind): H2ConnectionError | undefined {
    this.#tokens -= PRICES[kind];
    if (this.#tokens >= 0) return undefined;
    const nowMs = this.#wheel.nowMs;
    this.#tokens = Math.min(this.#max, this.#tokens + (nowMs - this.#filledMs) * FILLED_PER_MS);
    this.#filledMs = nowMs;
    if (this.#tokens >= 0) return undefined;
    return new H2ConnectionError(H2_ERROR.ENHANCE_YOUR_CALM, `Too many frames that bring nothing: ${kind}`, kind);
  }

  answered(): void {
    this.#earn(ANSWER_EARNS);
  }

  received(bytes: number): void {
    this.#earn(bytes / BYTES_PER_TOKEN);
  }

  /** @param whole  the frame was not cut short by a window */
  sent(bytes: number, whole: 'whole' | 'cut'): void {
    this.#earn(bytes / BYTES_PER_TOKEN + (whole === 'whole' ? FRAME_EARNS : 0));
  }

  #earn(tokens: number): void {
    this.#tokens = Math.min(this.#max, this.#tokens + tokens);
  }
}
