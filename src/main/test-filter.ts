/** `testFilter` of `fourways/testing`: a filter of a user without sockets, threads and waiting. */
import { randomBytes } from 'node:crypto';
import { Fault } from '../base/fault.ts';
import { type Reply, WHOLE_BODY } from '../filter/filter.ts';
import { type Consumer, type Identity, identityOf } from '../filter/identity.ts';
import type { DefinedFilter, OwnAnswer, OwnEnv, OwnQuestion } from '../filter/own.ts';
import type { Edits, ExchangeCopy, ResponseCopy } from '../filter/own-exchange.ts';
import { applyFieldEdits, type FieldEdit, linesFrom, linesOf, type WrittenFields } from '../filter/own-fields.ts';
import { type Outcome, type OwnCall, type OwnHook, OwnInstance } from '../filter/own-run.ts';
import { Refusals } from '../filters/own/refusals.ts';
import { Headers } from '../http/headers.ts';
import { type OwnAnswer as MadeAnswer, problemAnswer, replyAnswer } from '../proxy/answer.ts';
import type { Static, TSchema } from '../schema/schema.ts';

export interface FilterRequest {
  readonly method?: string;
  /** `http://shop.test/a?b=c`, or only `/a?b=c`. */
  readonly url?: string;
  /** A list of values makes as many lines. */
  readonly headers?: WrittenFields;
  readonly body?: string | Uint8Array;
  readonly clientIp?: string;
  readonly identity?: Partial<Identity> & { readonly subject: string; readonly consumer?: Consumer };
}

export interface FilterResponse {
  readonly status?: number;
  readonly headers?: WrittenFields;
  readonly body?: string | Uint8Array;
}

/** The request as the upstream would get it. */
export interface PassedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An answer as the client would get it. */
export interface GivenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Code of the fault, where the answer is a problem: `own.stamp.no-ticket`, `filter.failed`. */
  readonly fault: string | undefined;
}

export interface FilteredRequest {
  /** What goes upstream; undefined where the filter has answered. */
  readonly passed: PassedRequest | undefined;
  /** What the client gets; undefined where the request goes on. */
  readonly answer: GivenAnswer | undefined;
  /** What stands in the access log. */
  readonly notes: Readonly<Record<string, string>>;
  /** The upstream answers. Ends the exchange. */
  response(response?: FilterResponse): Promise<GivenAnswer>;
}

export interface TestFilterSettings {
  readonly secrets?: Readonly<Record<string, string>>;
  /** What answers instead of the upstreams that the policy names. */
  readonly upstreams?: Readonly<Record<string, (question: OwnQuestion) => Promise<OwnAnswer>>>;
  /** Instead of `fetch`. */
  readonly fetch?: OwnEnv['fetch'];
}

export interface TestedFilter {
  request(request?: FilterRequest): Promise<FilteredRequest>;
  /** What was counted, by event. */
  readonly counts: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
  /** Moves both clocks on, and runs what was due. */
  advance(ms: number): void;
  close(): void;
}

/** Epoch time at which tests of filters begin: 2026-01-01. */
const WALL_MS = Date.UTC(2026, 0, 1);

/** @throws {TypeError} on options that the filter does not take */
export function testFilter<S extends TSchema>(
  filter: DefinedFilter<S>,
  options?: Static<S>,
  settings: TestFilterSettings = {},
): TestedFilter {
  const env = new HandEnv(settings);
  const instance = OwnInstance.make(filter as unknown as DefinedFilter, options, env.lent());
  if (typeof instance === 'string') throw new TypeError(`Cannot make filter "${filter.name}": ${instance}`);
  return new Tested(filter.name, instance, env);
}

/** A clock that is moved by hand, and books of what was counted and said. */
class HandEnv {
  readonly counts: Record<string, number> = {};
  readonly warnings: string[] = [];
  readonly #settings: TestFilterSettings;
  readonly #timers = new Set<{ readonly dueMs: number; readonly run: () => void }>();
  #nowMs = 0;

  constructor(settings: TestFilterSettings) {
    this.#settings = settings;
  }

