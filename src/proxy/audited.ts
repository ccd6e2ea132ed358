/** A filter in mode `audit`: it decides, what it decided is logged and counted, and the request goes on. */
import { Fault } from '../base/fault.ts';
import type { Env } from '../filter/env.ts';
import {
  type BodyBound,
  type BodyExtent,
  type BodyVerdict,
  type BodyWish,
  type Exchange,
  type Filter,
  type RequestBound,
  type RouteMatch,
  type Verdict,
  WHOLE_BODY,
} from '../filter/filter.ts';
import type { ResponseHead } from '../http/message.ts';
import { filterFailed } from './filter-failed.ts';

/** What is not a decision passes; a stage would change the message, so it is left out. */
type Passed = typeof WHOLE_BODY | undefined;

export class Audited implements Filter {
  readonly requestBound?: RequestBound;
  readonly responseBound?: BodyBound;
  readonly onRequestBody?: (x: Exchange, body: Buffer, extent: BodyExtent) => BodyVerdict | Promise<BodyVerdict>;
  readonly onResponse?: (x: Exchange, head: ResponseHead) => Passed | Promise<Passed>;
  readonly onResponseBody?: (x: Exchange, head: ResponseHead, body: Buffer) => BodyVerdict | Promise<BodyVerdict>;
  readonly onEnd?: (x: Exchange) => void;
  readonly onRequest?: (x: Exchange, match: RouteMatch) => Passed | Promise<Passed>;
  readonly #name: string;
  readonly #env: Env;

  constructor(name: string, filter: Filter, env: Env) {
    this.#name = name;
    this.#env = env;
    const { requestBound, responseBound } = filter;
    // What would be too long to be looked at is not looked at: nothing may be refused here.
    if (requestBound !== undefined) {
      const beyond = requestBound.beyond === 'part' ? 'part' : 'pass';
      this.requestBound = { ...requestBound, beyond };
    }
    if (responseBound !== undefined) this.responseBound = { ...responseBound, beyond: 'pass' };
    if (filter.onRequest !== undefined) {
      this.onRequest = (x, match) => {
        // One that fails would refuse, which nothing does here.
        const failed = (error: unknown): Passed => this.#pass(x, filterFailed(name, error));
        try {
          const said = filter.onRequest!(x, match);
          return said instanceof Promise ? said.then((late) => this.#pass(x, late), failed) : this.#pass(x, said);
        } catch (error) {
          return failed(error);
        }
      };
    }
    if (filter.onRequestBody !== undefined) {
      this.onRequestBody = (x, body, extent) => {
        const said = filter.onRequestBody!(x, body, extent);
        return said instanceof Promise ? said.then((late) => this.#passBody(x, late)) : this.#passBody(x, said);
      };
    }
    if (filter.onResponse !== undefined) {
      this.onResponse = (x, head) => {
        const said = filter.onResponse!(x, head);
        return said instanceof Promise ? said.then((late) => this.#pass(x, late)) : this.#pass(x, said);
      };
    }
    if (filter.onResponseBody !== undefined) {
      this.onResponseBody = (x, head, body) => {
        const said = filter.onResponseBody!(x, head, body);
        return said instanceof Promise ? said.then((late) => this.#passBody(x, late)) : this.#passBody(x, said);
      };
    }
    if (filter.onEnd !== undefined) this.onEnd = (x) => filter.onEnd!(x);
  }

  #pass(x: Exchange, said: Verdict | BodyWish | void): Passed {
    if (said === WHOLE_BODY) return said;
    if (said instanceof Fault || (said !== undefined && 'kind' in said)) this.#note(x, said);
    return undefined;
  }

  #passBody(x: Exchange, said: BodyVerdict): undefined {
    if (said !== undefined && !Buffer.isBuffer(said)) this.#note(x, said);
    return undefined;
  }

  #note(x: Exchange, verdict: NonNullable<Verdict>): void {
    this.#env.count('audited');
    x.note(`audit.${this.#name}`, verdict instanceof Fault ? verdict.code : `${verdict.status} ${verdict.reason}`);
  }
}
