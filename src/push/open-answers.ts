/** What a proxy was asked on one stream, and what of its answers waits to be sent. */
import { ANSWER_CHARS_MAX, ASKS_MAX, type AskEnd, type AskTo, bodyOf } from '../base/asking.ts';
import type { AnswerMessage, ControlMessage, ProxyMessage } from './messages.ts';

/** Answers that wait for a stream that does not take them. Beyond: left out, counted, and said with the next one. */
const WAITING_CHARS_MAX = 2 * 1024 * 1024;
const WAITING_MAX = 256;

interface Open {
  readonly id: number;
  lost: number;
  takeBack: () => void;
}

export interface OpenAnswersOptions {
  readonly askTo: AskTo;
  /** There is something to send. */
  readonly onReady: () => void;
}

export class OpenAnswers {
  readonly #options: OpenAnswersOptions;
  readonly #open = new Map<number, Open>();
  readonly #waiting: AnswerMessage[] = [];
  #waitingChars = 0;

  constructor(options: OpenAnswersOptions) {
    this.#options = options;
  }

  take({ id, topic, body }: Extract<ControlMessage, { kind: 'ask' }>): void {
    // Asked again under one id, it counts anew.
    this.takeBack(id);
    if (this.#open.size >= ASKS_MAX) {
      return this.#last({ id, lost: 0 }, { kind: 'busy', reason: `${ASKS_MAX} questions are open` });
    }
    const open: Open = { id, lost: 0, takeBack: ignore };
    this.#open.set(id, open);
    const read = bodyOf(body);
    if (read === undefined) return this.#end(open, { kind: 'refused', reason: 'The question cannot be read' });
    const takeBack = this.#options.askTo(
      { topic, body: read },
      {
        answer: (answer, lost) => this.#answer(open, answer, lost),
        end: (end) => this.#end(open, end),
      },
    );
    if (this.#isOpen(open)) open.takeBack = takeBack;
  }

  takeBack(id: number): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    open?.takeBack();
  }

  /** What is to be sent next. */
  next(): ProxyMessage | undefined {
    const answer = this.#waiting.shift();
    if (answer !== undefined) this.#waitingChars -= answer.body.length;
    return answer;
  }

  /** The stream has ended: nobody hears the rest. */
  close(): void {
    for (const id of this.#open.keys()) this.takeBack(id);
    this.#waiting.length = 0;
  }

  #isOpen(open: Open): boolean {
    return this.#open.get(open.id) === open;
  }

  #answer(open: Open, answer: object, lost: number): void {
    if (!this.#isOpen(open)) return;
    open.lost += lost;
    const body = JSON.stringify(answer);
    const isFull = this.#waiting.length >= WAITING_MAX || this.#waitingChars + body.length > WAITING_CHARS_MAX;
    if (isFull || body.length > ANSWER_CHARS_MAX) {
      open.lost++;
      return;
    }
    this.#send({ kind: 'answer', id: open.id, body, lost: open.lost, last: false, end: { kind: 'done' } });
    open.lost = 0;
  }

  #end(open: Open, end: AskEnd): void {
    if (!this.#isOpen(open)) return;
    this.#open.delete(open.id);
    const { lost } = open;
    const isWhole = end.kind !== 'done' || lost === 0;
    this.#last(open, isWhole ? end : { kind: 'overdone', reason: `${lost} answers did not fit and were left out` });
  }

  /** Always said, however full it is: there is one for each question. */
  #last({ id, lost }: Pick<Open, 'id' | 'lost'>, end: AskEnd): void {
    this.#send({ kind: 'answer', id, body: '', lost, last: true, end });
  }

  #send(answer: AnswerMessage): void {
    this.#waiting.push(answer);
    this.#waitingChars += answer.body.length;
    this.#options.onReady();
  }
}

const ignore = (): void => undefined;
