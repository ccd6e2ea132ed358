/**
 * What sidecars have seen of the calls that come to their applications, gathered for a policy that allows just those. One
 * recording at a time, for all that are connected here and all that come while it lasts.
 */
import type { AskEnd } from '../base/asking.ts';
import type { Clock } from '../base/clock.ts';
import { parseSpiffeId } from '../base/spiffe.ts';
import type { CallsAnswer, ObservedCall } from '../ir/observed.ts';
import type { Askable, Askables } from './survey.ts';

export interface Recording {
  /** `ended`: what was counted is still there. */
  readonly state: 'none' | 'running' | 'ended';
  /** Milliseconds since the epoch; absent where there was none. */
  readonly fromMs?: number;
  /** When it ends, or has. */
  readonly untilMs?: number;
  /** Sidecars that have said anything. */
  readonly heard: number;
  /** Those that were asked and have said nothing of use, with the reason. */
  readonly unheard: readonly { readonly proxy: string; readonly identity: string; readonly reason: string }[];
  /** Kinds of calls, and calls. */
  readonly kinds: number;
  readonly calls: number;
  /** Calls of kinds for which there was no room, here or in a proxy, and answers that were lost. */
  readonly beyond: number;
}

/** Kinds that are kept: some 20 MB. */
export const RECORDED_KINDS_MAX = 50_000;

/** Of one text in a call: paths are shorter already, and a SPIFFE ID is 2048 at most. */
const TEXT_CHARS_MAX = 2_048;

const SIDECARS_UNHEARD_MAX = 1_000;

export interface RecorderOptions {
  readonly clock: Clock;
  readonly proxies: Askables;
}

type Counted = { -readonly [K in keyof ObservedCall]: ObservedCall[K] };

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #kinds = new Map<string, Counted>();
  readonly #heard = new Set<string>();
  readonly #unheard = new Map<string, Recording['unheard'][number]>();
  #state: Recording['state'] = 'none';
  #fromMs = 0;
  #untilMs = 0;
  #beyond = 0;
  /** What takes the question back, by proxy that is being asked. */
  readonly #running = new Map<Askable, () => void>();
  #stops: (() => void)[] = [];

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Begins anew, unless one runs. @returns whether it began */
  start(lastsMs: number): boolean {
    if (this.#state === 'running') return false;
    const { clock, proxies } = this.#options;
    this.#kinds.clear();
    this.#heard.clear();
    this.#unheard.clear();
    this.#beyond = 0;
    this.#state = 'running';
    this.#fromMs = clock.wallMs();
    this.#untilMs = this.#fromMs + lastsMs;
    this.#stops = [clock.after(lastsMs, () => this.stop()), proxies.onJoined((proxy) => this.#ask(proxy))];
    for (const proxy of proxies.list()) this.#ask(proxy);
    return true;
  }

  /** What was counted stays. @returns whether one ran */
  stop(): boolean {
    if (this.#state !== 'running') return false;
    this.#state = 'ended';
    this.#untilMs = this.#options.clock.wallMs();
    for (const stop of this.#stops) stop();
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const takeBack of running) takeBack();
    return true;
  }

  get recording(): Recording {
    let calls = 0;
    for (const kind of this.#kinds.values()) calls += kind.calls;
    return {
      state: this.#state,
      ...(this.#state !== 'none' && { fromMs: this.#fromMs, untilMs: this.#untilMs }),
      heard: this.#heard.size,
      unheard: [...this.#unheard.values()],
      kinds: this.#kinds.size,
      calls,
      beyond: this.#beyond,
    };
  }

  /** By what they are of. */
  get calls(): ObservedCall[] {
    return [...this.#kinds].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, call]) => ({ ...call }));
  }

  #ask(proxy: Askable): void {
    if (proxy.role !== 'sidecar') return;
    this.#running.set(proxy, ignore);
    const takeBack = proxy.ask(
      { topic: 'calls', body: {} },
      {
        answer: (body, lost) => this.#answered(proxy, body as Partial<CallsAnswer>, lost),
        end: (end) => this.#ended(proxy, end),
      },
    );
    if (this.#running.has(proxy)) this.#running.set(proxy, takeBack);
  }

  #answered(proxy: Askable, { calls, beyond }: Partial<CallsAnswer>, lost: number): void {
    if (!this.#running.has(proxy)) return;
    this.#heard.add(proxy.instance);
    this.#unheard.delete(proxy.instance);
    this.#beyond += lost + countOf(beyond);
    // What a proxy says is for a policy: it speaks for its own namespace only.
    const namespace = parseSpiffeId(proxy.identity)?.namespace ?? '';
    for (const said of Array.isArray(calls) ? calls : []) this.#count(said as unknown, namespace);
  }

  #count(said: unknown, namespace: string): void {
    const call = readCall(said);
    if (call === undefined || !call.service.startsWith(`${namespace}/`)) return;
    const { service, port, source, protocol, method, path } = call;
    const key = [service, port, source, protocol, path, method].join(' ');
    const kind = this.#kinds.get(key);
    if (kind !== undefined) {
      kind.calls += call.calls;
      kind.denied += call.denied;
      kind.audited += call.audited;
      kind.unwelcome += call.unwelcome;
    } else if (this.#kinds.size < RECORDED_KINDS_MAX) {
      this.#kinds.set(key, call);
    } else {
      this.#beyond += call.calls;
    }
  }

  #ended(proxy: Askable, end: AskEnd): void {
    if (!this.#running.delete(proxy) || end.kind === 'done') return;
    // One that has gone after it was heard has said what there was to say.
    if (end.kind === 'gone' && this.#heard.has(proxy.instance)) return;
    if (this.#unheard.size >= SIDECARS_UNHEARD_MAX) return;
    const { instance, identity } = proxy;
    this.#unheard.set(instance, { proxy: instance, identity, reason: end.reason });
  }
}

/** A proxy may say anything. */
function readCall(said: unknown): Counted | undefined {
  if (typeof said !== 'object' || said === null) return undefined;
  const { source, service, port, protocol, method, path, ...counts } = said as Record<string, unknown>;
  if (protocol !== 'http' && protocol !== 'grpc' && protocol !== 'tcp') return undefined;
  if (!isText(source) || !isText(service) || !isText(method) || !isText(path)) return undefined;
  if (!Number.isInteger(port)) return undefined;
  return {
    source,
    service,
    port: port as number,
    protocol,
    method,
    path,
    calls: countOf(counts['calls']),
    denied: countOf(counts['denied']),
    audited: countOf(counts['audited']),
    unwelcome: countOf(counts['unwelcome']),
  };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TEXT_CHARS_MAX;
}

function countOf(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0;
}

const ignore = (): void => undefined;