  lent(): OwnEnv {
    const { secrets = {}, upstreams = {}, fetch: ask } = this.#settings;
    return {
      nowMs: () => this.#nowMs,
      wallMs: () => WALL_MS + this.#nowMs,
      randomBytes,
      after: (delayMs, run) => {
        const timer = { dueMs: this.#nowMs + delayMs, run };
        this.#timers.add(timer);
        return () => void this.#timers.delete(timer);
      },
      count: (event, count = 1) => void (this.counts[event] = (this.counts[event] ?? 0) + count),
      warn: (message) => void this.warnings.push(message),
      secret: (name) => secrets[name] ?? absent(`secret "${name}"`),
      upstream: (name) => ({ ask: upstreams[name] ?? absent(`upstream "${name}"`) }),
      fetch: (url, init) => (ask ?? absent(`fetch of ${url}`))(url, init),
      owner: 'Policy test/test',
      rule: 'HTTPRoute/test/test/0',
    };
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ dueMs }) => dueMs <= endMs).toSorted((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.run();
    }
    this.#nowMs = endMs;
  }
}

function absent(what: string): never {
  throw new Error(`The test has no ${what}`);
}

class Tested implements TestedFilter {
  readonly #name: string;
  readonly #instance: OwnInstance;
  readonly #env: HandEnv;
  #lastId = 0;

  constructor(name: string, instance: OwnInstance, env: HandEnv) {
    this.#name = name;
    this.#instance = instance;
    this.#env = env;
  }

  get counts(): Readonly<Record<string, number>> {
    return this.#env.counts;
  }

  get warnings(): readonly string[] {
    return this.#env.warnings;
  }

  advance(ms: number): void {
    this.#env.advance(ms);
  }

  close(): void {
    this.#instance.close();
  }

