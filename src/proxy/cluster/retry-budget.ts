/**
 * Bounds second attempts to a share of the requests of the last ten seconds, so
 * that a struggling upstream is not buried under retries. Ten a second are always
 * allowed: a quiet service must get every retry that its route promises, and ten a
 * second bury nobody.
 */
const HALF_WINDOW_MS = 5_000;
const ALWAYS_ALLOWED = 100;

export class RetryBudget {
  readonly #share: number;
  #requests = 0;
  #retries = 0;
  #requestsBefore = 0;
  #retriesBefore = 0;
  #turnMs = 0;

  /** @param share  retries per request, 0 to 1 */
  constructor(share: number) {
    this.#share = share;
  }

  noteRequest(nowMs: number): void {
    if (nowMs >= this.#turnMs) this.#turn(nowMs);
    this.#requests++;
  }

  /** Whether one more retry is allowed; if so it is counted. */
  take(nowMs: number): boolean {
    if (nowMs >= this.#turnMs) this.#turn(nowMs);
    const retries = this.#retries + this.#retriesBefore;
    if (retries >= ALWAYS_ALLOWED + this.#share * (this.#requests + this.#requestsBefore)) return false;
    this.#retries++;
    return true;
  }

  #turn(nowMs: number): void {
    const stale = nowMs >= this.#turnMs + HALF_WINDOW_MS;
    this.#requestsBefore = stale ? 0 : this.#requests;
    this.#retriesBefore = stale ? 0 : this.#retries;
    this.#requests = 0;
    this.#retries = 0;
    this.#turnMs = nowMs + HALF_WINDOW_MS;
  }
}
