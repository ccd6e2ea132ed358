import { Worker, type WorkerOptions } from 'node:worker_threads';
import type { AskEnd, Asker, AskTo } from '../base/asking.ts';
import type { FilterOrder, OrderAnswer } from '../base/filter-order.ts';
import type { Log } from '../base/log.ts';
import type { Member } from '../control/member.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { NodeStats } from '../ir/node-stats.ts';
import type { PlanDelta } from '../ir/plan.ts';
import type { PortRefusals, PortStates } from '../ir/port-state.ts';
import type { SeriesEvent } from '../observe/metrics.ts';
import type { AskForService } from '../proxy/forward-proxy.ts';
import type { Answers, FromWorker, Question, ToWorker } from './worker-protocol.ts';

export interface ThreadMemberOptions {
  readonly worker: number;
  readonly url: URL;
  readonly thread: WorkerOptions;
  readonly log: Log;
  readonly onSeries: (event: SeriesEvent) => void;
  /** Writes lines of the access log; rejects when they are lost. */
  readonly writeLines: (text: string) => Promise<void>;
  readonly askForService: AskForService | undefined;
}

interface Pending {
  resolve(answer: never): void;
  reject(error: Error): void;
}

/** A proxy in a worker thread, as the fleet sees it. */
export class ThreadMember implements Member {
  readonly gone: Promise<string>;
  readonly #options: ThreadMemberOptions;
  readonly #thread: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #askers = new Map<number, Asker>();
  #lastId = 0;
  #reason: string | undefined;

  /** Starts the thread. What it is asked before it listens waits in its port. */
  constructor(options: ThreadMemberOptions) {
    this.#options = options;
    this.#thread = new Worker(options.url, options.thread);
    this.#thread.on('message', (message: FromWorker) => this.#onMessage(message));
    this.#thread.on('error', (error: unknown) => (this.#reason = this.#onError(error)));
    this.gone = new Promise((resolve) => {
      this.#thread.once('exit', (code) => {
        const reason = this.#reason ?? `it ended with exit code ${code}`;
        for (const pending of this.#pending.values()) pending.reject(new Error(reason));
        this.#pending.clear();
        for (const id of this.#askers.keys()) this.#endAsk(id, { kind: 'gone', reason });
        resolve(reason);
      });
    });
  }

  apply(delta: PlanDelta, refused: PortRefusals): Promise<ApplyResult> {
    return this.#ask({ kind: 'apply', delta, refused });
  }

  rebind(refused: PortRefusals): Promise<PortStates> {
    return this.#ask({ kind: 'rebind', refused });
  }

  drain(deadlineMs: number): Promise<void> {
    return this.#ask({ kind: 'drain', deadlineMs });
  }

  stats(): Promise<NodeStats> {
    return this.#ask({ kind: 'stats' });
  }

  order(filter: string, order: FilterOrder): Promise<OrderAnswer> {
    return this.#ask({ kind: 'order', filter, order });
  }

  readonly ask: AskTo = (ask, asker) => {
    if (this.#reason !== undefined) {
      asker.end({ kind: 'gone', reason: this.#reason });
      return () => undefined;
    }
    const id = ++this.#lastId;
    this.#askers.set(id, asker);
    this.#send({ kind: 'question', id, ask });
    return () => {
      if (this.#askers.delete(id)) this.#send({ kind: 'take-back', id });
    };
  };

  async measure(): Promise<void> {
    await this.#ask({ kind: 'measure' });
  }

  rotateTicketKeys(bytes: Uint8Array): void {
    this.#send({ kind: 'ticket-keys', bytes });
  }

  async end(): Promise<void> {
    this.#reason ??= 'it was ended';
    await this.#thread.terminate();
    await this.gone;
  }

  #ask<K extends keyof Answers>(question: Question & { readonly kind: K }): Promise<Answers[K]> {
    const id = ++this.#lastId;
    return new Promise<Answers[K]>((resolve, reject) => {
      if (this.#reason !== undefined) {
        reject(new Error(this.#reason));
        return;
      }
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject });
      this.#send({ kind: 'ask', id, question });
    });
  }

  #send(message: ToWorker): void {
    this.#thread.postMessage(message);
  }

  #onMessage(message: FromWorker): void {
    const { log, worker, onSeries, writeLines } = this.#options;
    switch (message.kind) {
      case 'answer':
        this.#take(message.id)?.resolve(message.answer as never);
        break;
      case 'failed':
        this.#take(message.id)?.reject(new Error(message.message));
        break;
      case 'told':
        this.#askers.get(message.id)?.answer(message.body, message.lost);
        break;
      case 'told-all':
        this.#endAsk(message.id, message.end);
        break;
      case 'series':
        onSeries(message.event);
        break;
      case 'service-wanted':
        void this.#askForService(message.name);
        break;
      case 'lines':
        writeLines(message.text).then(
          () => this.#send({ kind: 'lines-done', written: 'all' }),
          () => this.#send({ kind: 'lines-done', written: 'none' }),
        );
        break;
      case 'log':
        log[message.level](message.message, { worker, ...message.fields });
        break;
    }
  }

  async #askForService(name: string): Promise<void> {
    await this.#options.askForService?.(name);
    this.#send({ kind: 'service-settled', name });
  }

  #endAsk(id: number, end: AskEnd): void {
    const asker = this.#askers.get(id);
    this.#askers.delete(id);
    asker?.end(end);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #onError(error: unknown): string {
    const { log, worker } = this.#options;
    const message = error instanceof Error ? error.message : String(error);
    log.error('Uncaught error in a worker', {
      worker,
      error: message,
      stack: error instanceof Error ? error.stack : '',
    });
    return message;
  }
}
