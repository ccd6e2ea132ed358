import { createRequire } from 'node:module';
import { Fault, type FaultKind } from '../../base/fault.ts';
import { compileExpression } from '../../expr/expression.ts';
import type { Env } from '../../filter/env.ts';
import { type Exchange, type FilterCode, type Verdict, WHOLE_BODY } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import type { Headers } from '../../http/headers.ts';
import { type ExtAuthConfig, FAULTS, type GrpcConfig } from './config.ts';
import { httpQuestions, lowerCase } from './http.ts';
import {
  type Allowed,
  type Ask,
  type BodySeen,
  change,
  changeQuery,
  type Decision,
  type Undecided,
} from './verdict.ts';
import { VerdictCache } from './verdict-cache.ts';

/**
 * Asks an authorizer whether a request may pass: over HTTP, as forward
 * authentication does, or over gRPC with Envoy's messages.
 *
 * @see envoy/service/auth/v3/external_auth.proto
 */
export const code: FilterCode<typeof ExtAuthConfig> = {
  make(config, env) {
    const { withBody } = config;
    const authorizer = new Authorizer(config, env);
    return {
      onRequest(x) {
        authorizer.strip(x);
        const known = authorizer.recall(x);
        if (known !== undefined) return authorizer.settle(x, known);
        if (withBody !== undefined && x.request.bodyLength !== 0) return WHOLE_BODY;
        return authorizer.ask(x, undefined);
      },
      ...(withBody !== undefined && {
        requestBound: { bytesMax: withBody.bytesMax, beyond: withBody.beyond },
        onRequestBody: (x: Exchange, bytes: Buffer, extent: 'whole' | 'part') =>
          authorizer.ask(x, { bytes, isPart: extent === 'part' }),
      }),
      onResponse: (x, { headers }) => authorizer.changeAnswer(x, headers),
    };
  },
};

class Authorizer {
  readonly #config: ExtAuthConfig;
  readonly #env: Env;
  readonly #authorizer: Ask;
  readonly #vouched: readonly string[];
  readonly #cache: VerdictCache | undefined;
  readonly #keyOf: ((x: Exchange) => string | undefined) | undefined;
  readonly #away: FaultKind;
  /** What was allowed with changes of an answer that is still to come. */
  readonly #answers = new Kept<Allowed>();

  constructor(config: ExtAuthConfig, env: Env) {
    const { http, grpc, cache } = config;
    this.#config = config;
    this.#env = env;
    this.#authorizer =
      http === undefined ? loadGrpc().grpcQuestions(config, grpc!, env) : httpQuestions(config, http, env);
    this.#vouched = lowerCase(config.upstreamHeaders);
    this.#away = { ...FAULTS['extAuth.away'], status: config.awayStatus };
    if (cache !== undefined) {
      this.#cache = new VerdictCache(cache, env);
      this.#keyOf = compileExpression(cache.key, 'string');
    }
  }

  /** First of all: neither authorizer nor upstream may take a client's word for that of the authorizer. */
  strip({ request }: Exchange): void {
    for (const name of this.#vouched) request.headers.deleteAlike(name);
  }

  /** What is known without asking. */
  recall(x: Exchange): Decision | undefined {
    const key = this.#keyOf?.(x);
    const known = key === undefined ? undefined : this.#cache!.get(key);
    if (known !== undefined) this.#env.count('cache_hit');
    return known;
  }

  async ask(x: Exchange, body: BodySeen | undefined): Promise<Verdict> {
    const key = this.#keyOf?.(x);
    const said = await this.#authorizer(x, body);
    if ('why' in said) return this.#undecided(x, said);
    if (key !== undefined) this.#cache!.put(key, said);
    return this.settle(x, said);
  }

  settle(x: Exchange, said: Decision): Verdict {
    this.#env.count(said.kind);
    x.note('extAuth', said.kind);
    for (const [name, value] of said.notes) x.note(`extAuth.${name}`, value);
    if (said.kind === 'refused') return said.answer;
    const { request } = x;
    for (const name of said.remove) request.headers.delete(name);
    for (const field of said.request) change(request.headers, field);
    if (said.query !== undefined) request.query = changeQuery(request.query, said.query);
    if (said.answer.length > 0) this.#answers.set(x, said);
    return undefined;
  }

  changeAnswer(x: Exchange, headers: Headers): void {
    const said = this.#answers.get(x);
    if (said !== undefined) for (const field of said.answer) change(headers, field);
  }

  #undecided(x: Exchange, { kind, why }: Undecided): Verdict {
    this.#env.count(kind);
    x.note('extAuth', kind);
    if (kind === 'invalid') {
      this.#env.warn('Cannot read the answer of the authorizer', { error: why });
      return new Fault(FAULTS['extAuth.answer-invalid'], why);
    }
    this.#env.warn('The authorizer is away', { error: why });
    if (this.#config.whenAway === 'refuse') return new Fault(this.#away, why);
    this.#env.count('let_through');
    return undefined;
  }
}

interface GrpcModule {
  grpcQuestions(config: ExtAuthConfig, grpc: GrpcConfig, env: Env): Ask;
}

/** Messages of protobuf cost 100 ms to load, which rules that ask over HTTP should not pay. */
function loadGrpc(): GrpcModule {
  const { url } = import.meta;
  return createRequire(url)(url.endsWith('.ts') ? './grpc.ts' : './grpc.js') as GrpcModule;
}
