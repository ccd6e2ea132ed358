const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;

/**
 * Milliseconds of a Gateway API duration (GEP-2257): up to four numbers of up to
 * five digits, each with `h`, `m`, `s` or `ms`. `1h30m` is 5,400,000.
 *
 * @returns undefined for any other text
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$/.test(text)) return undefined;
  let sumMs = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(h|ms|m|s)/g)) {
    sumMs += Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
  }
  return sumMs;
}

/** A duration that may be absent. */
export function durationOr<T>(text: string | undefined, otherwise: T): number | T {
  return text === undefined ? otherwise : (parseDuration(text) ?? otherwise);
}

/** A time limit that may be absent: `0s` means none (GEP-1742). */
export function timeoutMs(text: string | undefined): number | undefined {
  return durationOr(text, 0) || undefined;
}
