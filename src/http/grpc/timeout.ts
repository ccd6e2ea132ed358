/** `grpc-timeout` (PROTOCOL-HTTP2, "Timeout"): at most eight digits and a unit. */

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds, perhaps a fraction; undefined for what is not a timeout. */
export function parseTimeout(value: string): number | undefined {
  const found = /^([0-9]{1,8})([HMSmun])$/.exec(value);
  return found === null ? undefined : Number(found[1]) * UNIT_MS[found[2]!]!;
}

const EIGHT_DIGITS = 99_999_999;

/** In the finest unit down to microseconds that eight digits can hold; never zero, which some servers refuse. */
export function formatTimeout(ms: number): string {
  if (ms * 1_000 <= EIGHT_DIGITS) return `${Math.max(1, Math.floor(ms * 1_000))}u`;
  if (ms <= EIGHT_DIGITS) return `${Math.floor(ms)}m`;
  return `${Math.min(EIGHT_DIGITS, Math.floor(ms / 1_000))}S`;
}
