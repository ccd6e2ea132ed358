/** Passes a body on while it is collected for the store. Nothing is held back from the client. */
import type { BodyOut, BodyStage } from '../../filter/filter.ts';

/** What becomes of what was collected. One of the two is called, once. */
export interface FillEvents {
  /** All of it came. The bytes are the taker's. */
  onFilled(body: Buffer): void;
  /** It was cut, is longer than it may be, or the client is gone: a part is never stored. */
  onGivenUp(why: 'too-large' | 'cut'): void;
  /** So many bytes more. @returns false when there is no room for them */
  mayHold(bytes: number): boolean;
}

export interface FillPlan {
  readonly bytesMax: number;
  /** What the head promises, -1 when it promises nothing. A body of another length is not stored. */
  readonly length: number;
  /** `nothing`: the client has it already, and was told so in the head. */
  readonly client: 'gets-it' | 'nothing';
}

export class FillStage implements BodyStage {
  readonly #plan: FillPlan;
  readonly #events: FillEvents;
  #out: BodyOut | undefined;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #state: 'filling' | 'passing' | 'over' = 'filling';

  constructor(plan: FillPlan, events: FillEvents) {
    this.#plan = plan;
    this.#events = events;
  }

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(bytes: Buffer): boolean {
    // The bytes are lent for this call, and what is behind may keep them.
    const mine = Buffer.from(bytes);
    if (this.#state === 'filling') this.#collect(mine);
    return this.#plan.client === 'nothing' || this.#out!.bytes(mine);
  }

  #collect(bytes: Buffer): void {
    if (this.#bytes + bytes.length > this.#plan.bytesMax || !this.#events.mayHold(bytes.length)) {
      return this.#giveUp('too-large', 'passing');
    }
    this.#bytes += bytes.length;
    this.#pieces.push(bytes);
  }

  end(): void {
    if (this.#state === 'filling') this.#finish();
    this.#out!.end();
  }

  #finish(): void {
    const { length } = this.#plan;
    if (length >= 0 && length !== this.#bytes) return this.#giveUp('cut', 'over');
    this.#state = 'over';
    // Memory of its own: pieces may be parts of larger slabs.
    const body = Buffer.allocUnsafeSlow(this.#bytes);
    let at = 0;
    for (const piece of this.#pieces) at += piece.copy(body, at);
    this.#pieces = [];
    this.#events.onFilled(body);
  }

  resume(): void {
    this.#out!.resume();
  }

  abort(): void {
    if (this.#state === 'filling') this.#giveUp('cut', 'over');
    this.#state = 'over';
  }

  #giveUp(why: 'too-large' | 'cut', next: 'passing' | 'over'): void {
    this.#state = next;
    this.#pieces = [];
    this.#events.onGivenUp(why);
  }
}

/** Takes a body in and gives another one out when it has ended: for what is answered from the store after all. */
export class SwapStage implements BodyStage {
  readonly #body: Buffer;
  #out: BodyOut | undefined;

  constructor(body: Buffer) {
    this.#body = body;
  }

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(): boolean {
    return true;
  }

  end(): void {
    if (this.#body.length > 0) this.#out!.bytes(this.#body);
    this.#out!.end();
  }

  resume(): void {
    this.#out!.resume();
  }

  abort(): void {
    // Nothing is held that is not in the store.
  }
}
