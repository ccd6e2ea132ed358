import { flat } from './field.ts';

/** Heads that one encoder remembers: an upstream answers in few ways within the second that its `date` names. */
const SLOTS = 4;
/** Longest text that is remembered. With its code, 24 KB of a connection at most. */
const TEXT_CHARS_MAX = 4_096;

class Slot {
  lines = '';
  version = -1;
  block: Buffer | undefined;
}

/** From the lines of a head to the bytes that they became while the dynamic table was the same. */
export class LinesCache {
  readonly #slots: Slot[] = [];
  #next = 0;
  /** What was offered last: only what comes twice is worth its copy. */
  #offered = '';

  find(lines: string, version: number): Buffer | undefined {
    for (const slot of this.#slots) {
      if (slot.version === version && slot.lines === lines) return slot.block;
    }
    return undefined;
  }

  offer(lines: string, version: number, block: Buffer): void {
    if (lines.length > TEXT_CHARS_MAX) return;
    if (this.#offered !== lines) {
      this.#offered = lines;
      return;
    }
    const slot = (this.#slots[this.#next] ??= new Slot());
    this.#next = (this.#next + 1) % SLOTS;
    slot.lines = flat(lines);
    slot.version = version;
    slot.block = Buffer.from(block);
  }
}
