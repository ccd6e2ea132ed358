/**
 * The way of an answer through filters that want its body: stages, and holds
 * that keep the head back too. Made for the first filter that has a wish; the
 * head is sent when the last filter has seen it.
 */
import { Fault } from '../base/fault.ts';
import {
  type BodyBound,
  type BodyVerdict,
  type BodyWish,
  type Exchange,
  type Reply,
  type Verdict,
  WHOLE_BODY,
} from '../filter/filter.ts';
import type { Headers } from '../http/headers.ts';
import type { ResponseHead } from '../http/message.ts';
import type { OwnAnswer } from './answer.ts';
import { BodyPipe, type PipeEnd } from './body-pipe.ts';
import type { Link } from './chain.ts';
import { filterFailed } from './filter-failed.ts';
import { HoldStage } from './hold-stage.ts';

/** What an exchange does for the way of its answer. */
export interface AnswerOwner extends PipeEnd {
  onFilteredHead(head: ResponseHead): void;
  /** The answer so far is not wanted: its upstream is let go, and this is sent instead. */
  onReplaced(verdict: Fault | Reply): OwnAnswer;
  onFilterFailed(fault: Fault): void;
  /** Something was said outside of a turn of the upstream. */
  flush(): void;
}

/** A filter that says nothing of a bound may hold this much. */
const BOUND: BodyBound = { bytesMax: 1024 * 1024, beyond: 'refuse' };

export interface AnswerStart {
  readonly links: readonly Link[];
  readonly head: ResponseHead;
}

export class AnswerPath {
  readonly #x: Exchange;
  readonly #owner: AnswerOwner;
  readonly #links: readonly Link[];
  #head: ResponseHead;
  #pipe: BodyPipe;
  /** Filters that have seen the head. */
  #at = 0;
  #headSent = false;
  #replaced = false;
  #over = false;

  /** @param links  of the whole chain, in running order */
  constructor(x: Exchange, owner: AnswerOwner, { links, head }: AnswerStart) {
    this.#x = x;
    this.#owner = owner;
    this.#links = links;
    this.#head = head;
    this.#pipe = new BodyPipe(owner);
  }

  get headSent(): boolean {
    return this.#headSent;
  }

  /** Another answer was given than the one whose head came here. */
  get isReplaced(): boolean {
    return this.#replaced;
  }

  /** The first wish, of the link at this place: what was met before it had none. */
  begin(said: NonNullable<Verdict | BodyWish> | Promise<Verdict | BodyWish>, at: number): void {
    this.#at = at + 1;
    if (this.#heed(said, this.#links[at]!) === 'next') this.run();
  }

  /** Lets the head pass filters until one holds it, or sends it. */
  run(): void {
    while (this.#at < this.#links.length) {
      const link = this.#links[this.#at++]!;
      const said = this.#ask(link);
      if (said !== undefined && this.#heed(said, link) === 'stop') return;
    }
    this.#headSent = true;
    this.#owner.onFilteredHead(this.#head);
  }

  #heed(said: NonNullable<Verdict | BodyWish> | Promise<Verdict | BodyWish>, link: Link): 'next' | 'stop' {
    if (said instanceof Promise) this.#wait(said, link);
    else if (said === WHOLE_BODY) this.#hold(link);
    else if (said instanceof Fault || 'kind' in said) this.#replace(said);
    else {
      this.#pipe.attach(said);
      return 'next';
    }
    return 'stop';
  }

  write(bytes: Buffer): boolean {
    return this.#pipe.isEmpty ? this.#owner.onPipeBytes(bytes) : this.#pipe.write(bytes);
  }

  end(trailers: Headers | undefined): void {
    if (this.#pipe.isEmpty) this.#owner.onPipeEnd(trailers);
    else this.#pipe.end(trailers);
  }

  /** The client takes more. */
  resume(): void {
    if (this.#pipe.isEmpty) this.#owner.onPipeWritable();
    else this.#pipe.resume();
  }

  abort(): void {
    this.#over = true;
    this.#pipe.abort();
  }

  /** Nothing passes meanwhile, neither the head nor the body. */
  #wait(said: Promise<Verdict | BodyWish>, link: Link): void {
    const stage = HoldStage.waiting();
    this.#pipe.attach(stage);
    const settle = (late: Verdict | BodyWish): void => {
      if (this.#over) return;
      if (late === undefined || this.#heed(late, link) === 'next') this.run();
      stage.release(undefined);
      if (!this.#over) this.#owner.flush();
    };
    said.then(settle, (error: unknown) => settle(this.#failed(link.name, error)));
  }

  #ask({ name, filter }: Link): Verdict | BodyWish | Promise<Verdict | BodyWish> {
    try {
      return filter.onResponse!(this.#x, this.#head) ?? undefined;
    } catch (error) {
      return this.#failed(name, error);
    }
  }

  /** As in the exchange: a filter that fails on the answer to a failure is passed by. */
  #failed(name: string, error: unknown): Fault | undefined {
    const fault = filterFailed(name, error);
    this.#owner.onFilterFailed(fault);
    return this.#replaced ? undefined : fault;
  }

  #hold(link: Link): void {
    const bound = link.filter.responseBound ?? BOUND;
    const stage = new HoldStage(bound, {
      onWhole: (body) => this.#decide(link, { stage, body }),
      onTooLong: (beyond) => {
        const detail = `The answer is longer than the ${bound.bytesMax} bytes that filter "${link.name}" may hold`;
        if (beyond === 'refuse') return this.#replace(new Fault('upstream.answer-too-large', detail));
        this.run();
        stage.release(undefined);
      },
    });
    this.#pipe.attach(stage);
  }

  #decide(link: Link, held: { readonly stage: HoldStage; readonly body: Buffer }): void {
    let said: BodyVerdict | Promise<BodyVerdict>;
    try {
      said = link.filter.onResponseBody!(this.#x, this.#head, held.body);
    } catch (error) {
      said = this.#failed(link.name, error);
    }
    if (!(said instanceof Promise)) return this.#settle(said, held);
    said.then(
      (late) => this.#settle(late, held),
      (error: unknown) => this.#settle(this.#failed(link.name, error), held),
    );
  }

  #settle(said: BodyVerdict, { stage, body }: { readonly stage: HoldStage; readonly body: Buffer }): void {
    if (this.#over) return;
    if (said !== undefined && !Buffer.isBuffer(said)) return this.#replace(said);
    // The answer to HEAD says the length of a body that does not come.
    if (said !== undefined || this.#x.request.method !== 'HEAD') this.#head.bodyLength = (said ?? body).length;
    this.run();
    stage.release(said);
  }

  /** Another answer, which the filters that are still to come see. */
  #replace(verdict: Fault | Reply): void {
    if (this.#over) return;
    this.#replaced = true;
    this.#pipe.abort();
    this.#pipe = new BodyPipe(this.#owner);
    const { head, body } = this.#owner.onReplaced(verdict);
    this.#head = head;
    this.run();
    if (body.length > 0) this.write(body);
    this.end(undefined);
  }
}
