import type { FieldList } from './field-list.ts';

/** Blocks that one decoder remembers. A client sends few different ones again and again; 50 KB with their lists at most. */
const SLOTS = 8;
/** Longest block that is remembered: with an indexed field in each byte it is longer than any request. */
const BLOCK_BYTES_MAX = 256;
/** Longest text of a list that is remembered: that of a browser with some cookies. */
const TEXT_CHARS_MAX = 2_048;

class Slot {
  hash = -1;
  version = -1;
  block: Buffer | undefined;
  list: FieldList | undefined;
}

/**
 * From the bytes of a block to the list that they gave while the dynamic table was the same. A block is remembered when
 * it comes the second time, so that one with a path of its own costs no copy.
 */
export class BlockCache {
  #slots: Slot[] | undefined;
  /** Slot and hash of the block that was asked for last. */
  #slot: Slot | undefined;
  #hash = 0;

  find(block: Buffer, range: { start: number; end: number }, version: number): FieldList | undefined {
    const { start, end } = range;
    if (end - start > BLOCK_BYTES_MAX || end === start) {
      this.#slot = undefined;
      return undefined;
    }
    let hash = 0x811c9dc5;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ block[i]!, 0x01000193);
    this.#hash = hash;
    this.#slots ??= Array.from({ length: SLOTS }, () => new Slot());
    const slot = this.#slots[(hash ^ (hash >>> 15)) & (SLOTS - 1)]!;
    this.#slot = slot;
    if (slot.hash !== hash || slot.version !== version || slot.list === undefined) return undefined;
    return isAt(slot.block!, block, start, end) ? slot.list : undefined;
  }

  /** The block that was asked for last gave this list and left the table as it was. */
  offer(block: Buffer, range: { start: number; end: number }, version: number, list: FieldList): void {
    const slot = this.#slot;
    if (slot === undefined) return;
    if (slot.hash !== this.#hash || slot.version !== version) {
      slot.hash = this.#hash;
      slot.version = version;
      slot.block = undefined;
      slot.list = undefined;
    } else if (list.text.length <= TEXT_CHARS_MAX) {
      slot.block = Buffer.from(block.subarray(range.start, range.end));
      slot.list = list.copy();
    }
  }
}

function isAt(kept: Buffer, block: Buffer, start: number, end: number): boolean {
  if (kept.length !== end - start) return false;
  for (let i = 0; i < kept.length; i++) if (kept[i] !== block[start + i]) return false;
  return true;
}
