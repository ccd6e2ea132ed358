/** Holds a body back until somebody has decided what becomes of it: when it is whole, or before. */
import type { BodyBound, BodyOut, BodyStage, RequestBound } from '../filter/filter.ts';
import { owned } from '../net/read-buffer.ts';

export interface HoldEvents {
  /** All of it is here. `release` is to follow. */
  onWhole(body: Buffer): void;
  /** There is more than may be held. `release` is to follow where that is passed on. */
  onTooLong(beyond: BodyBound['beyond']): void;
  /** There is more, and its beginning is enough. `release` is to follow. */
  onPart?(first: Buffer): void;
}

const NOTHING: RequestBound = { bytesMax: 0, beyond: 'refuse' };
const NOBODY: HoldEvents = { onWhole: () => undefined, onTooLong: () => undefined };

export class HoldStage implements BodyStage {
  readonly #bound: RequestBound;
  readonly #events: HoldEvents;
  #out: BodyOut | undefined;
  /** Bounded by what may be held, and what was on its way when `write` said to wait. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  #state: 'holding' | 'decided' | 'passing' | 'over' = 'holding';
  #ended = false;

  constructor(bound: RequestBound, events: HoldEvents) {
    this.#bound = bound;
    this.#events = events;
  }

  /** Lets nothing pass until `release`, which does not depend on the body: whoever writes is told to wait. */
  static waiting(): HoldStage {
    const stage = new HoldStage(NOTHING, NOBODY);
    stage.#state = 'decided';
    return stage;
  }

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(bytes: Buffer): boolean {
    if (this.#state === 'passing') return this.#out!.bytes(owned(bytes));
    if (this.#state === 'over') return true;
    this.#pieces.push(owned(bytes));
    this.#bytes += bytes.length;
    if (this.#state === 'holding' && this.#bytes > this.#bound.bytesMax) {
      this.#state = 'decided';
      const { beyond, bytesMax } = this.#bound;
      if (beyond === 'part') this.#events.onPart!(Buffer.concat(this.#pieces, bytesMax));
      else this.#events.onTooLong(beyond);
    }
    // What was too long waits for its release without growing.
    return this.#flows();
  }

  /** In a method, because what was told may have released it. */
  #flows(): boolean {
    return this.#state === 'holding' || this.#state === 'passing';
  }

  end(): void {
    this.#ended = true;
    if (this.#state === 'passing') this.#out!.end();
    if (this.#state !== 'holding') return;
    this.#state = 'decided';
    this.#events.onWhole(this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces));
  }

  resume(): void {
    this.#out!.resume();
  }

  /** Gives out what was held, or `body` instead. */
  release(body: Buffer | undefined): void {
    if (this.#state !== 'decided') return;
    this.#state = 'passing';
    const pieces = body === undefined ? this.#pieces : [body];
    this.#pieces = [];
    let flows = true;
    for (const piece of pieces) if (piece.length > 0) flows = this.#out!.bytes(piece);
    if (this.#ended) this.#out!.end();
    else if (flows) this.#out!.resume();
  }

  abort(): void {
    this.#state = 'over';
    this.#pieces = [];
  }
}
