/** The clock of this machine beside those that it has to agree with: certificates and tokens are good for a time. */
import type { Row } from './doctor-row.ts';
import type { ClockReading, Machine } from './machine.ts';
import { readHostPort } from './values.ts';

/** Tokens of users between services last for a minute: with half of that, good ones are refused. */
const WRONG_MS = 30_000;
const OFF_MS = 5_000;

export interface ClockAt {
  /** `HOST:PORT`. */
  readonly address: string;
  readonly wire: 'admin' | 'control';
}

export async function clockRow(machine: Machine, { address, wire }: ClockAt): Promise<Row> {
  const { host, port } = readHostPort(`--${wire}`, address);
  const check = 'clock';
  const reading = await machine.clockOf({ host, port, wire });
  if (typeof reading === 'string') {
    const fix = `curl -v telnet://${address}; is it the address of ${wire === 'control' ? 'a control plane' : 'an admin API'}?`;
    return { check, level: 'problem', found: `${address} does not say what time it is: ${reading}`, fix };
  }
  const skewMs = skewOf(reading);
  const found =
    Math.abs(skewMs) < OFF_MS
      ? `agrees with ${address}`
      : `is ${(Math.abs(skewMs) / 1_000).toFixed(0)} s ${skewMs > 0 ? 'behind' : 'ahead of'} that of ${address}`;
  if (Math.abs(skewMs) < OFF_MS) return { check, level: 'ok', found };
  const fix = 'timedatectl set-ntp true, or another client of NTP, on both; timedatectl shows which is wrong';
  return { check, level: Math.abs(skewMs) < WRONG_MS ? 'warning' : 'problem', found, fix };
}

/** How far the other clock is ahead, at least: it said whole seconds, at some time between question and answer. */
export function skewOf({ saidMs, askedMs, answeredMs }: ClockReading): number {
  const least = saidMs - answeredMs;
  const most = saidMs + 1_000 - askedMs;
  if (least > 0) return least;
  return most < 0 ? most : 0;
}
