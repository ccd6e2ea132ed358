import { FIELD_OVERHEAD_BYTES } from './field.ts';
import type { NameState } from './encoder-names.ts';

/** A field that the peer's decoder holds. */
export interface Entry {
  readonly value: string;
  readonly size: number;
  readonly name: NameState;
  /** Number of its insertion. */
  readonly serial: number;
  /** Next entry of the same name, inserted before this one. */
  older: Entry | undefined;
  /** And the one inserted after it. */
  newer: Entry | undefined;
  /** Entry inserted next, whatever its name. */
  next: Entry | undefined;
}

/** Entries of one name that are looked at: more values than these of one name do not repeat. */
const VALUES_MAX = 8;

/** What the peer's decoder holds: a queue, oldest first, with a chain through the entries of each name. */
export class EncoderTable {
  #oldest: Entry | undefined;
  #newest: Entry | undefined;
  #inserted = 0;
  #bytes = 0;
  #bytesMax: number;
  /** Grows with each change: what was encoded under the same number means the same. */
  version = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  resize(bytesMax: number): void {
    this.version++;
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  /** @returns place in the table, 0 for the newest; -1 when it is not there */
  find(name: NameState, value: string): number {
    let entry = name.newest;
    for (let looked = 0; entry !== undefined && looked < VALUES_MAX; looked++) {
      if (entry.value === value) return this.#inserted - entry.serial;
      entry = entry.older;
    }
    return -1;
  }

  /** @returns place of some entry of this name, or -1 */
  findName(name: NameState): number {
    return name.newest === undefined ? -1 : this.#inserted - name.newest.serial;
  }

  /** The field must fit; `value` must be a string of its own. */
  insert(name: NameState, value: string): void {
    const size = name.text.length + value.length + FIELD_OVERHEAD_BYTES;
    this.version++;
    this.#evict(this.#bytesMax - size);
    const older = name.newest;
    const entry: Entry = { value, size, name, serial: ++this.#inserted, older, newer: undefined, next: undefined };
    if (older !== undefined) older.newer = entry;
    name.newest = entry;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.next = entry;
    this.#newest = entry;
    this.#bytes += size;
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#oldest !== undefined) {
      const entry: Entry = this.#oldest;
      this.#oldest = entry.next;
      if (entry.next === undefined) this.#newest = undefined;
      this.#bytes -= entry.size;
      // The oldest of all is the oldest of its name.
      if (entry.newer === undefined) entry.name.newest = undefined;
      else entry.newer.older = undefined;
    }
  }
}
