/**
 * Streams of one connection by their id: open addressing, so that a look-up allocates nothing and a removed stream
 * leaves nothing behind. Grows with the number of open streams, which the connection bounds.
 */

interface Keyed {
  readonly id: number;
}

const SLOTS_MIN = 16;

export class StreamTable<S extends Keyed> {
  #slots: (S | undefined)[] = emptySlots(SLOTS_MIN);
  #mask = SLOTS_MIN - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): S | undefined {
    const slots = this.#slots;
    // Ids of one side are all odd or all even: their lowest bit tells nothing.
    for (let i = (id >> 1) & this.#mask; ; i = (i + 1) & this.#mask) {
      const stream = slots[i];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** @param stream  whose id is not in the table */
  add(stream: S): void {
    if (++this.#size * 2 > this.#slots.length) this.#grow();
    this.#put(stream);
  }

  delete(id: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = (id >> 1) & mask;
    for (; slots[hole]?.id !== id; hole = (hole + 1) & mask) if (slots[hole] === undefined) return;
    this.#size--;
    // Those behind move up unless that would put them before the slot where their search begins.
    for (let i = (hole + 1) & mask; slots[i] !== undefined; i = (i + 1) & mask) {
      const from = (slots[i]!.id >> 1) & mask;
      if (((i - from) & mask) < ((i - hole) & mask)) continue;
      slots[hole] = slots[i];
      hole = i;
    }
    slots[hole] = undefined;
  }

  /** All streams, for what concerns each of them; those that are added or removed meanwhile do not disturb. */
  all(): S[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  #put(stream: S): void {
    let i = (stream.id >> 1) & this.#mask;
    while (this.#slots[i] !== undefined) i = (i + 1) & this.#mask;
    this.#slots[i] = stream;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = emptySlots(old.length * 2);
    this.#mask = this.#slots.length - 1;
    for (const stream of old) if (stream !== undefined) this.#put(stream);
  }
}

function emptySlots<S>(count: number): (S | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
