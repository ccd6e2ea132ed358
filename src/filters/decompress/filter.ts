import { Fault, type FaultKind } from '../../base/fault.ts';
import {
  addVary,
  codingsOf,
  decoderOf,
  forbidsTransform,
  forgetBytes,
  isReadCoding,
  type ReadCoding,
  weakenTag,
} from '../../filter/codings.ts';
import type { Env } from '../../filter/env.ts';
import type { BodyStage, Exchange, FilterCode } from '../../filter/filter.ts';
import { StageChain, ZlibStage } from '../../filter/zlib-stage.ts';
import type { Headers } from '../../http/headers.ts';
import type { ResponseHead } from '../../http/message.ts';
import { type DecompressConfig, FAULTS } from './config.ts';

/** Short bodies may be as dense as they like: a megabyte is no bomb. */
const RATIO_FROM_BYTES = 1024 * 1024;

/** Bodies that are being decompressed by this worker, whatever the rule: the memory is one. */
const open = { bodies: 0 };

interface Kinds {
  readonly malformed: FaultKind;
  readonly tooLarge: FaultKind;
}

const OF_REQUEST: Kinds = { malformed: FAULTS['decompress.malformed'], tooLarge: FAULTS['decompress.too-large'] };
const OF_ANSWER: Kinds = {
  malformed: FAULTS['decompress.answer-malformed'],
  tooLarge: FAULTS['decompress.answer-too-large'],
};

export const code: FilterCode<typeof DecompressConfig> = {
  make(config, env) {
    const decompression = new Decompression(config, env);
    return {
      onRequest: (x) => decompression.request(x),
      ...(config.answers && { onResponse: (x, response) => decompression.answer(x, response) }),
    };
  },
};

class Decompression {
  readonly #config: DecompressConfig;
  readonly #env: Env;
  readonly #accepts: readonly (readonly [string, string])[];

  constructor(config: DecompressConfig, env: Env) {
    this.#config = config;
    this.#env = env;
    this.#accepts = [['accept-encoding', config.codings.join(', ')]];
  }

  request({ request }: Exchange): BodyStage | Fault | undefined {
    if (request.bodyLength === 0 || !request.headers.has('content-encoding')) return undefined;
    const known = this.#known(codingsOf(request.headers));
    if (known === undefined) {
      this.#env.count('refused');
      const detail = 'The coding of the body is not among those that are read, or there are too many';
      // RFC 9110 section 15.5.16.
      return new Fault(FAULTS['decompress.unknown-coding'], detail, { headers: this.#accepts });
    }
    request.headers.delete('content-encoding');
    if (known.length === 0) return undefined;
    if (open.bodies + known.length > this.#config.bodiesMax) {
      return new Fault(FAULTS['decompress.busy'], `${open.bodies} bodies are being decompressed`);
    }
    forgetBytes(request);
    this.#env.count('request');
    return this.#stage(known, OF_REQUEST);
  }

  answer({ request }: Exchange, response: ResponseHead): BodyStage | undefined {
    const { status, headers } = response;
    if (status < 200 || status === 204 || status === 206) return undefined;
    if (headers.has('content-range') || forbidsTransform(headers)) return undefined;
    if (status === 304) return this.#notModified(headers);
    const known = this.#known(codingsOf(headers));
    if (known === undefined || known.length === 0) return undefined;
    if (open.bodies + known.length > this.#config.bodiesMax) return undefined;
    headers.delete('content-encoding');
    headers.delete('accept-ranges');
    addVary(headers, 'Accept-Encoding');
    forgetBytes(response);
    weakenTag(headers);
    this.#env.count('answer');
    return request.method === 'HEAD' ? undefined : this.#stage(known, OF_ANSWER);
  }

  /** It has to say what the answer said that it confirms: a cache looks for the tag, and takes over the fields (RFC 9111 section 4.3.4). */
  #notModified(headers: Headers): undefined {
    weakenTag(headers);
    const known = this.#known(codingsOf(headers));
    if (known === undefined || known.length === 0) return;
    headers.delete('content-encoding');
    addVary(headers, 'Accept-Encoding');
  }

  /** Undefined when one of them cannot be read. */
  #known(codings: readonly string[]): readonly ReadCoding[] | undefined {
    if (codings.length > this.#config.codingsMax) return undefined;
    const known = codings.filter(isReadCoding).filter((coding) => this.#config.codings.includes(coding));
    return known.length === codings.length ? known : undefined;
  }

  /** What was applied last is taken off first (RFC 9110 section 8.4). */
  #stage(codings: readonly ReadCoding[], kinds: Kinds): BodyStage {
    const stages = codings.toReversed().map((coding) => this.#stageOf(coding, kinds));
    return stages.length === 1 ? stages[0]! : new StageChain(stages);
  }

  #stageOf(coding: ReadCoding, { malformed, tooLarge }: Kinds): BodyStage {
    const { bytesMax, ratioMax } = this.#config;
    open.bodies++;
    return new ZlibStage({
      open: (first) => decoderOf(coding, first),
      check: (bytesIn, bytesOut) => {
        const isBomb = bytesOut > RATIO_FROM_BYTES && bytesOut > bytesIn * ratioMax;
        if (bytesOut <= bytesMax && !isBomb) return undefined;
        this.#env.count('refused');
        return new Fault(tooLarge, `The body has become ${bytesOut} bytes of ${bytesIn}, and is not at its end`);
      },
      broken: (why) => {
        this.#env.count('refused');
        return new Fault(malformed, `The body is not valid ${coding}: ${why}`);
      },
      closed: () => void open.bodies--,
    });
  }
}
