import { Fault } from '../../base/fault.ts';
import {
  addVary,
  chooseCoding,
  type CodingChoice,
  encoderOf,
  flushKindOf,
  forbidsTransform,
  forgetBytes,
  isQuick,
  weakenTag,
  type WrittenCoding,
} from '../../filter/codings.ts';
import type { Env } from '../../filter/env.ts';
import type { BodyStage, Exchange, FilterCode } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import { encodeWhole } from '../../filter/whole-encoder.ts';
import { WholeStage } from '../../filter/whole-stage.ts';
import { ZlibStage } from '../../filter/zlib-stage.ts';
import type { ResponseHead } from '../../http/message.ts';
import type { CompressConfig } from './config.ts';
import { typeTest } from './types.ts';

/** Browsers send few different Accept-Encodings; what is remembered of them is thrown away when there are more. */
const CHOICES_MAX = 64;

/** Bodies that are being compressed by this worker, whatever the rule: the memory is one. */
const open = { bodies: 0 };

export const code: FilterCode<typeof CompressConfig> = {
  make: (config, env) => new Compression(config, env),
};

/** Compresses answers. Knows the wish of a client from the way in: filters behind this one may change the field. */
class Compression {
  readonly #config: CompressConfig;
  readonly #env: Env;
  readonly #takes: (contentType: string) => 'no' | 'yes' | 'events';
  readonly #choices = new Map<string, CodingChoice>();
  readonly #wishes = new Kept<string>();

  constructor(config: CompressConfig, env: Env) {
    this.#config = config;
    this.#env = env;
    this.#takes = typeTest(config.types);
  }

  onRequest(x: Exchange): undefined {
    const accept = x.request.headers.combined('accept-encoding');
    if (accept !== undefined) this.#wishes.set(x, accept);
  }

  onResponse(x: Exchange, response: ResponseHead): BodyStage | undefined {
    const { status, headers } = response;
    if (status === 304) return this.#notModified(x, response);
    if (!hasWholeBody(x, response) || headers.has('content-encoding')) return undefined;
    const takes = this.#takes(headers.get('content-type') ?? '');
    if (takes === 'no' || forbidsTransform(headers) || forbidsTransform(x.request.headers)) return undefined;
    const { coding, identityRefused } = this.#choice(x);
    if (this.#isShort(response) && !identityRefused) return undefined;
    addVary(headers, 'Accept-Encoding');
    if (coding === undefined || this.#isLeftOut(x, response)) return undefined;
    if (open.bodies >= this.#config.bodiesMax) {
      this.#env.count('busy');
      return undefined;
    }
    const { bodyLength } = response;
    headers.set('content-encoding', coding);
    // Ranges are of the bytes that the service has (RFC 9110 section 14.3).
    headers.delete('accept-ranges');
    forgetBytes(response);
    weakenTag(headers);
    if (x.request.method === 'HEAD') return undefined;
    return this.#stage(coding, takes, bodyLength);
  }

  /** A tag that is still strong would not find the weak one that a cache has (RFC 9111 section 4.3.4). */
  #notModified(x: Exchange, { headers }: ResponseHead): undefined {
    if (this.#choice(x).coding === undefined || headers.has('content-encoding')) return;
    weakenTag(headers);
    addVary(headers, 'Accept-Encoding');
  }

  #choice(x: Exchange): CodingChoice {
    const accept = this.#wishes.get(x) ?? x.request.headers.combined('accept-encoding') ?? '';
    let choice = this.#choices.get(accept);
    if (choice !== undefined) return choice;
    choice = chooseCoding(accept, this.#config.codings);
    if (this.#choices.size >= CHOICES_MAX) this.#choices.clear();
    this.#choices.set(accept, choice);
    return choice;
  }

  #isShort({ bodyLength }: ResponseHead): boolean {
    return bodyLength >= 0 && bodyLength < this.#config.bytesMin;
  }

  /**
   * BREACH: who makes a browser ask, sees the length, and has words of his own in the answer, finds out what else is in it.
   * The worst case, a page of another site, is known by Sec-Fetch-Site (Fetch Metadata).
   */
  #isLeftOut(x: Exchange, { headers }: ResponseHead): boolean {
    const request = x.request.headers;
    for (const what of this.#config.leaveOut) {
      if (what === 'set-cookie' && headers.has('set-cookie')) return true;
      if (what === 'cookies' && request.has('cookie')) return true;
      if (what === 'identity' && x.identity !== undefined) return true;
      if (what === 'cross-site-cookies' && request.get('sec-fetch-site') === 'cross-site' && request.has('cookie')) {
        return true;
      }
    }
    return false;
  }

  #stage(coding: WrittenCoding, takes: 'yes' | 'events', bodyLength: number): BodyStage {
    const { levels, flushMs } = this.#config;
    const env = this.#env;
    const level = levels[coding];
    env.count('compressed');
    open.bodies++;
    const common = {
      broken: (why: string) => new Fault('filter.failed', `The answer cannot be compressed: ${why}`),
      closed: (bytesIn: number, bytesOut: number) => {
        open.bodies--;
        env.count('bytes_in', bytesIn);
        env.count('bytes_out', bytesOut);
      },
    };
    if (isQuick(coding, level, bodyLength)) {
      return new WholeStage({ ...common, bodyLength, become: (body) => encodeWhole(coding, level, body) });
    }
    return new ZlibStage({
      ...common,
      open: () => encoderOf(coding, level),
      ...(bodyLength === -1 && {
        flush: {
          kind: flushKindOf(coding),
          afterMs: takes === 'events' ? 0 : flushMs,
          after: (delayMs, run) => env.after(delayMs, run),
        },
      }),
    });
  }
}

/** Not part of a range, not an answer that has no body (RFC 9110 sections 6.4.1 and 15.3.7). */
function hasWholeBody({ request: { method } }: Exchange, { status, headers, bodyLength }: ResponseHead): boolean {
  if (status < 200 || status === 204 || status === 205 || status === 206 || method === 'CONNECT') return false;
  if (headers.has('content-range')) return false;
  return bodyLength !== 0 || method === 'HEAD';
}
