/** The entry of the thread in which a filter of a user runs (guard `worker`): imports it, makes it for rules, calls it. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Outcome, OwnInstance } from '../filter/own-run.ts';
import type { DefinedFilter, OwnAnswer } from '../filter/own.ts';
import { ownEnv } from './own-env.ts';
import { importFilter } from './own-import.ts';
import { exactBytes, type FromOwnThread, type OwnThreadData, type ToOwnThread } from './own-protocol.ts';

interface Waiting {
  readonly resolve: (answer: OwnAnswer) => void;
  readonly reject: (error: Error) => void;
}

class OwnThread {
  readonly #port: MessagePort;
  readonly #filter: DefinedFilter;
  readonly #instances = new Map<number, OwnInstance | string>();
  /** Questions to upstreams. Bounded by the calls that are open. */
  readonly #asked = new Map<number, Waiting>();
  #lastAsked = 0;

  constructor(port: MessagePort, filter: DefinedFilter) {
    this.#port = port;
    this.#filter = filter;
    port.on('message', (message: ToOwnThread) => this.#take(message));
  }

  #post(message: FromOwnThread): void {
    this.#port.postMessage(message);
  }

  #take(message: ToOwnThread): void {
    switch (message.kind) {
      case 'make':
        return this.#make(message);
      case 'unmake': {
        const instance = this.#instances.get(message.instance);
        this.#instances.delete(message.instance);
        if (instance instanceof OwnInstance) instance.close();
        return undefined;
      }
      case 'call':
        return this.#call(message);
      case 'end': {
        const instance = this.#instances.get(message.instance);
        if (instance instanceof OwnInstance) instance.end(message.end.exchange, message.end.copy);
        return undefined;
      }
      case 'answer': {
        const waiting = this.#asked.get(message.id);
        this.#asked.delete(message.id);
        if (typeof message.answer === 'string') waiting?.reject(new Error(message.answer));
        else waiting?.resolve({ ...message.answer, body: Buffer.from(message.answer.body) });
        return undefined;
      }
      case 'ping':
        return this.#post({ kind: 'pong' });
      case 'close':
        for (const instance of this.#instances.values()) if (instance instanceof OwnInstance) instance.close();
        return process.exit(0);
    }
  }

  #make({ instance: number, spec }: Extract<ToOwnThread, { kind: 'make' }>): void {
    const env = ownEnv(spec, {
      count: (event, count) => this.#post({ kind: 'count', instance: number, event, count }),
      warn: (text, fields) => this.#post({ kind: 'warn', instance: number, message: text, fields }),
      ask: (upstream, question) =>
        new Promise((resolve, reject) => {
          const id = ++this.#lastAsked;
          // First, because it throws what cannot be sent.
          this.#post({ kind: 'ask', id, instance: number, upstream, question });
          this.#asked.set(id, { resolve, reject });
        }),
    });
    const made = OwnInstance.make(this.#filter, spec.options, env);
    this.#instances.set(number, made);
    this.#post(
      typeof made === 'string'
        ? { kind: 'unmade', instance: number, why: made }
        : { kind: 'made', instance: number, shape: made.shape },
    );
  }

  #call({ id, instance: number, call }: Extract<ToOwnThread, { kind: 'call' }>): void {
    const instance = this.#instances.get(number);
    if (!(instance instanceof OwnInstance)) {
      const why = instance ?? 'it was not made';
      return this.#post({ kind: 'outcome', id, outcome: { verdict: { kind: 'failed', event: 'unavailable', why } } });
    }
    const outcome = instance.call(call);
    if (!(outcome instanceof Promise)) return this.#post({ kind: 'outcome', id, outcome: exact(outcome) });
    void outcome.then((late) => this.#post({ kind: 'outcome', id, outcome: exact(late) }));
  }
}

function exact(outcome: Outcome): Outcome {
  const { verdict } = outcome;
  if (typeof verdict !== 'object' || !('body' in verdict) || typeof verdict.body === 'string') return outcome;
  return { ...outcome, verdict: { ...verdict, body: exactBytes(verdict.body) } as Outcome['verdict'] };
}

// A thread always has a port.
const port = parentPort!;
const data = workerData as OwnThreadData;
const post = (message: FromOwnThread): void => port.postMessage(message);
const found = await importFilter({ ...data, onFile: (stamp) => post({ kind: 'file', stamp }) });
if (typeof found === 'string') {
  post({ kind: 'broken', why: found });
} else {
  post({ kind: 'loaded', name: found.name, timeoutMs: found.timeoutMs });
  new OwnThread(port, found);
}
