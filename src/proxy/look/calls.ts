/** The topic `calls`: who calls what of the application behind this proxy, by kind of call, for a policy that allows just that. */
import type { Asker } from '../../base/asking.ts';
import type { Clock } from '../../base/clock.ts';
import type { Exchange } from '../../filter/filter.ts';
import { workloadOf } from '../../http/client-identity.ts';
import { CALL_KINDS_MAX, type CallsAnswer, type ObservedCall } from '../../ir/observed.ts';
import type { AccessEntry } from '../../observe/access-log.ts';
import type { StreamEntry } from '../../observe/stream-log.ts';
import type { ExchangeWatch, Watcher } from './exchange-watch.ts';
import { pathTemplate } from './path-template.ts';
import { serviceOf } from './places.ts';
import { pathOf } from './requests.ts';

/** How often what is new is told. */
const TELL_MS = 1_000;

/** Kinds in one answer: some 60 kB. */
const ANSWER_CALLS_MAX = 200;

/** Answers by which an application says that there is nothing, or nothing for this caller. */
const UNWELCOME: ReadonlySet<number> = new Set([401, 403, 404, 405]);

export interface CallsWork {
  readonly watch: ExchangeWatch;
  readonly clock: Clock;
}

/** @returns takes it back */
export function answerCalls(asker: Asker, { watch, clock }: CallsWork): () => void {
  const table = new CallTable(asker);
  const unwatch = watch.add(table);
  // That it hears: nothing may happen for long.
  asker.answer({ calls: [], beyond: 0 }, 0);
  const stop = clock.every(TELL_MS, () => table.tell());
  return () => {
    unwatch();
    stop();
  };
}

type Counted = { -readonly [K in keyof ObservedCall]: ObservedCall[K] };

/** Names of methods are no ids, whatever they look like. */
const GRPC_METHOD = /^\/[\w.]{1,200}\/\w{1,100}$/;

function grpcPath(path: string): string {
  return GRPC_METHOD.test(path) ? path : pathTemplate(path);
}

const NONE_YET = { calls: 0, denied: 0, audited: 0, unwelcome: 0 } as const;

class CallTable implements Watcher {
  readonly #asker: Asker;
  readonly #kinds = new Map<string, Counted>();
  readonly #changed = new Set<Counted>();
  #beyond = 0;

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  onExchange(x: Exchange, entry: AccessEntry): void {
    if (!entry.listener.startsWith('Inbound/')) return;
    const protocol = entry.grpcStatus >= 0 ? 'grpc' : 'http';
    const source = workloadOf(entry.clientCertificate)?.id ?? '';
    const call = this.#kind(entry.listener, {
      source,
      protocol,
      method: entry.method,
      path: protocol === 'grpc' ? grpcPath(pathOf(x, entry)) : pathTemplate(pathOf(x, entry)),
    });
    if (call === undefined) return;
    call.calls++;
    if (entry.fault?.kind.blame === 'policy') call.denied++;
    else if (UNWELCOME.has(entry.status)) call.unwelcome++;
    if (entry.notes?.includes('audit.authorize') === true) call.audited++;
  }

  onStream(entry: StreamEntry): void {
    if (!entry.listener.startsWith('Inbound/')) return;
    const source = workloadOf(entry.clientCertificate)?.id ?? '';
    const call = this.#kind(entry.listener, { source, protocol: 'tcp', method: '', path: '' });
    if (call === undefined) return;
    call.calls++;
    if (entry.fault?.code === 'stream.denied') call.denied++;
    if (entry.audited !== undefined) call.audited++;
  }

  tell(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    for (let at = 0; at < changed.length; at += ANSWER_CALLS_MAX) {
      this.#answer(changed.slice(at, at + ANSWER_CALLS_MAX).map((call) => ({ ...call })));
    }
    for (const call of changed) Object.assign(call, NONE_YET);
    if (this.#beyond > 0) this.#answer([]);
  }

  #answer(calls: readonly ObservedCall[]): void {
    this.#asker.answer({ calls, beyond: this.#beyond } satisfies CallsAnswer, 0);
    this.#beyond = 0;
  }

  #kind(listener: string, what: Pick<ObservedCall, 'source' | 'protocol' | 'method' | 'path'>): Counted | undefined {
    const place = serviceOf(listener);
    if (place === undefined) return undefined;
    const key = `${listener} ${what.source} ${what.method} ${what.path}`;
    let call = this.#kinds.get(key);
    if (call === undefined) {
      if (this.#kinds.size >= CALL_KINDS_MAX) {
        this.#beyond++;
        return undefined;
      }
      const service = `${place.namespace}/${place.service}`;
      call = { ...what, service, port: place.port, ...NONE_YET };
      this.#kinds.set(key, call);
    }
    this.#changed.add(call);
    return call;
  }
}
