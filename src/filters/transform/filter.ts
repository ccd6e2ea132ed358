import { Fault, type FaultKind } from '../../base/fault.ts';
import { readJson } from '../../base/strict-json.ts';
import { compileExpression, type Expression } from '../../expr/expression.ts';
import { forgetBytes, weakenTag } from '../../filter/codings.ts';
import type { Env } from '../../filter/env.ts';
import { type BodyVerdict, type Exchange, type FilterCode, WHOLE_BODY } from '../../filter/filter.ts';
import type { Headers } from '../../http/headers.ts';
import { FAULTS, type TransformConfig } from './config.ts';
import { compileJsonata, type Evaluate } from './jsonata.ts';

type Side = NonNullable<TransformConfig['request']>;

export const code: FilterCode<typeof TransformConfig> = {
  make(config, env) {
    const request = config.request && new Change(config, config.request, env);
    const answer = config.answer && new Change(config, config.answer, env);
    const beyond = config.onError;
    const bound = { bytesMax: config.bodyBytesMax, beyond } as const;
    return {
      requestBound: bound,
      responseBound: bound,
      onRequest(x) {
        // What is to be read must not be compressed. Filter `compress` knows the wish of the client by then.
        if (answer?.hasBody === true) x.request.headers.set('accept-encoding', 'identity');
        if (request === undefined) return undefined;
        request.headers(x, x.request.headers);
        if (!request.hasBody || x.request.bodyLength === 0 || !isJson(x.request.headers)) return undefined;
        if (x.request.headers.has('content-encoding')) {
          return request.failed(FAULTS['transform.request-failed'], 'The body is compressed: add filter "decompress"');
        }
        return WHOLE_BODY;
      },
      onRequestBody: async (x, body) => {
        const made = await request!.body(x, { body, status: undefined }, FAULTS['transform.request-failed']);
        if (Buffer.isBuffer(made)) forgetBytes(x.request);
        return made;
      },
      onResponse(x, response) {
        const { status, headers, bodyLength } = response;
        // A strong tag would not find the weak one that a cache has (RFC 9111 section 4.3.4).
        if (status === 304 && answer?.hasBody === true) weakenTag(headers);
        if (answer === undefined || status < 200 || status > 299) return undefined;
        answer.headers(x, headers);
        const hasBody = status !== 204 && status !== 206 && bodyLength !== 0 && x.request.method !== 'HEAD';
        if (!answer.hasBody || !isJson(headers)) return undefined;
        if (x.request.method === 'HEAD') {
          // The length of what a GET would be answered with is not known.
          forgetBytes(response);
          weakenTag(headers);
        }
        if (!hasBody) return undefined;
        if (headers.has('content-encoding')) {
          return answer.failed(FAULTS['transform.answer-failed'], 'The answer is compressed, though asked not to be');
        }
        return WHOLE_BODY;
      },
      onResponseBody: async (x, response, body) => {
        const { status } = response;
        const made = await answer!.body(x, { body, status }, FAULTS['transform.answer-failed']);
        if (Buffer.isBuffer(made)) {
          forgetBytes(response);
          weakenTag(response.headers);
          response.headers.delete('accept-ranges');
        }
        return made;
      },
    };
  },
};

/** Of several lines services take the first, or the last: one that says JSON is enough, or it would get past the change. */
function isJson(headers: Headers): boolean {
  return headers.getAll('content-type').some((type) => /^[ \t]*[^/;]+\/(?:[^/;]*\+)?json[ \t]*(?:;|$)/i.test(type));
}

/** RFC 9110 section 5.5. */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** What is done to one side. */
class Change {
  readonly #config: TransformConfig;
  readonly #env: Env;
  readonly #evaluate: Evaluate | undefined;
  readonly #set: readonly { readonly name: string; readonly value: Expression<'string'> }[];
  readonly #remove: readonly string[];

  constructor(config: TransformConfig, { body, setHeaders, removeHeaders }: Side, env: Env) {
    this.#config = config;
    this.#env = env;
    this.#evaluate = body === undefined ? undefined : compileJsonata(body, config);
    this.#set = setHeaders.map(({ name, value }) => ({ name, value: compileExpression(value, 'string') }));
    this.#remove = removeHeaders.map((name) => name.toLowerCase());
  }

  get hasBody(): boolean {
    return this.#evaluate !== undefined;
  }

  headers(x: Exchange, headers: Headers): void {
    const values = this.#set.map(({ value }) => value(x));
    for (const name of this.#remove) headers.delete(name);
    this.#set.forEach(({ name }, i) => {
      const value = values[i];
      // What would be two lines, or none, is left out (header injection).
      if (value !== undefined && FIELD_VALUE.test(value)) headers.set(name, value);
      else headers.delete(name.toLowerCase());
    });
  }

  failed(kind: FaultKind, detail: string): Fault | undefined {
    this.#env.count('failed');
    return this.#config.onError === 'refuse' ? new Fault(kind, detail) : undefined;
  }

  async body(
    x: Exchange,
    { body, status }: { readonly body: Buffer; readonly status: number | undefined },
    kind: FaultKind,
  ): Promise<BodyVerdict> {
    if (body.length === 0) return undefined;
    const read = readJson(body, this.#config);
    if (!read.ok) return this.failed(kind, read.refused);
    // It would be written with other digits than it came.
    if (read.inexact) return this.failed(kind, 'It has a number with more digits than can be kept');
    let text: string | undefined;
    try {
      text = JSON.stringify(await this.#evaluate!(read.value, { request: factsOf(x), status }));
    } catch (error) {
      // Codes of JSONata tell what is wrong; its messages repeat values.
      const { code: what } = error as { readonly code?: unknown };
      return this.failed(kind, `The expression failed: ${typeof what === 'string' ? what : 'no code'}`);
    }
    if (text === undefined) return this.failed(kind, 'The expression has no value');
    const made = Buffer.from(text);
    if (made.length > this.#config.bodyBytesMax) return this.failed(kind, `It would become ${made.length} bytes long`);
    this.#env.count('transformed');
    return made;
  }
}

function factsOf({ request: { method, host, path, query }, clientIp, identity }: Exchange): object {
  return { method, host, path, query, clientIp, consumer: identity?.consumer?.name ?? null };
}
