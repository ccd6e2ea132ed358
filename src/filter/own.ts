/**
 * The package export `fourways/filter`: what filters of users are written with.
 *
 *     export const stamp = defineFilter({
 *       name: 'stamp',
 *       options: Type.Object({ value: Type.String() }),
 *       make: ({ value }) => ({ onRequest: (x) => void x.request.headers.set('x-stamp', value) }),
 *     });
 *
 * Everything that crosses between a filter and the proxy is plain, so that a
 * filter runs the same in a thread of its own and in a test.
 */
import { type Static, type TSchema, Type } from '../schema/schema.ts';
import type { Env } from './env.ts';
import { type BodyBound, WHOLE_BODY } from './filter.ts';
import type { OwnExchange, OwnResponse } from './own-exchange.ts';
import { linesFrom, type WrittenFields } from './own-fields.ts';
import { OWN_PHASES, OWN_TIMEOUT_MS_MAX, type OwnPhase } from './own-phases.ts';
import { BRAND, taken } from './own-registry.ts';

export { Type, WHOLE_BODY };
export type { Static, TSchema };
export type { BodyBound } from './filter.ts';
export type { Consumer, Identity } from './identity.ts';
export type { OwnExchange as Exchange, OwnRequest as Request, OwnResponse as Response } from './own-exchange.ts';
export type { Fields } from './own-fields.ts';

export type { OwnPhase as Phase } from './own-phases.ts';

type Lent = 'nowMs' | 'wallMs' | 'randomBytes' | 'after' | 'warn' | 'fetch' | 'owner' | 'rule';

/** What the proxy lends to a filter. */
export interface OwnEnv extends Pick<Env, Lent> {
  /** Adds to `fourways_filter_events_total{filter="own", event="NAME.EVENT"}`. At most 32 events a filter. */
  count(event: string, count?: number): void;
  /** A value that the policy names under `secrets`. @throws {Error} when it does not */
  secret(name: string): string;
  /** A service that the policy names under `upstreams`, by the pools, TLS and health of the proxy. @throws {Error} when it does not */
  upstream(name: string): OwnUpstream;
}

export interface OwnQuestion {
  /** Default: GET. */
  readonly method?: string;
  /** Path and query. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Default: 1000. */
  readonly timeoutMs?: number;
  /** Default: 1 MiB. */
  readonly answerBytesMax?: number;
}

export interface OwnAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface OwnUpstream {
  /** Rejects when there is no answer. */
  ask(question: OwnQuestion): Promise<OwnAnswer>;
}

/** An answer that is given instead of the upstream's. */
export interface OwnReply {
  readonly kind: 'reply';
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string | Uint8Array;
}

/** A refusal: a problem (RFC 9457) with the code `own.FILTER.CODE`. */
export interface OwnRefusal {
  readonly kind: 'refusal';
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly members: Readonly<Record<string, unknown>>;
}

/** `undefined` goes on. */
export type OwnVerdict = OwnReply | OwnRefusal | undefined | void;
export type OwnHeadVerdict = OwnVerdict | typeof WHOLE_BODY;
/** Bytes or a text are the new body. */
export type OwnBodyVerdict = OwnVerdict | Uint8Array | string;

type Now<T> = T | Promise<T>;

/** What a filter does. A hook that is absent costs nothing. */
export interface OwnHooks {
  /** The head of the request is here. May change it. {@link WHOLE_BODY} asks for the body. */
  onRequest?(x: OwnExchange): Now<OwnHeadVerdict>;
  /** The body that `onRequest` asked for. */
  onRequestBody?(x: OwnExchange, body: Buffer): Now<OwnBodyVerdict>;
  /** Default: 1 MiB, 413 beyond. */
  readonly requestBound?: BodyBound;
  /** The head of the answer is here, from upstream or made by us. May change it. {@link WHOLE_BODY} asks for the body. */
  onResponse?(x: OwnExchange, response: OwnResponse): Now<OwnHeadVerdict>;
  /** The body that `onResponse` asked for; the head may still be changed. */
  onResponseBody?(x: OwnExchange, response: OwnResponse, body: Buffer): Now<OwnBodyVerdict>;
  /** Default: 1 MiB, 502 beyond. */
  readonly responseBound?: BodyBound;
  /** Always runs, once for each request that another hook has seen, and cannot change anything. */
  onEnd?(x: OwnExchange): Now<void>;
  /** The filter is not used any more. */
  close?(): void;
}

