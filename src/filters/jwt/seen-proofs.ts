/**
 * Proofs that were used, for as long as they would be accepted (RFC 9449 section
 * 11.1). Two generations: the older one is thrown away whole, so nothing is
 * swept. Full is full: forgetting one early would let it be used again.
 */
export class SeenProofs {
  readonly #keepMs: number;
  #young = new Set<string>();
  #old = new Set<string>();
  #turnMs = -Infinity;

  /** @param keepMs  each is remembered for that long at least, for twice as long at most */
  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  /** Whether it is new; it is not any more after that. At most `entriesMax` are remembered. */
  take(proof: string, nowMs: number, entriesMax: number): 'new' | 'seen' | 'full' {
    this.#turn(nowMs);
    if (this.#young.has(proof) || this.#old.has(proof)) return 'seen';
    if (this.#young.size + this.#old.size >= entriesMax) return 'full';
    this.#young.add(proof);
    return 'new';
  }

  #turn(nowMs: number): void {
    const passedMs = nowMs - this.#turnMs;
    if (passedMs < this.#keepMs) return;
    this.#old = passedMs < 2 * this.#keepMs ? this.#young : new Set();
    this.#young = new Set();
    this.#turnMs = nowMs;
  }
}
