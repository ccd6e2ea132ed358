import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import {
  type BodyBound,
  type BodyVerdict,
  type BodyWish,
  type Exchange,
  type Filter,
  type FilterCode,
  type Reply,
  type RequestBound,
  type RouteMatch,
  type Verdict,
  WHOLE_BODY,
} from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import type { OwnRefusal } from '../../filter/own.ts';
import { applyEdits, copyOfExchange, copyOfResponse } from '../../filter/own-exchange.ts';
import { OWN_TIMEOUT_MS_MAX } from '../../filter/own-phases.ts';
import type { BoundFilter, FilterVersion, Program, ProgramSpec } from '../../filter/own-program.ts';
import { bufferOf, type Outcome, type OutcomeFailed, type OwnCall, type OwnHook } from '../../filter/own-run.ts';
import type { ResponseHead } from '../../http/message.ts';
import type { OwnEntry, OwnEntrySchema } from './config.ts';
import { Refusals } from './refusals.ts';

export const code: FilterCode<OwnEntrySchema> = {
  /** The first version of the module is loaded, or given up, before the plan is taken over. */
  prepare: (entry, env) => env.programs.open(specOf(entry)).settled,
  make: (entry, env) => new OwnFilter(entry, env),
};

function specOf({ module, filter, guard, heapMegabytesMax }: OwnEntry): ProgramSpec {
  return { module, filter, guard, heapMegabytesMax };
}

/** Of a filter that says nothing of its time. */
const TIMEOUT_MS = 1_000;

/** One exchange that the filter has begun to see: it stays on the version of the module on which it began. */
interface Session {
  readonly id: number;
  readonly version: FilterVersion;
  readonly matchedPath: string | undefined;
  over: boolean;
  /** It has failed: the answer that says so must go out, and what it would say of that is not asked. */
  failed: boolean;
}

/** What a hook has to do with, besides the exchange. */
interface Subject {
  readonly response?: ResponseHead;
  readonly body?: Buffer;
}

type Ended = Outcome['verdict'];

class OwnFilter implements Filter {
  readonly #env: Env;
  readonly #program: Program;
  readonly #bound: BoundFilter;
  readonly #timeoutMs: number | undefined;
  readonly #sessions = new Kept<Session>();
  readonly #refusals = new Refusals();
  #lastId = 0;

