/** Runs requests through a cache without sockets: an origin that a test makes up, a clock that it moves. */
import type { Env, UpstreamAnswer } from '../../../filter/env.ts';
import { Fault } from '../../../base/fault.ts';
import type { BodyOut, BodyStage, BodyWish, Exchange, Filter } from '../../../filter/filter.ts';
import {
  type ExchangeValues,
  linesOf,
  makeEnv,
  makeExchange,
  type TestEnv,
  type TestExchange,
} from '../../../filter/testing/exchange.ts';
import { Headers } from '../../../http/headers.ts';
import type { RequestHead, ResponseHead } from '../../../http/message.ts';
import { check } from '../../../schema/schema.ts';
import { CacheConfig } from '../config.ts';
import { code } from '../filter.ts';

export interface OriginAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Buffer;
  /** What the head promises; left out: the length of the body. */
  readonly bodyLength?: number;
  /** The body ends before its end. */
  readonly cut?: 'yes';
}

/** What the client got. */
export interface Got {
  readonly status: number;
  readonly lines: readonly string[];
  readonly body: string;
  readonly bodyLength: number;
  /** Value of Cache-Status, and of Age. */
  readonly cache: string | undefined;
  readonly age: string | undefined;
  readonly notes: ReadonlyMap<string, string>;
  get(lowerName: string): string | undefined;
}

type Origin = (request: RequestHead, count: number) => OriginAnswer;

export class Driver {
  readonly env: TestEnv;
  readonly filter: Filter;
  /** Requests that came to the origin: `GET /a?b` and what they asked with. */
  readonly asked: { readonly target: string; readonly headers: Headers }[] = [];
  readonly #origin: Origin;

  constructor(config: object, origin: Origin, parts: Partial<Env> = {}) {
    const checked = check(CacheConfig, config);
    if (checked.value === undefined) throw new Error(JSON.stringify(checked.issues));
    this.#origin = origin;
    this.env = makeEnv({ refetch: async (x, how) => this.#refetch(x, how), ...parts });
    this.filter = code.make(checked.value, this.env);
  }

  get count(): number {
    return this.asked.length;
  }

  async ask(values: ExchangeValues = {}): Promise<Got> {
    const x = makeExchange(values);
    const said = await this.filter.onRequest!(x, { matchedPath: undefined });
    if (said === undefined) return this.answer(x);
    if (said instanceof Fault)
      return this.#send(x, { status: said.kind.status, headers: { 'cache-control': 'no-store' } });
    if (typeof said === 'string' || !('kind' in said)) throw new Error('A cache has no wish for requests');
    if (said.head === undefined) throw new Error('A cache says all of its head');
    const body = Buffer.from(said.body);
    const head: ResponseHead = { status: said.status, reason: '', headers: said.head, bodyLength: body.length };
    return this.#through(x, head, { body, cut: undefined });
  }

  /** Of a request that was let pass. */
  async answer(x: TestExchange): Promise<Got> {
    return this.#send(x, this.#askOrigin(x.request));
  }

  #askOrigin(request: RequestHead): OriginAnswer {
    this.asked.push({ target: `${request.method} ${request.path}${request.query}`, headers: request.headers.copy() });
    return this.#origin(request, this.asked.length);
  }

  #send(x: TestExchange, { status = 200, headers = {}, body = '', bodyLength, cut }: OriginAnswer): Got {
    const bytes = Buffer.from(body);
    const head = { status, reason: '', headers: fieldsOf(headers), bodyLength: bodyLength ?? bytes.length };
    if (!head.headers.has('date')) head.headers.add('date', new Date(this.env.wallMs()).toUTCString());
    return this.#through(x, head, { body: bytes, cut });
  }

  #through(x: TestExchange, head: ResponseHead, sent: { body: Buffer; cut: 'yes' | undefined }): Got {
    const wish = this.filter.onResponse?.(x, head) as BodyWish | undefined;
    const body = stageOf(wish) === undefined ? sent.body : pass(stageOf(wish)!, sent);
    this.filter.onEnd?.(x);
    const isHead = x.request.method === 'HEAD';
    return {
      status: head.status,
      lines: linesOf(head.headers),
      body: isHead ? '' : body.toString(),
      bodyLength: head.bodyLength,
      cache: head.headers.get('cache-status'),
      age: head.headers.get('age'),
      notes: x.notes,
      get: (name) => head.headers.combined(name),
    };
  }

  #refetch(x: Exchange, how: Parameters<Env['refetch']>[1]): UpstreamAnswer | Fault {
    const headers = x.request.headers.copy();
    for (const name of how.remove) headers.delete(name);
    for (const [name, value] of how.set) headers.set(name, value);
    const { status = 200, headers: fields = {}, body = '' } = this.#askOrigin({ ...x.request, headers });
    const answer = fieldsOf(fields);
    if (!answer.has('date')) answer.add('date', new Date(this.env.wallMs()).toUTCString());
    return { status, headers: answer, body: Buffer.from(body), trailers: undefined };
  }
}

function fieldsOf(headers: NonNullable<OriginAnswer['headers']>): Headers {
  return Headers.of(
    Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one as string] as const)),
  );
}

function stageOf(wish: BodyWish | undefined): BodyStage | undefined {
  return typeof wish === 'object' ? wish : undefined;
}

/** In pieces of three bytes, whose buffer is used again. */
function pass(stage: BodyStage, { body, cut }: { readonly body: Buffer; readonly cut: 'yes' | undefined }): Buffer {
  const out: Buffer[] = [];
  const end: BodyOut = {
    bytes: (bytes) => out.push(bytes) > 0,
    end: () => undefined,
    fail: () => undefined,
    resume: () => undefined,
  };
  stage.start(end);
  const lent = Buffer.alloc(3);
  for (let at = 0; at < body.length; at += 3) {
    const length = body.copy(lent, 0, at, at + 3);
    stage.write(lent.subarray(0, length));
  }
  if (cut === 'yes') stage.abort();
  else stage.end();
  return Buffer.concat(out);
}
