/**
 * The contract between the proxy and a filter. A filter imports this room,
 * `http/`, `base/`, `expr/` and its own folder; nothing else.
 *
 * A filter is a folder: `config.ts` declares it (declaration.ts), `filter.ts`
 * runs it and is loaded with the first plan that names it.
 */
import type { Fault } from '../base/fault.ts';
import type { FilterOrder } from '../base/filter-order.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { ClientFacts } from '../http/stream.ts';
import type { Static, TSchema } from '../schema/schema.ts';
import type { Env } from './env.ts';
import type { Identity } from './identity.ts';

/** One request and its answer, from head to log line. The same object for every hook. */
export interface Exchange {
  readonly request: RequestHead;
  /** What the client asked for, before any filter changed the request. The path is in normal form. */
  readonly asked: Asked;
  /** Rule that was chosen, as named in the plan. */
  readonly rule: ExchangeRule;
  /** Address of the client, after trusted hops. */
  readonly clientIp: string;
  /** The connection: peer, TLS, verified certificate. */
  readonly client: ClientFacts;
  readonly requestId: string;
  /** Port that the listener has in the configuration (what a client believes it talks to). */
  readonly listenerPort: number;
  /** Who is asking, once a filter of phase `authenticate` has found out. */
  readonly identity: Identity | undefined;
  /** Of kept.ts: who keeps something, and what, by turns. */
  kept: unknown[] | undefined;
  /**
   * Writes a word of this filter into the access log: `cache=hit`. At most {@link NOTES_MAX} an exchange; never a
   * secret, and nothing that a client chose without a bound.
   */
  note(name: string, value: string): void;
}

export const NOTES_MAX = 16;

export interface Asked {
  /** Host as the client named it, with its port if it named one. */
  readonly authority: string;
  readonly path: string;
  /** With its `?`, or empty. */
  readonly query: string;
  /** Scheme, host and port as trusted hops in front say, where that is not what is seen here; else empty. The upstream is told it. */
  readonly told: string;
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
  /** Instead of `headers`, all of the head: the proxy adds what frames the body, and neither Date nor Server. */
  readonly head?: Headers;
  /** Left out of the answer to HEAD, while its length is said. */
  readonly body: string | Buffer;
}

/** `undefined` goes on; a `Reply` answers; a `Fault` fails the exchange. Nothing is thrown. */
export type Verdict = Reply | Fault | undefined;

/** Asks for the whole body: the body hook of the filter is called when it is here, and nothing goes on before. */
export const WHOLE_BODY = 'whole-body';

/** What a hook at a head may say besides. A stage changes the body while it streams. */
export type BodyWish = typeof WHOLE_BODY | BodyStage;

/** `undefined` leaves the body as it is; a `Buffer` is the new one. */
export type BodyVerdict = Reply | Fault | Buffer | undefined;

/** How much of a body a filter may hold. */
export interface BodyBound {
  readonly bytesMax: number;
  /**
   * Of a body that is longer. `refuse`: 413 for a request, 502 for an answer. `pass`: it is sent on unseen, as if the
   * filter were not there; the body hook is not called.
   */
  readonly beyond: 'refuse' | 'pass';
}

/** For requests also `part`: the hook is called with the first `bytesMax` bytes, and may not change the body. */
export interface RequestBound {
  readonly bytesMax: number;
  readonly beyond: BodyBound['beyond'] | 'part';
}

/** Whether a hook sees all of a body. */
export type BodyExtent = 'whole' | 'part';

/**
 * A filter bound to one rule. Hooks that are absent cost nothing: the chain is
 * built without them. A hook may return a promise where its type says so, and
 * should where it must wait only: a promise costs more than most filters.
 */
