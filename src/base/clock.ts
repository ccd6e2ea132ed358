/** Time, lent. Production passes {@link systemClock}; tests pass a clock that they move by hand. */
export interface Clock {
  /** Monotonic milliseconds with a fraction. For durations only. */
  nowMs(): number;
  /** Milliseconds since the Unix epoch. For time stamps only. */
  wallMs(): number;
  /** Runs `action` once after `delayMs`; the result cancels it. Does not keep the process alive. */
  after(delayMs: number, action: () => void): () => void;
  /** Runs `action` every `periodMs`; the result cancels it. Does not keep the process alive. */
  every(periodMs: number, action: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(periodMs, action) {
    const timer = setInterval(action, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Resolves after `delayMs` of this clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}

/** The same for a command that has nothing else to do meanwhile: the process stays. */
export async function sleepAwake(clock: Clock, delayMs: number): Promise<void> {
  const hold = setInterval(() => undefined, AWAKE_MS);
  try {
    await sleep(clock, delayMs);
  } finally {
    clearInterval(hold);
  }
}

const AWAKE_MS = 60_000;
