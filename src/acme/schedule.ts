/** When certificates are renewed and when what failed is tried again. Pure: times in, times out. */
import type { KeyPair } from '../compile/certificate.ts';
import { hashText } from '../base/canonical.ts';
import type { Suggestion } from './renewal-info.ts';

/**
 * Waits after the first, second … failure, each with a fifth of jitter. Public
 * authorities count five failed validations of a name an hour.
 */
const RETRY_MS: readonly number[] = [60_000, 300_000, 900_000, 3_600_000, 3 * 3_600_000, 6 * 3_600_000];

/** A server may ask to be left alone for days; whether it still wants that is asked once a day. */
const RETRY_MS_MAX = 24 * 3_600_000;

/** A limit was reached, and the server did not say for how long. */
const LIMITED_MS = 3_600_000;

const JITTER = 0.2;

export interface Failure {
  /** In a row, this one included. */
  readonly count: number;
  readonly retryAfterMs: number | undefined;
  readonly rateLimited: boolean;
}

/** @param unit  random, 0 to 1 */
export function retryDelayMs({ count, retryAfterMs, rateLimited }: Failure, unit: number): number {
  const stepMs = RETRY_MS[Math.min(count, RETRY_MS.length) - 1]!;
  const atLeastMs = Math.max(stepMs, retryAfterMs ?? (rateLimited ? LIMITED_MS : 0));
  return Math.min(atLeastMs * (1 + JITTER * unit), RETRY_MS_MAX);
}

/**
 * When a certificate is due: so long before its end as the operator said, else at
 * two thirds of its life; earlier by up to a twentieth of its life, by chance, so that
 * certificates that came together are not all renewed together. The chance is in the
 * certificate, so every process and every start comes to the same time.
 */
export function renewAtMs(pair: KeyPair, renewBeforeMs: number | undefined): number {
  const { notBeforeMs, notAfterMs, certificatePem } = pair;
  const lifeMs = notAfterMs - notBeforeMs;
  // More than its life would be to renew for ever.
  const beforeMs = Math.min(renewBeforeMs ?? lifeMs / 3, lifeMs * 0.9);
  return notAfterMs - beforeMs - (lifeMs / 20) * chanceIn(certificatePem) * (beforeMs < lifeMs * 0.85 ? 1 : 0);
}

/** A moment in the window that an authority suggests (RFC 9773 section 4.2), by the chance that is in the certificate. */
export function suggestedMs({ certificatePem }: KeyPair, { startMs, endMs }: Suggestion): number {
  return startMs + (endMs - startMs) * chanceIn(certificatePem);
}

/** A number from 0 to 1 that is always the same for the same text. */
export function chanceIn(text: string): number {
  return Number.parseInt(hashText(text).slice(0, 8), 16) / 0xffff_ffff;
}