export interface Filter {
  /** The head of the request is complete; its body is still on its way. May change the request. */
  onRequest?(x: Exchange, match: RouteMatch): Verdict | BodyWish | Promise<Verdict | BodyWish>;
  /** The body that `onRequest` asked for. Its length and framing follow what is returned. */
  onRequestBody?(x: Exchange, body: Buffer, extent: BodyExtent): BodyVerdict | Promise<BodyVerdict>;
  readonly requestBound?: RequestBound;
  /**
   * The head of the answer is here, from upstream or made by us. May change it. Not called for 1xx.
   * A `Fault` or `Reply` is sent instead of the answer, whose body is dropped; the filters that are still to come see it.
   * While a promise is open the answer waits, its body at the upstream.
   */
  onResponse?(x: Exchange, response: ResponseHead): Verdict | BodyWish | void | Promise<Verdict | BodyWish>;
  /** The body that `onResponse` asked for; the head is held back until then, and may still be changed. */
  onResponseBody?(x: Exchange, response: ResponseHead, body: Buffer): BodyVerdict | Promise<BodyVerdict>;
  readonly responseBound?: BodyBound;
  /**
   * Who is asking, of phase `authenticate` only. See identity.ts. Not called where an alternative was content before;
   * `onRequest` of such a filter is called all the same, after all of that phase were asked: there it takes out
   * credentials, and headers that it vouches for.
   */
  authenticate?(x: Exchange): Authentication | Promise<Authentication>;
  /** Value of WWW-Authenticate for whoever came without credentials (RFC 9110 section 11.6.1). */
  readonly challenge?: string;
  /** Last hook, always runs, cannot change the answer. */
  onEnd?(x: Exchange): void;
  /** Why it cannot do its work, asked every few seconds for statuses; undefined when it can. Never a secret. */
  failing?(): string | undefined;
  /** Called once when the snapshot that owns this filter is retired. */
  close?(): void;
}

/** No credentials, where it is content without. */
export const NOBODY = Object.freeze({ kind: 'nobody' } as const);

/** `absent`: no credentials of this method. A `Fault`: there are some, and they are not good. */
export type Authentication = Identity | Fault | Reply | typeof NOBODY | 'absent';

/**
 * Changes a body while it streams: takes pieces in, gives pieces out. One per
 * body. Whoever makes one takes care of what the head says of the length
 * (`bodyLength`, Content-Length) and of the coding.
 */
export interface BodyStage {
  /** Called once, before everything else. */
  start(out: BodyOut): void;
  /** The bytes are lent for this call. @returns false when enough is waiting here: stop until `out.resume` is called */
  write(bytes: Buffer): boolean;
  /** Nothing more comes. `out.end` is called when the last piece is out. */
  end(): void;
  /** What is behind takes more again, after `out.bytes` was false. */
  resume(): void;
  /** The exchange is over or the other side cannot take more: everything is to be let go, and nothing is given out. */
  abort(): void;
}

export interface BodyOut {
  /** The bytes are the taker's from now on. @returns false when enough is waiting behind: `write` should say so, too */
  bytes(bytes: Buffer): boolean;
  end(trailers?: Headers): void;
  /** The body cannot be completed. */
  fail(fault: Fault): void;
  /** More can be written again, after `write` was false. */
  resume(): void;
}

/** What filter.ts exports by the name of the filter. */
export interface FilterCode<S extends TSchema = TSchema> {
  /** Called before a plan that names the configuration is taken over, and waited for: what `make` has no time for. */
  prepare?(config: Static<S>, env: Env): Promise<void>;
  /** Called once per rule and snapshot. Do here what need not be done per request. May throw, with a message for the log: its rule answers 500 then. */
  make(config: Static<S>, env: Env): Filter;
  /**
   * Does in one worker what an operator orders, such as to forget something; all workers are asked.
   *
   * @param shared  what the filters of this kind share (`env.shared`); undefined while there are none
   * @returns plain data for the operator
   * @throws {RangeError} on an order that makes no sense, with a message for the operator
   */
  order?(order: FilterOrder, shared: object | undefined): unknown;
}
