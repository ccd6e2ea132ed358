/**
 * The contract between the proxy and a filter. A filter imports this file,
 * `http/`, `base/` and its own folder; nothing else.
 */
import type { Fault } from '../base/fault.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { Static, TSchema } from '../schema/schema.ts';

/** When a filter runs. The order of this list is the order on the wire. */
export const PHASES = ['admit', 'authenticate', 'authorise', 'limit', 'transform', 'answer'] as const;
export type Phase = (typeof PHASES)[number];

/** One request and its answer, from head to log line. The same object for every hook. */
export interface Exchange {
  readonly request: RequestHead;
  /** Rule that was chosen, as named in the plan. */
  readonly rule: ExchangeRule;
  /** Address of the client, after trusted hops. */
  readonly clientIp: string;
  readonly requestId: string;
  /** Port that the listener has in the configuration (what a client believes it talks to). */
  readonly listenerPort: number;
}

export interface ExchangeRule {
  readonly name: string;
}

/** What a hook on the way in may know besides the exchange. */
export interface RouteMatch {
  /** The prefix or exact path that matched, for prefix replacement; undefined for a regular expression. */
  readonly matchedPath: string | undefined;
}

/** An answer made here instead of upstream. `reason` goes to the access log. */
export interface Reply {
  readonly kind: 'reply';
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** `undefined` goes on; a `Reply` answers; a `Fault` fails the exchange. Nothing is thrown. */
export type Verdict = Reply | Fault | undefined;

/** What the proxy lends to a filter. Every effect a filter can have is on this list. */
export interface Env {
  /** Monotonic milliseconds. Tests pass a clock they move by hand. */
  nowMs(): number;
  /** Adds one to a counter of this filter. */
  count(metric: string): void;
}

/** A filter bound to one rule. Hooks that are absent cost nothing: the chain is built without them. */
export interface Filter {
  /** The head of the request is complete; its body is still on its way. May change the request. */
  onRequest?(x: Exchange, match: RouteMatch): Verdict | Promise<Verdict>;
  /** The head of the answer is here, from upstream or made by us. May change it. */
  onResponse?(x: Exchange, response: ResponseHead): void;
  /** Last hook, always runs, cannot change the answer. */
  onEnd?(x: Exchange): void;
  /** Called once when the snapshot that owns this filter is retired. */
  close?(): void;
}

export interface FilterDef<S extends TSchema = TSchema> {
  readonly name: string;
  readonly phase: Phase;
  readonly config: S;
  /** `stable`, or `beta`: may change between minor versions. */
  readonly status: 'stable' | 'beta';
  /** Called once per rule and snapshot. Do here what need not be done per request. */
  make(config: Static<S>, env: Env): Filter;
}

/** Names the types; returns its argument. */
export function defineFilter<S extends TSchema>(def: FilterDef<S>): FilterDef<S> {
  return def;
}
