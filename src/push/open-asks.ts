/** What the control plane has asked one proxy. A proxy that is slow, silent or talkative costs its own answers only. */
import { ASK_CHARS_MAX, ASKS_MAX, type Ask, type AskEnd, type Asker, bodyOf } from '../base/asking.ts';
import type { Clock } from '../base/clock.ts';
import type { AnswerMessage, ControlMessage } from './messages.ts';

/** For the first answer. Also what a proxy costs that is too old to know questions at all. */
const FIRST_ANSWER_MS = 5_000;

/** What one question may bring: so much at once, and so much a second. Beyond: it is taken back. */
const BURST_CHARS_MAX = 8 * 1024 * 1024;
const SECOND_CHARS_MAX = 1024 * 1024;

/** What an answer costs besides its characters. */
const ANSWER_CHARS = 1_024;

interface Open {
  readonly id: number;
  readonly ask: Ask;
  readonly asker: Asker;
  cancelTimer: () => void;
  /** Characters that may still come now, as of `countedMs`. */
  allowance: number;
  countedMs: number;
}

export interface OpenAsksOptions {
  readonly clock: Clock;
  /** There is something to send. */
  readonly onReady: () => void;
}

export class OpenAsks {
  readonly #options: OpenAsksOptions;
  readonly #open = new Map<number, Open>();
  /** Not sent yet. */
  readonly #asking: Open[] = [];
  /** Ids that the proxy may stop with: as many as were open at most. */
  readonly #unasking: number[] = [];
  #lastId = 0;
  #isClosed = false;

  constructor(options: OpenAsksOptions) {
    this.#options = options;
  }

  /** @returns takes it back */
  ask(ask: Ask, asker: Asker): () => void {
    const refusal = this.#refusalOf(ask);
    if (refusal !== undefined) {
      asker.end(refusal);
      return ignore;
    }
    const { clock, onReady } = this.#options;
    const id = ++this.#lastId;
    const late: AskEnd = { kind: 'silent', reason: `No answer in ${FIRST_ANSWER_MS / 1_000} s` };
    const cancelTimer = clock.after(FIRST_ANSWER_MS, () => this.#end(id, late, 'tell'));
    const open = { id, ask, asker, cancelTimer, allowance: BURST_CHARS_MAX, countedMs: clock.nowMs() };
    this.#open.set(id, open);
    this.#asking.push(open);
    onReady();
    return () => void this.#takeOut(id, 'tell');
  }

  #refusalOf({ body }: Ask): AskEnd | undefined {
    if (this.#isClosed) return { kind: 'gone', reason: 'Its stream has ended' };
    if (this.#open.size >= ASKS_MAX) return { kind: 'busy', reason: `It has ${ASKS_MAX} questions already` };
    const isLong = JSON.stringify(body).length > ASK_CHARS_MAX;
    return isLong ? { kind: 'refused', reason: `The question is longer than ${ASK_CHARS_MAX} characters` } : undefined;
  }

  /** What is to be sent next. */
  next(): ControlMessage | undefined {
    const unasked = this.#unasking.shift();
    if (unasked !== undefined) return { kind: 'unask', id: unasked };
    const open = this.#asking.shift();
    if (open === undefined) return undefined;
    return { kind: 'ask', id: open.id, topic: open.ask.topic, body: JSON.stringify(open.ask.body) };
  }

  /** Of a question that was taken back meanwhile it says nothing to anybody. */
  answered({ id, body, lost, last, end }: AnswerMessage): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    open.cancelTimer();
    if (!this.#affords(open, body.length)) {
      return this.#end(id, { kind: 'overdone', reason: 'It answers more than is taken' }, 'tell');
    }
    if (body !== '') {
      const read = bodyOf(body);
      if (read === undefined) return this.#end(id, { kind: 'refused', reason: 'Its answer cannot be read' }, 'tell');
      open.asker.answer(read, lost);
    }
    if (last) this.#end(id, end, 'quiet');
  }

  /** The stream has ended. */
  close(reason: string): void {
    this.#isClosed = true;
    for (const id of this.#open.keys()) this.#end(id, { kind: 'gone', reason }, 'quiet');
  }

  #affords(open: Open, chars: number): boolean {
    const nowMs = this.#options.clock.nowMs();
    const earned = ((nowMs - open.countedMs) * SECOND_CHARS_MAX) / 1_000;
    open.allowance = Math.min(BURST_CHARS_MAX, open.allowance + earned) - chars - ANSWER_CHARS;
    open.countedMs = nowMs;
    return open.allowance >= 0;
  }

  #end(id: number, end: AskEnd, proxy: 'tell' | 'quiet'): void {
    this.#takeOut(id, proxy)?.asker.end(end);
  }

  /** @param proxy  `tell`: it does not know that it may stop */
  #takeOut(id: number, proxy: 'tell' | 'quiet'): Open | undefined {
    const open = this.#open.get(id);
    if (open === undefined) return undefined;
    this.#open.delete(id);
    open.cancelTimer();
    const unsent = this.#asking.indexOf(open);
    if (unsent >= 0) this.#asking.splice(unsent, 1);
    else if (proxy === 'tell' && !this.#isClosed) {
      this.#unasking.push(id);
      this.#options.onReady();
    }
    return open;
  }
}

const ignore = (): void => undefined;
