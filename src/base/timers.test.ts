import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from './random.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { TICK_MS, Timed, TimerWheel } from './timers.ts';

function wheelWithLog(): { clock: ManualClock; wheel: TimerWheel; fired: number[]; entry: Timed } {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const fired: number[] = [];
  return { clock, wheel, fired, entry: new Timed(() => fired.push(clock.nowMs())) };
}

for (const delayMs of [0, 1, 15, 16, 17, 100, 999, 1_000, 10_000, 16_384, 16_400, 75_000, 3_600_000]) {
  test(`a timeout of ${delayMs} ms is never early and at most two ticks late`, () => {
    const { clock, wheel, fired, entry } = wheelWithLog();
    wheel.arm(new Timed(() => undefined), 7_200_000); // keeps the wheel turning
    clock.advance(12_345.5);
    wheel.arm(entry, delayMs);
    assert.equal(entry.armed, true);
    clock.advance(delayMs + 3 * TICK_MS);
    assert.equal(fired.length, 1);
    assert.equal(entry.armed, false);
    const lateMs = fired[0]! - 12_345.5 - delayMs;
    assert.ok(lateMs >= 0 && lateMs <= 2 * TICK_MS, `late by ${lateMs} ms`);
  });
}

test('a disarmed entry does not fire and is held by nobody', () => {
  const { clock, wheel, fired, entry } = wheelWithLog();
  wheel.arm(entry, 50);
  wheel.disarm(entry);
  wheel.disarm(entry);
  assert.equal(entry.next, entry);
  clock.advance(1_000);
  assert.deepEqual(fired, []);
});

test('arming again replaces, later or sooner', () => {
  const { clock, wheel, fired, entry } = wheelWithLog();
  wheel.arm(entry, 5_000);
  wheel.arm(entry, 10_000);
  clock.advance(9_000);
  assert.deepEqual(fired, []);
  wheel.arm(entry, 100);
  clock.advance(140);
  assert.equal(fired.length, 1);
  clock.advance(60_000);
  assert.equal(fired.length, 1);
});

test('an empty wheel sleeps, and wakes with the right time', () => {
  const { clock, wheel, fired, entry } = wheelWithLog();
  assert.equal(clock.pending, 0);
  wheel.arm(entry, 20);
  assert.equal(clock.pending, 1);
  clock.advance(100);
  assert.equal(clock.pending, 0);
  clock.advance(1_000_000);
  wheel.arm(entry, 2_000);
  clock.advance(1_999);
  assert.equal(fired.length, 1);
  clock.advance(40);
  assert.equal(fired.length, 2);
});

test('a callback may arm itself and disarm others that are due in the same tick', () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const fired: string[] = [];
  const b = new Timed(() => fired.push('b'));
  const a: Timed = new Timed(() => {
    fired.push('a');
    wheel.disarm(b);
    if (fired.length < 3) wheel.arm(a, 0);
  });
  wheel.arm(a, 10);
  wheel.arm(b, 10);
  clock.advance(500);
  assert.deepEqual(fired, ['a', 'a', 'a']);
  assert.equal(wheel.size, 0);
});

test('a callback that throws stops nobody else', () => {
  const { clock, wheel, fired, entry } = wheelWithLog();
  wheel.arm(
    new Timed(() => {
      throw new Error('boom');
    }),
    10,
  );
  wheel.arm(entry, 10);
  assert.throws(() => clock.advance(100), /boom/);
  clock.advance(100);
  assert.equal(fired.length, 1);
});

test('after a blocked loop, one round of I/O comes before anything expires', () => {
  const { clock, wheel, fired, entry } = wheelWithLog();
  wheel.arm(entry, 1_000);
  clock.jump(5_000); // the tick runs here, late
  assert.deepEqual(fired, []);
  wheel.arm(entry, 1_000); // bytes were waiting in the socket
  clock.advance(900);
  assert.deepEqual(fired, []);
  clock.advance(200);
  assert.equal(fired.length, 1);
});

test('a loop that was blocked for more than a turn loses nothing', () => {
  const { clock, wheel, fired, entry } = wheelWithLog();
  wheel.arm(entry, 10_000);
  const far = new Timed(() => fired.push(-1));
  wheel.arm(far, 100_000);
  clock.jump(60_000);
  clock.advance(50);
  assert.equal(fired.length, 1);
  clock.advance(40_100);
  assert.deepEqual(fired.slice(1), [-1]);
});

test('random arms and disarms agree with a plain list of deadlines', () => {
  const random = seededRandom(1, 2, 3, 4);
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const dueMs = new Map<Timed, number>();
  const entries = Array.from({ length: 50 }, (): Timed => {
    const entry: Timed = new Timed(() => {
      const due = dueMs.get(entry);
      assert.ok(due !== undefined, 'fired while not armed');
      assert.ok(clock.nowMs() >= due && clock.nowMs() <= due + 2 * TICK_MS, `due ${due}, now ${clock.nowMs()}`);
      dueMs.delete(entry);
    });
    return entry;
  });
  for (let step = 0; step < 20_000; step++) {
    const entry = entries[random.bits32() % entries.length]!;
    if (random.unit() < 0.2) {
      wheel.disarm(entry);
      dueMs.delete(entry);
    } else {
      const delayMs = random.unit() < 0.5 ? random.unit() * 500 : random.unit() * 40_000;
      wheel.arm(entry, delayMs);
      dueMs.set(entry, clock.nowMs() + delayMs);
    }
    clock.advance(random.unit() * 40);
    assert.equal(wheel.size, dueMs.size);
  }
});
