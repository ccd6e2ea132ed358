/** The worker's side of the protocol: answers for a node whatever the main thread asks. */
import type { MessagePort } from 'node:worker_threads';
import type { Node } from '../proxy/node-types.ts';
import type { Answers, FromWorker, Question, ToWorker } from './worker-protocol.ts';

/** Hands a batch of access-log lines to the main thread; resolves when they are written, rejects when they are lost. */
export type SendLines = (text: string) => Promise<void>;

/** For one batch at a time. */
export class LineSender {
  readonly #post: (message: FromWorker) => void;
  #waiting: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(post: (message: FromWorker) => void) {
    this.#post = post;
  }

  send(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#post({ kind: 'lines', text });
    });
  }

  done(written: 'all' | 'none'): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (written === 'all') waiting?.resolve();
    else waiting?.reject(new Error('Lines were lost'));
  }
}

/** Answers until the thread ends. */
export function serveNode(port: MessagePort, node: Node, lines: LineSender): void {
  const post = (message: FromWorker): void => port.postMessage(message);
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'lines-done') {
      lines.done(message.written);
      return;
    }
    const { id } = message;
    answerOf(node, message.question).then(
      (answer) => post({ kind: 'answer', id, answer }),
      (error: unknown) => post({ kind: 'failed', id, message: error instanceof Error ? error.message : String(error) }),
    );
  });
}

async function answerOf(node: Node, question: Question): Promise<Answers[keyof Answers]> {
  switch (question.kind) {
    case 'apply':
      return node.apply(question.delta, question.refused);
    case 'rebind':
      return node.rebind(question.refused);
    case 'drain':
      await node.drain(question.deadlineMs);
      return undefined;
    case 'stats':
      return node.stats();
  }
}
