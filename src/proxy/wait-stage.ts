/** Lets nothing pass until somebody has made up his mind: what came is kept, and whoever writes is told to wait. */
import type { BodyOut, BodyStage } from '../filter/filter.ts';
import { owned } from '../net/read-buffer.ts';

export class WaitStage implements BodyStage {
  #out: BodyOut | undefined;
  /** Bounded: what was on its way when the first `write` said to wait. */
  #pieces: Buffer[] = [];
  #state: 'waiting' | 'passing' | 'over' = 'waiting';
  #ended = false;

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(bytes: Buffer): boolean {
    if (this.#state === 'passing') return this.#out!.bytes(owned(bytes));
    if (this.#state === 'over') return true;
    this.#pieces.push(owned(bytes));
    return false;
  }

  end(): void {
    this.#ended = true;
    if (this.#state === 'passing') this.#out!.end();
  }

  resume(): void {
    this.#out!.resume();
  }

  abort(): void {
    this.#state = 'over';
    this.#pieces = [];
  }

  release(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'passing';
    let flows = true;
    for (const piece of this.#pieces) flows = this.#out!.bytes(piece);
    this.#pieces = [];
    if (this.#ended) this.#out!.end();
    else if (flows) this.#out!.resume();
  }
}
