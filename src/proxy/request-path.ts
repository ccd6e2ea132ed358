/**
 * The way of a request body through filters that want it: stages, and holds
 * for filters that need it whole. Made for the first filter that has a wish.
 *
 * Nothing moves before the chain has come to a hold or to its end, so that each
 * stage stands in its place before the first byte passes.
 */
import type { BodyStage, RequestBound } from '../filter/filter.ts';
import type { Headers } from '../http/headers.ts';
import { BodyPipe, type PipeEnd } from './body-pipe.ts';
import { type HoldEvents, HoldStage } from './hold-stage.ts';

export interface KeptBody {
  readonly pieces: readonly Buffer[];
  readonly ended: boolean;
  readonly trailers: Headers | undefined;
}

export class RequestPath {
  readonly #pipe: BodyPipe;
  readonly #takeKept: () => KeptBody;
  #open = false;
  #held: { readonly stage: HoldStage; body: Buffer | undefined } | undefined;

  /** @param takeKept  what has come until the way is opened */
  constructor(end: PipeEnd, takeKept: () => KeptBody) {
    this.#pipe = new BodyPipe(end);
    this.#takeKept = takeKept;
  }

  /** Whether bytes go this way by now; until then they are kept where they were kept before. */
  get isOpen(): boolean {
    return this.#open;
  }

  attach(stage: BodyStage): void {
    this.#pipe.attach(stage);
  }

  hold(bound: RequestBound, events: HoldEvents): void {
    const before = this.#held;
    const stage = new HoldStage(bound, events);
    this.#held = { stage, body: undefined };
    this.#pipe.attach(stage);
    this.#go(before);
  }

  /** What the hold gives out when the chain goes on; undefined for what came in. */
  decide(body: Buffer | undefined): void {
    this.#held!.body = body;
  }

  /** The chain is at its end: everything may pass. */
  open(): void {
    const before = this.#held;
    this.#held = undefined;
    this.#go(before);
  }

  #go(held: { readonly stage: HoldStage; readonly body: Buffer | undefined } | undefined): void {
    if (held !== undefined) return held.stage.release(held.body);
    if (this.#open) return;
    this.#open = true;
    const { pieces, ended, trailers } = this.#takeKept();
    for (const piece of pieces) this.#pipe.write(piece);
    if (ended) this.#pipe.end(trailers);
  }

  write(bytes: Buffer): boolean {
    return this.#pipe.write(bytes);
  }

  end(trailers: Headers | undefined): void {
    this.#pipe.end(trailers);
  }

  /** Who takes what comes out can take more. */
  resume(): void {
    this.#pipe.resume();
  }

  abort(): void {
    this.#pipe.abort();
  }
}
