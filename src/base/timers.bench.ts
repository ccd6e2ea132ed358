/**
 * Cost of a timeout that is armed for each state of each connection.
 * Budget: 20 ns to arm again, 40 ns to arm and disarm. Run: `node src/base/timers.bench.ts`.
 */
import { bench } from '../../tools/bench.ts';
import { systemClock } from './clock.ts';
import { Timed, TimerWheel } from './timers.ts';

const ENTRIES = 1_024;

const wheel = new TimerWheel(systemClock);
const entries = Array.from({ length: ENTRIES }, () => new Timed(() => undefined));
let at = 0;
const next = (): Timed => entries[at++ & (ENTRIES - 1)]!;

bench('arm again, later', () => wheel.arm(next(), 75_000));
bench('arm and disarm', () => {
  const entry = next();
  wheel.disarm(entry);
  wheel.arm(entry, 10_000);
});
bench('arm sooner, then later', () => {
  const entry = next();
  wheel.arm(entry, 10_000);
  wheel.arm(entry, 75_000);
});
bench('arm below a second, from the precise clock', () => wheel.arm(next(), 500));
wheel.close();