  async request(request: FilterRequest = {}): Promise<FilteredRequest> {
    const run = new Run({ id: ++this.#lastId, name: this.#name, instance: this.#instance }, request);
    await run.request();
    return run;
  }
}

interface RunParts {
  readonly id: number;
  readonly name: string;
  readonly instance: OwnInstance;
}

/** One exchange, in the order in which the proxy would call. */
class Run implements FilteredRequest {
  passed: PassedRequest | undefined;
  answer: GivenAnswer | undefined;
  readonly notes: Record<string, string> = {};
  readonly #parts: RunParts;
  #copy: ExchangeCopy;
  #body: Buffer;

  constructor(parts: RunParts, { body = '', ...request }: FilterRequest) {
    this.#parts = parts;
    this.#body = Buffer.from(body as Uint8Array);
    this.#copy = copyOf(request, this.#body.length);
  }

  async request(): Promise<void> {
    const said = await this.#ask('onRequest', {});
    const verdict = said === WHOLE_BODY ? await this.#ask('onRequestBody', { body: this.#body }) : said;
    const made = this.#answerOf(verdict, (body) => (this.#body = body));
    if (made !== undefined) this.answer = await this.#filtered(made);
    else {
      const { method, scheme, authority, path, query, headers } = this.#copy;
      const url = `${scheme}://${authority}${path}${query}`;
      this.passed = { method, url, headers: recordOf(headers), body: this.#body.toString() };
    }
    if (this.answer !== undefined) this.#end();
  }

  async response({ status = 200, headers = {}, body = '' }: FilterResponse = {}): Promise<GivenAnswer> {
    if (this.answer !== undefined) throw new Error('The filter has answered the request already');
    const bytes = Buffer.from(body as Uint8Array);
    this.answer = await this.#filtered({ status, headers: linesFrom(headers), body: bytes, fault: undefined });
    this.#end();
    return this.answer;
  }

  #end(): void {
    this.#parts.instance.end(this.#parts.id, this.#copy);
  }

  async #filtered(made: Answer): Promise<GivenAnswer> {
    let { status, headers, body } = made;
    if (made.fault !== 'filter.failed') {
      const edit = (edits: Edits): void => {
        status = edits.status ?? status;
        headers = edited(headers, edits.responseFields);
      };
      const response = (): ResponseCopy => ({ status, headers, bodyLength: body.length });
      const said = await this.#ask('onResponse', { response: response() }, edit);
      const verdict =
        said === WHOLE_BODY ? await this.#ask('onResponseBody', { response: response(), body }, edit) : said;
      const other = this.#answerOf(verdict, (changed) => (body = changed));
      if (other !== undefined) return givenOf(other);
    }
    return givenOf({ status, headers, body, fault: made.fault });
  }

  async #ask(
    hook: OwnHook,
    subject: Pick<OwnCall, 'response' | 'body'>,
    editAnswer: (edits: Edits) => void = () => undefined,
  ): Promise<Outcome['verdict']> {
    const { id: exchange, instance } = this.#parts;
    const { verdict, edits } = await instance.call({ hook, exchange, copy: this.#copy, ...subject });
    if (edits === undefined) return verdict;
    const { authority, path, query } = this.#copy;
    this.#copy = {
      ...this.#copy,
      authority: edits.authority ?? authority,
      path: edits.path ?? path,
      query: edits.query ?? query,
      headers: edited(this.#copy.headers, edits.requestFields),
    };
    for (const [name, value] of edits.notes) this.notes[name] = value;
    editAnswer(edits);
    return verdict;
  }

  /** Undefined where everything goes on. */
  #answerOf(verdict: Outcome['verdict'], takeBody: (body: Buffer) => void): Answer | undefined {
    if (verdict === undefined || verdict === WHOLE_BODY) return undefined;
    switch (verdict.kind) {
      case 'body':
        takeBody(Buffer.from(verdict.body));
        return undefined;
      case 'reply': {
        const { status, headers, body } = verdict;
        const reply: Reply = { kind: 'reply', status, reason: '', headers, body: Buffer.from(body as Uint8Array) };
        return answerOf(replyAnswer(reply), undefined);
      }
      case 'refusal': {
        const { headers, members } = verdict;
        const kind = new Refusals().kindOf(this.#parts.name, verdict);
        return this.#problem(new Fault(kind, verdict.detail, { headers, members }));
      }
      case 'failed':
        return this.#problem(
          new Fault('filter.failed', verdict.why, { members: { filter: `own.${this.#parts.name}` } }),
        );
    }
  }

  #problem(fault: Fault): Answer {
    const accept = new Map(this.#copy.headers.map(([name, value]) => [name.toLowerCase(), value])).get('accept');
    const facts = { requestId: this.#copy.requestId, planVersion: 'test', hop: 'gateway', accept } as const;
    return answerOf(problemAnswer(fault, facts), fault.code);
  }
}

interface Answer {
  readonly status: number;
  readonly headers: ResponseCopy['headers'];
  readonly body: Buffer;
  readonly fault: string | undefined;
}

function answerOf({ head, body }: MadeAnswer, fault: string | undefined): Answer {
  return { status: head.status, headers: linesOf(head.headers), body, fault };
}

function givenOf({ status, headers, body, fault }: Answer): GivenAnswer {
  return { status, headers: recordOf(headers), body: body.toString(), fault };
}

function copyOf(
  { method = 'GET', url = '/', headers = {}, clientIp = '192.0.2.1', identity }: Omit<FilterRequest, 'body'>,
  bodyLength: number,
): ExchangeCopy {
  const { protocol, host, hostname, pathname, search } = new URL(url, 'http://shop.test');
  const scheme = protocol === 'https:' ? 'https' : 'http';
  return {
    method,
    scheme,
    authority: host,
    host: hostname,
    path: pathname,
    query: search,
    headers: linesFrom(headers),
    bodyLength,
    clientIp,
    peerIp: clientIp,
    serverName: scheme === 'https' ? hostname : '',
    tlsVersion: scheme === 'https' ? 'TLSv1.3' : '',
    requestId: '0123456789abcdef',
    listenerPort: scheme === 'https' ? 443 : 80,
    rule: 'HTTPRoute/test/test/0',
    identity: identity === undefined ? undefined : identityOf({ method: 'test', ...identity }),
    matchedPath: '/',
  };
}

function edited(lines: ResponseCopy['headers'], edits: readonly FieldEdit[]): ResponseCopy['headers'] {
  const headers = Headers.of(lines);
  applyFieldEdits(headers, edits);
  return linesOf(headers);
}

/** Names in lower case, lines of one name joined. */
function recordOf(lines: ResponseCopy['headers']): Record<string, string> {
  const record: Record<string, string> = {};
  for (const [name, value] of lines) {
    const lowerName = name.toLowerCase();
    record[lowerName] = record[lowerName] === undefined ? value : `${record[lowerName]}, ${value}`;
  }
  return record;
}