export interface OwnFilter<S extends TSchema = TSchema> {
  /** Lower case: `stamp`, `tenant-of-token`. Names the filter in logs, faults and metrics. */
  readonly name: string;
  /** Default: `transform`. A policy that names a module says the phase itself. */
  readonly phase?: OwnPhase;
  /** Schema of the options, which are checked when the filter is made. Default: none. */
  readonly options?: S;
  /** How long one call of a hook may take, unless the policy says so. Default: 1000. */
  readonly timeoutMs?: number;
  /** Called once for each rule that the filter acts on. What need not be done per request is done here. */
  make(options: Static<S>, env: OwnEnv): OwnHooks;
}

/** What {@link defineFilter} gives back: what was said, checked. */
export interface DefinedFilter<S extends TSchema = TSchema> extends OwnFilter<S> {
  readonly phase: OwnPhase;
  readonly [BRAND]: true;
}

/** Any of them, whatever its options. */
export type AnyDefinedFilter = Pick<DefinedFilter, 'name' | 'phase' | typeof BRAND>;

const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const CODE = /^[a-z][a-z0-9-]{0,62}$/;

/** @throws {TypeError} on a definition that cannot be used */
export function defineFilter<const S extends TSchema = TSchema>(filter: OwnFilter<S>): DefinedFilter<S> {
  const { name, phase = 'transform', timeoutMs } = filter;
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new TypeError(`Cannot define a filter: expected a name of lower-case letters, digits and "-"`);
  }
  if (!OWN_PHASES.includes(phase)) {
    throw new TypeError(`Cannot define filter "${name}": expected phase ${OWN_PHASES.join(', ')}`);
  }
  if (typeof filter.make !== 'function')
    throw new TypeError(`Cannot define filter "${name}": expected a function "make"`);
  if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= OWN_TIMEOUT_MS_MAX)) {
    throw new TypeError(`Cannot define filter "${name}": expected timeoutMs from 1 to ${OWN_TIMEOUT_MS_MAX}`);
  }
  const defined = Object.freeze({ ...filter, phase, [BRAND]: true as const });
  taken(defined as unknown as DefinedFilter);
  return defined;
}

/** An answer made here: `reply({ status: 204 })`. */
export function reply(said: {
  readonly status: number;
  /** A list of values makes as many lines. */
  readonly headers?: WrittenFields;
  readonly body?: string | Uint8Array;
}): OwnReply {
  return { kind: 'reply', status: said.status, headers: linesFrom(said.headers ?? {}), body: said.body ?? '' };
}

/** Refuses the request with a problem (RFC 9457) whose code is `own.FILTER.CODE`. */
export function refuse(said: {
  /** From 400 to 599. */
  readonly status: number;
  /** Lower case, from a small set: it is a label of metrics. */
  readonly code: string;
  /** A sentence that the client sees. */
  readonly title: string;
  /** For the log only. Never a value of the request. */
  readonly detail?: string;
  readonly headers?: WrittenFields;
  /** More members of the problem, which the client sees. */
  readonly members?: Readonly<Record<string, unknown>>;
}): OwnRefusal {
  const { status, code, title, detail = '', headers = {}, members = {} } = said;
  if (!CODE.test(code)) throw new TypeError('Cannot refuse: expected a code of lower-case letters, digits and "-"');
  return { kind: 'refusal', status, code, title, detail, headers: linesFrom(headers), members };
}
