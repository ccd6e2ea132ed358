import type { Clock } from './clock.ts';

/** Length of one tick of a {@link TimerWheel}: how late a timeout may be. */
export const TICK_MS = 16;

/** Slots of the wheel, a power of two. One turn is 16 s; longer waits are looked at once per turn. */
const SLOTS = 1_024;

/** Shorter delays are measured from the precise clock, so that a busy loop cannot make them end early. */
const PRECISE_BELOW_MS = 1_000;

/** Ticks that may be missed before expiry waits for one round of I/O; see {@link TimerWheel}. */
const LATE_TICKS = 4;

/**
 * One timeout that can be armed again and again. A thing that waits owns one
 * (or one per kind of wait) for its whole life; a class of its own, so that the
 * wheel only ever sees objects of one shape.
 */
export class Timed {
  readonly onTimeout: () => void;
  /** Tick at which the timeout is due; -1 when not armed. For the wheel. */
  dueTick = -1;
  /** Tick at which the wheel looks at this entry: `dueTick` or earlier. For the wheel. */
  visitTick = -1;
  previous: Timed = this;
  next: Timed = this;

  /** @param onTimeout  called once per `arm`, from the wheel's tick, unless disarmed or armed again before */
  constructor(onTimeout: () => void) {
    this.onTimeout = onTimeout;
  }

  get armed(): boolean {
    return this.dueTick >= 0;
  }
}

/**
 * Very many cheap timeouts on one interval timer (a hashed timing wheel with
 * lists that run through the entries).
 *
 * Arming an entry that is armed already and only moving its end further away
 * writes one integer: the entry stays where it is and is moved when the wheel
 * comes by. So a state machine should arm over and over and disarm only when it
 * stops waiting; `disarm` takes the entry out, and nothing holds it afterwards.
 *
 * A timeout is never early and, on a free event loop, at most {@link TICK_MS}
 * plus one tick late. After the loop was blocked for long, one round of I/O runs
 * before anything expires: bytes that came in time must count.
 */
export class TimerWheel {
  /** Coarse monotonic milliseconds, for durations that may be wrong by a tick. Stands still while nothing is armed. */
  nowMs: number;

  readonly #clock: Clock;
  readonly #slots: readonly Timed[];
  #nowTick: number;
  /** All slots up to this tick were visited. */
  #doneTick: number;
  #count = 0;
  #waitedForIo = false;
  #stop: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#slots = Array.from({ length: SLOTS }, () => new Timed(nothing));
    this.nowMs = clock.nowMs();
    this.#nowTick = this.#doneTick = Math.floor(this.nowMs / TICK_MS);
  }

  /** Number of armed entries. */
  get size(): number {
    return this.#count;
  }

  /** Reads the precise clock and sets the coarse one by it. Use it where the precise time is needed anyway. */
  readMs(): number {
    const nowMs = this.#clock.nowMs();
    this.nowMs = nowMs;
    this.#nowTick = Math.floor(nowMs / TICK_MS);
    return nowMs;
  }

  /** Calls `entry.onTimeout()` once, `delayMs` from now; replaces what was armed before. @param delayMs 0 to 2^31 */
  arm(entry: Timed, delayMs: number): void {
    if (delayMs < PRECISE_BELOW_MS || this.#stop === undefined) this.#wake();
    // One tick more, because the tick that runs is partly over.
    const dueTick = this.#nowTick + Math.ceil(delayMs / TICK_MS) + 1;
    if (entry.dueTick >= 0) {
      if (dueTick >= entry.visitTick) {
        entry.dueTick = dueTick;
        return;
      }
      this.#unlink(entry);
    }
    this.#link(entry, dueTick);
  }

  /** Takes the entry out. Does nothing when it is not armed. */
  disarm(entry: Timed): void {
    if (entry.dueTick >= 0) this.#unlink(entry);
  }

  /** Forgets all entries and stops ticking. */
  close(): void {
    for (const slot of this.#slots) while (slot.next !== slot) this.#unlink(slot.next);
    this.#stop?.();
    this.#stop = undefined;
  }

  #wake(): void {
    this.readMs();
    if (this.#stop !== undefined) return;
    this.#doneTick = this.#nowTick;
    this.#stop = this.#clock.every(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    this.readMs();
    const late = this.#nowTick - this.#doneTick > LATE_TICKS;
    this.#waitedForIo = late && !this.#waitedForIo;
    if (this.#waitedForIo) return;
    this.#expire(this.#nowTick);
    if (this.#count > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }

  #expire(nowTick: number): void {
    // After a whole turn was missed every slot is due for a visit once.
    if (nowTick - this.#doneTick > SLOTS) this.#doneTick = nowTick - SLOTS;
    while (this.#doneTick < nowTick) {
      const slot = this.#slots[(this.#doneTick + 1) & (SLOTS - 1)]!;
      // Entries leave the slot before they run: what onTimeout arms, disarms or throws cannot break the walk.
      while (slot.next !== slot) {
        const entry = slot.next;
        const { dueTick } = entry;
        this.#unlink(entry);
        if (dueTick <= nowTick) entry.onTimeout();
        else this.#link(entry, dueTick);
      }
      this.#doneTick++;
    }
  }

  #link(entry: Timed, dueTick: number): void {
    // The slot being visited is doneTick + 1; the furthest slot that is not it is a turn less two.
    const furthest = this.#doneTick + SLOTS - 1;
    const visitTick = dueTick < furthest ? dueTick : furthest;
    entry.dueTick = dueTick;
    entry.visitTick = visitTick;
    const slot = this.#slots[visitTick & (SLOTS - 1)]!;
    const last = slot.previous;
    entry.previous = last;
    entry.next = slot;
    last.next = entry;
    slot.previous = entry;
    this.#count++;
  }

  #unlink(entry: Timed): void {
    entry.previous.next = entry.next;
    entry.next.previous = entry.previous;
    entry.previous = entry;
    entry.next = entry;
    entry.dueTick = -1;
    this.#count--;
  }
}

const nothing = (): void => undefined;
