import type { Clock } from '../clock.ts';

interface Alarm {
  atMs: number;
  /** Of two for the same time the one that was set first goes first. */
  order: number;
  readonly periodMs: number | undefined;
  readonly action: () => void;
  isSet: boolean;
}

/**
 * A clock that tests move by hand. Starts at 0 ms; the wall clock runs with it from `epochMs`. Alarms stand in a heap:
 * simulations have tens of thousands.
 */
export class ManualClock implements Clock {
  readonly #heap: Alarm[] = [];
  readonly #epochMs: number;
  #nowMs = 0;
  #set = 0;
  #orders = 0;

  constructor(epochMs = Date.UTC(2026, 0, 1)) {
    this.#epochMs = epochMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#epochMs + Math.floor(this.#nowMs);
  }

  after(delayMs: number, action: () => void): () => void {
    return this.#add(this.#nowMs + delayMs, undefined, action);
  }

  every(periodMs: number, action: () => void): () => void {
    return this.#add(this.#nowMs + periodMs, periodMs, action);
  }

  /** Number of alarms that are set. */
  get pending(): number {
    return this.#set;
  }

  /** When the next alarm falls due; undefined when none is set. */
  get nextMs(): number | undefined {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.isSet) return first.atMs;
      this.#takeFirst();
    }
    return undefined;
  }

  /** Moves time on, running what falls due in order and at its own time. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (let atMs = this.nextMs; atMs !== undefined && atMs <= endMs; atMs = this.nextMs) {
      this.#nowMs = Math.max(this.#nowMs, atMs);
      this.#run(this.#takeFirst());
    }
    this.#nowMs = endMs;
  }

  /** Moves time on in one step, as a blocked event loop does; what fell due runs once, late. */
  jump(byMs: number): void {
    this.#nowMs += byMs;
    const due: Alarm[] = [];
    for (let atMs = this.nextMs; atMs !== undefined && atMs <= this.#nowMs; atMs = this.nextMs) {
      due.push(this.#takeFirst());
    }
    for (const alarm of due) if (alarm.isSet) this.#run(alarm);
  }

  #add(atMs: number, periodMs: number | undefined, action: () => void): () => void {
    const alarm: Alarm = { atMs, order: this.#orders++, periodMs, action, isSet: true };
    this.#put(alarm);
    this.#set++;
    return () => {
      if (alarm.isSet) this.#set--;
      alarm.isSet = false;
    };
  }

  /** It is not in the heap. */
  #run(alarm: Alarm): void {
    if (alarm.periodMs === undefined) {
      alarm.isSet = false;
      this.#set--;
    } else {
      alarm.atMs = this.#nowMs + alarm.periodMs;
      alarm.order = this.#orders++;
      this.#put(alarm);
    }
    alarm.action();
  }

  #put(alarm: Alarm): void {
    const heap = this.#heap;
    let at = heap.push(alarm) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (isBefore(heap[above]!, alarm)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = alarm;
  }

  /** Takes the first out of the heap, which is not empty. */
  #takeFirst(): Alarm {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      if (isBefore(last, heap[below]!)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Alarm, b: Alarm): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