  constructor(entry: OwnEntry, env: Env) {
    this.#env = env;
    const { options, timeout, secrets, upstreams } = entry;
    this.#timeoutMs = timeout === undefined ? undefined : parseDuration(timeout);
    const values = Object.entries(secrets).map(([name, reference]) => [name, env.secret(reference)] as const);
    const services = new Map(Object.entries(upstreams).map(([name, reference]) => [name, env.upstream(reference)]));
    this.#program = env.programs.open(specOf(entry));
    this.#bound = this.#program.bind(
      {
        options,
        owner: env.owner,
        rule: env.rule,
        secrets: Object.fromEntries(values),
        upstreams: [...services.keys()],
      },
      {
        count: (event, count) => env.count(event, count),
        warn: (message, fields) => env.warn(message, fields),
        fetch: (url, init) => env.fetch(url, init),
        upstream: (name) => services.get(name)!,
      },
    );
  }

  get requestBound(): RequestBound {
    return this.#shape()?.requestBound ?? DEFAULT_BOUND;
  }

  get responseBound(): BodyBound {
    return this.#shape()?.responseBound ?? DEFAULT_BOUND;
  }

  #shape(): FilterVersion['shape'] {
    const { version } = this.#bound;
    return typeof version === 'string' ? undefined : version.shape;
  }

  onRequest(x: Exchange, { matchedPath }: RouteMatch): Verdict | BodyWish | Promise<Verdict | BodyWish> {
    const { version } = this.#bound;
    if (typeof version === 'string') return this.#failed({ kind: 'failed', event: 'unavailable', why: version });
    const session = this.#begin(x, version, matchedPath);
    const ended = this.#call('onRequest', x, session);
    return ended instanceof Promise ? ended.then((late) => this.#headVerdict(late)) : this.#headVerdict(ended);
  }

  onRequestBody(x: Exchange, body: Buffer): BodyVerdict | Promise<BodyVerdict> {
    const ended = this.#call('onRequestBody', x, this.#sessions.get(x), { body });
    return ended instanceof Promise ? ended.then((late) => this.#bodyVerdict(late)) : this.#bodyVerdict(ended);
  }

  onResponse(x: Exchange, response: ResponseHead): Verdict | BodyWish | Promise<Verdict | BodyWish> {
    const ended = this.#call('onResponse', x, this.#sessionFor(x), { response });
    return ended instanceof Promise ? ended.then((late) => this.#headVerdict(late)) : this.#headVerdict(ended);
  }

  onResponseBody(x: Exchange, response: ResponseHead, body: Buffer): BodyVerdict | Promise<BodyVerdict> {
    const ended = this.#call('onResponseBody', x, this.#sessions.get(x), { response, body });
    return ended instanceof Promise ? ended.then((late) => this.#bodyVerdict(late)) : this.#bodyVerdict(ended);
  }

  onEnd(x: Exchange): void {
    const session = this.#sessions.get(x);
    if (session === undefined) return;
    session.over = true;
    this.#sessions.delete(x);
    const { id, version, matchedPath } = session;
    version.end(id, () => copyOfExchange(x, matchedPath));
  }

  failing(): string | undefined {
    const { version } = this.#bound;
    return typeof version === 'string' ? `${this.#program.name}: ${version}` : undefined;
  }

  close(): void {
    this.#bound.close();
  }

  #begin(x: Exchange, version: FilterVersion, matchedPath: string | undefined): Session {
    const session: Session = { id: ++this.#lastId, version, matchedPath, over: false, failed: false };
    this.#sessions.set(x, session);
    version.begin();
    return session;
  }

  /** An answer to a request that never came here: an earlier filter gave it. */
  #sessionFor(x: Exchange): Session | undefined {
    const known = this.#sessions.get(x);
    if (known !== undefined) return known;
    const { version } = this.#bound;
    // What cannot run has refused each request that came here; the answer that says so must go out.
    return typeof version === 'string' ? undefined : this.#begin(x, version, undefined);
  }

  #call(hook: OwnHook, x: Exchange, session: Session | undefined, subject: Subject = {}): Ended | Promise<Ended> {
    if (session === undefined || session.failed) return undefined;
    const { version, id, matchedPath } = session;
    if (version.shape !== undefined && !version.shape.hooks.includes(hook)) return undefined;
    const { response, body } = subject;
    const call: OwnCall = {
      hook,
      exchange: id,
      copy: copyOfExchange(x, matchedPath),
      ...(response !== undefined && { response: copyOfResponse(response) }),
      ...(body !== undefined && { body }),
    };
    const timeoutMs = Math.min(this.#timeoutMs ?? version.timeoutMs ?? TIMEOUT_MS, OWN_TIMEOUT_MS_MAX);
    const outcome = version.call(call, timeoutMs);
    const take = ({ verdict, edits }: Outcome): Ended => {
      // The objects of an exchange that is over may belong to another one by now.
      if (session.over) return undefined;
      session.failed = typeof verdict === 'object' && verdict.kind === 'failed';
      if (edits !== undefined && !session.failed) applyEdits(x, response, edits);
      return verdict;
    };
    return outcome instanceof Promise ? outcome.then(take) : take(outcome);
  }

  #headVerdict(ended: Ended): Verdict | BodyWish {
    if (ended === undefined || ended === WHOLE_BODY) return ended;
    return ended.kind === 'body' ? undefined : this.#decided(ended);
  }

  #bodyVerdict(ended: Ended): BodyVerdict {
    if (ended === undefined || ended === WHOLE_BODY) return undefined;
    return ended.kind === 'body' ? bufferOf(ended.body) : this.#decided(ended);
  }

  #decided(ended: Exclude<NonNullable<Ended>, string | { readonly kind: 'body' }>): Reply | Fault {
    switch (ended.kind) {
      case 'failed':
        return this.#failed(ended);
      case 'refusal':
        return this.#refused(ended);
      case 'reply': {
        const { status, headers, body } = ended;
        return {
          kind: 'reply',
          status,
          reason: `own.${this.#program.name}`,
          headers,
          body: typeof body === 'string' ? body : bufferOf(body),
        };
      }
    }
  }

  #refused(refusal: OwnRefusal): Fault {
    this.#env.count('refused');
    const { headers, members } = refusal;
    return new Fault(this.#refusals.kindOf(this.#program.name, refusal), refusal.detail, { headers, members });
  }

  #failed({ event, why }: OutcomeFailed): Fault {
    const { name } = this.#program;
    this.#env.count(event);
    this.#env.warn('A filter of your own failed', { own: name, why });
    return new Fault('filter.failed', `Filter "own.${name}" failed: ${why}`, { members: { filter: `own.${name}` } });
  }
}

const DEFAULT_BOUND: BodyBound = { bytesMax: 1024 * 1024, beyond: 'refuse' };
