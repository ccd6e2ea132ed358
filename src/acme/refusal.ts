/** How an order fails, and what an account is: what is known without the library. */
import type { ChallengeType } from '../compile/issuer.ts';

export interface Account {
  /** PEM. */
  readonly key: string;
  readonly url: string;
}

/** What the server refused (RFC 8555 section 6.7), or how it failed. */
export class AcmeRefusal extends Error {
  override readonly name = 'AcmeRefusal';
  /** `rateLimited`, `unauthorized`, …; empty when the server gave none. */
  readonly type: string;
  readonly status: number;
  /** How long the server wants to be left alone. */
  readonly retryAfterMs: number | undefined;

  constructor(detail: string, { type, status, retryAfterMs }: Pick<AcmeRefusal, 'type' | 'status' | 'retryAfterMs'>) {
    super(type === '' ? detail : `${type}: ${detail}`);
    this.type = type;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A validation failed: another way of proving may succeed. */
export class ValidationFailed extends Error {
  override readonly name = 'ValidationFailed';
  readonly challenge: ChallengeType;

  constructor(challenge: ChallengeType, message: string) {
    super(message);
    this.challenge = challenge;
  }
}

/** What a stranger wrote, for a log and a status: one line, not without end. */
const TEXT_CHARS_MAX = 500;

export function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what must go
  return text.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, TEXT_CHARS_MAX);
}
