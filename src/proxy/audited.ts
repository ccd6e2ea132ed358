/** A filter in mode `audit`: it decides, what it decided is logged and counted, and the request goes on. */
import { Fault } from '../base/fault.ts';
import type { Env } from '../filter/env.ts';
import {
  type BodyBound,
  type BodyExtent,
  type BodyStage,
  type Exchange,
  type Filter,
  type RequestBound,
  type RouteMatch,
  type Verdict,
  WHOLE_BODY,
} from '../filter/filter.ts';
import type { ResponseHead } from '../http/message.ts';
import { filterFailed } from './filter-failed.ts';

/** What a hook may say; of heads also that it wants the body whole. */
type Said<Wish> = Verdict | BodyStage | Buffer | Wish | void;

/** What is not a decision passes; a stage or another body would change the message, so it is left out. */
type Passed<Wish> = Wish | undefined | Promise<Wish | undefined>;

type Whole = typeof WHOLE_BODY;

export class Audited implements Filter {
  readonly requestBound?: RequestBound;
  readonly responseBound?: BodyBound;
  readonly onRequest?: (x: Exchange, match: RouteMatch) => Passed<Whole>;
  readonly onRequestBody?: (x: Exchange, body: Buffer, extent: BodyExtent) => Passed<undefined>;
  readonly onResponse?: (x: Exchange, head: ResponseHead) => Passed<Whole>;
  readonly onResponseBody?: (x: Exchange, head: ResponseHead, body: Buffer) => Passed<undefined>;
  readonly onEnd?: (x: Exchange) => void;
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
        try {
          return this.#take<Whole>(x, filter.onRequest!(x, match));
        } catch (error) {
          return this.#failed(x, error);
        }
      };
    }
    if (filter.onRequestBody !== undefined) {
      this.onRequestBody = (x, body, extent) => {
        try {
          return this.#take<undefined>(x, filter.onRequestBody!(x, body, extent));
        } catch (error) {
          return this.#failed(x, error);
        }
      };
    }
    if (filter.onResponse !== undefined) {
      this.onResponse = (x, head) => {
        try {
          return this.#take<Whole>(x, filter.onResponse!(x, head));
        } catch (error) {
          return this.#failed(x, error);
        }
      };
    }
    if (filter.onResponseBody !== undefined) {
      this.onResponseBody = (x, head, body) => {
        try {
          return this.#take<undefined>(x, filter.onResponseBody!(x, head, body));
        } catch (error) {
          return this.#failed(x, error);
        }
      };
    }
    if (filter.onEnd !== undefined) this.onEnd = (x) => filter.onEnd!(x);
  }

  #take<Wish extends Whole | undefined>(x: Exchange, said: Said<Wish> | Promise<Said<Wish>>): Passed<Wish> {
    if (!(said instanceof Promise)) return this.#pass(x, said);
    return said.then(
      (late) => this.#pass(x, late),
      (error: unknown) => this.#failed(x, error),
    );
  }

  #pass<Wish extends Whole | undefined>(x: Exchange, said: Said<Wish>): Wish | undefined {
    if (said === WHOLE_BODY) return said;
    if (said instanceof Fault) this.#note(x, said.code);
    else if (typeof said === 'object' && 'kind' in said) this.#note(x, `${said.status} ${said.reason}`);
    return undefined;
  }

  /** One that fails would refuse, which nothing does here. */
  #failed(x: Exchange, error: unknown): undefined {
    this.#note(x, filterFailed(this.#name, error).code);
  }

  #note(x: Exchange, decided: string): void {
    this.#env.count('audited');
    x.note(`audit.${this.#name}`, decided);
  }
}
