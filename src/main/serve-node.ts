/** The worker's side of the protocol: answers for a node whatever the main thread asks. */
import type { MessagePort } from 'node:worker_threads';
import type { Ask } from '../base/asking.ts';
import type { Node } from '../proxy/node-types.ts';
import type { ServiceQuestions } from './service-questions.ts';
import type { Answers, FromWorker, Question, ToWorker } from './worker-protocol.ts';

/** For one batch at a time. */
export class LineSender {
  readonly #post: (message: FromWorker) => void;
  #last: Promise<void> = Promise.resolve();
  #waiting: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(post: (message: FromWorker) => void) {
    this.#post = post;
  }

  send(text: string): Promise<void> {
    const sent = new Promise<void>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#post({ kind: 'lines', text });
    });
    this.#last = sent.catch(() => undefined);
    return sent;
  }

  /** Resolves when the main thread has taken all batches that were sent, and those sent because of that. */
  async idle(): Promise<void> {
    while (this.#waiting !== undefined) {
      // oxlint-disable-next-line no-await-in-loop -- each batch may be followed by another
      await this.#last;
      // oxlint-disable-next-line no-await-in-loop -- the sender hears of it in this turn, and may send more
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  done(written: 'all' | 'none'): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (written === 'all') waiting?.resolve();
    else waiting?.reject(new Error('Lines were lost'));
  }
}

/** What a worker consists of, as far as the main thread can ask for it. */
export interface Served {
  readonly node: Node;
  readonly lines: LineSender;
  readonly services: ServiceQuestions;
  readonly measure: () => void;
  rotateTicketKeys(bytes: Uint8Array): void;
}

/** What whoever looks into this proxy has asked. */
class Questions {
  readonly #node: Node;
  readonly #post: (message: FromWorker) => void;
  /** What takes each back that has not ended. Bounded by whoever asks. */
  readonly #open = new Map<number, () => void>();

  constructor(node: Node, post: (message: FromWorker) => void) {
    this.#node = node;
    this.#post = post;
  }

  put(id: number, ask: Ask): void {
    let isOver = false;
    const takeBack = this.#node.ask(ask, {
      answer: (body, lost) => this.#post({ kind: 'told', id, body, lost }),
      end: (end) => {
        isOver = true;
        this.#open.delete(id);
        this.#post({ kind: 'told-all', id, end });
      },
    });
    if (!isOver) this.#open.set(id, takeBack);
  }

  takeBack(id: number): void {
    this.#open.get(id)?.();
    this.#open.delete(id);
  }
}

/** Answers until the thread ends. */
export function serveNode(port: MessagePort, served: Served): void {
  const post = (message: FromWorker): void => port.postMessage(message);
  const questions = new Questions(served.node, post);
  port.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'lines-done':
        served.lines.done(message.written);
        break;
      case 'service-settled':
        served.services.settled(message.name);
        break;
      case 'ticket-keys':
        served.rotateTicketKeys(message.bytes);
        break;
      case 'question':
        questions.put(message.id, message.ask);
        break;
      case 'take-back':
        questions.takeBack(message.id);
        break;
      case 'ask':
        answerOf(served, message.question).then(
          (answer) => post({ kind: 'answer', id: message.id, answer }),
          (error: unknown) => post({ kind: 'failed', id: message.id, message: textOf(error) }),
        );
        break;
    }
  });
}

async function answerOf({ node, lines, measure }: Served, question: Question): Promise<Answers[keyof Answers]> {
  switch (question.kind) {
    case 'apply':
      return node.apply(question.delta, question.refused);
    case 'rebind':
      return node.rebind(question.refused);
    case 'drain':
      await node.drain(question.deadlineMs);
      // The lines of the last requests are on their way: this thread is ended with the answer.
      await lines.idle();
      return undefined;
    case 'stats':
      return node.stats();
    case 'order':
      return node.order(question.filter, question.order);
    case 'measure':
      measure();
      return undefined;
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
