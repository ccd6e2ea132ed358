/** When a proxy renews its certificate, and when it is to be told that it cannot. Pure; without a library. */
import type { Random } from '../base/random.ts';
import { halfLifeMs, type Life } from './rotation.ts';

/** Around half of its life, this part of it in all: certificates that came together are not renewed together. */
const JITTER = 0.1;

/** After a failure: first this part of its life, then twice as much each time. */
const RETRY = 1 / 2_000;
/** Never longer than this part of its life: there are tries left when what was away comes back. */
const RETRY_MAX = 1 / 50;
const DOUBLINGS_MAX = 16;

/** Of a life: what an issuer that is to be retired is left in, all proxies spread over it. */
const HURRY = 1 / 24;

/** When this much of its life or less is left and it was not renewed, somebody must come. */
const URGENT = 0.1;

/** A certificate is good from a little before it was made: clocks of proxies differ. */
export const BACKDATE_MS = 5 * 60_000;
/** Of a short life at most this part, so that half of it is still to come when it begins. */
const BACKDATE = 1 / 4;

export function backdateMs(lifeMs: number): number {
  return Math.min(BACKDATE_MS, lifeMs * BACKDATE);
}

/** Of a certificate whose end is known, and how long such are issued for now. */
export function leafLife(notAfterMs: number, lifeMs: number): Life {
  return { notBeforeMs: notAfterMs - lifeMs - backdateMs(lifeMs), notAfterMs };
}

/** Half of its life, give or take a twentieth. */
export function renewAtMs(life: Life, random: Random): number {
  return halfLifeMs(life) + lengthMs(life) * JITTER * (random.unit() - 0.5);
}

/** Its issuer is to be retired: soon, and not all at once. Never later than it would be renewed anyway. */
export function renewSoonAtMs(life: Life, nowMs: number, random: Random): number {
  return Math.min(nowMs + lengthMs(life) * HURRY * random.unit(), Math.max(nowMs, halfLifeMs(life)));
}

/** @param failures  in a row, at least one */
export function retryAtMs(
  { life, failures }: { readonly life: Life; readonly failures: number },
  nowMs: number,
  random: Random,
): number {
  const doublings = Math.min(failures - 1, DOUBLINGS_MAX);
  const waitMs = lengthMs(life) * Math.min(RETRY * 2 ** doublings, RETRY_MAX);
  // From a half of it to all of it.
  return nowMs + waitMs * (0.5 + random.unit() / 2);
}

/** `late`: half of its life is over and renewing failed. `urgent`: a tenth is left. `over`: it is of no use any more. */
export type Alarm = 'none' | 'late' | 'urgent' | 'over';

export function alarmOf({ life, failures }: { readonly life: Life; readonly failures: number }, nowMs: number): Alarm {
  if (nowMs >= life.notAfterMs) return 'over';
  if (life.notAfterMs - nowMs <= lengthMs(life) * URGENT) return 'urgent';
  return failures > 0 && nowMs >= halfLifeMs(life) ? 'late' : 'none';
}

/**
 * The same for who sees a certificate and not what became of its renewal: it is renewed around half of its life, give
 * or take {@link JITTER}, so that later it is late.
 */
export function alarmSeen(life: Life, nowMs: number): Alarm {
  return alarmOf({ life, failures: nowMs > halfLifeMs(life) + lengthMs(life) * JITTER ? 1 : 0 }, nowMs);
}

function lengthMs({ notBeforeMs, notAfterMs }: Life): number {
  return notAfterMs - notBeforeMs;
}
