import { Fault, type FaultKind } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import type { BodyOut, BodyStage, Exchange, Filter, FilterCode } from '../../filter/filter.ts';
import type { ResponseHead } from '../../http/message.ts';
import { BODY_LIMIT_FAULTS, type BodyLimitConfig } from './config.ts';

/** What announces its length is judged by that, before a byte of it is read; the rest is counted while it passes. */
export const code: FilterCode<typeof BodyLimitConfig> = {
  make({ bytesMax, answerBytesMax }, env): Filter {
    return {
      ...(bytesMax !== undefined && {
        onRequest: ({ request }: Exchange) => {
          if (request.bodyLength < 0) return new Count(BODY_LIMIT_FAULTS['body-limit.request'], bytesMax, env);
          if (request.bodyLength <= bytesMax) return undefined;
          env.count('refused');
          return tooLong(BODY_LIMIT_FAULTS['body-limit.request'], request.bodyLength, bytesMax);
        },
      }),
      ...(answerBytesMax !== undefined && {
        onResponse: (x: Exchange, { bodyLength }: ResponseHead) => {
          // The answer to HEAD says the length of a body that does not come.
          if (x.request.method === 'HEAD') return undefined;
          if (bodyLength < 0) return new Count(BODY_LIMIT_FAULTS['body-limit.answer'], answerBytesMax, env);
          if (bodyLength <= answerBytesMax) return undefined;
          env.count('answer_refused');
          return tooLong(BODY_LIMIT_FAULTS['body-limit.answer'], bodyLength, answerBytesMax);
        },
      }),
    };
  },
};

function tooLong(kind: FaultKind, bytes: number, bytesMax: number): Fault {
  return new Fault(kind, `Body has ${bytes} bytes: at most ${bytesMax} are allowed`);
}

/** Counts what passes, and ends it where it becomes too long. */
class Count implements BodyStage {
  readonly #kind: FaultKind;
  readonly #bytesMax: number;
  readonly #env: Env;
  #out: BodyOut | undefined;
  #bytes = 0;

  constructor(kind: FaultKind, bytesMax: number, env: Env) {
    this.#kind = kind;
    this.#bytesMax = bytesMax;
    this.#env = env;
  }

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(bytes: Buffer): boolean {
    const before = this.#bytes;
    this.#bytes += bytes.length;
    // Handed on within the call for which they are lent, so nothing is copied.
    if (this.#bytes <= this.#bytesMax) return this.#out!.bytes(bytes);
    // Told once; what is still on its way is dropped.
    if (before > this.#bytesMax) return false;
    this.#env.count('broken_off');
    this.#out!.fail(tooLong(this.#kind, this.#bytes, this.#bytesMax));
    return false;
  }

  end(): void {
    if (this.#bytes <= this.#bytesMax) this.#out!.end();
  }

  resume(): void {
    this.#out!.resume();
  }

  abort(): void {}
}
