/** Milliseconds of a Retry-After: seconds, or a date (RFC 9110 section 10.2.3). Undefined for anything else. */
export function readRetryAfter(value: unknown, nowMs: number): number | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  if (/^[0-9]{1,9}$/.test(value)) return Number(value) * 1_000;
  // Date.parse takes much that is no HTTP date.
  const atMs = /^[A-Z][a-z]{2,8},? /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
