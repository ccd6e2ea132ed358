import type { Field } from './field.ts';

/** The table that a decoder keeps in step with its peer's encoder (RFC 7541 sections 2.3.2 and 4): a ring, newest first. */
export class DynamicTable {
  #ring: (Field | undefined)[] = Array<undefined>(16).fill(undefined);
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #bytesMax: number;
  /** Grows with each change: what was decoded under the same number means the same. */
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

  get count(): number {
    return this.#count;
  }

  /** @param index  0 for the newest */
  at(index: number): Field | undefined {
    return index < this.#count ? this.#ring[(this.#newest + index) & (this.#ring.length - 1)] : undefined;
  }

  /** `size` bytes come: evicts what they push out. @returns false when they do not fit at all (RFC 7541 section 4.4) */
  makeRoom(size: number): boolean {
    this.version++;
    this.#evict(this.#bytesMax - size);
    return size <= this.#bytesMax;
  }

  /** Room must have been made. */
  insert(field: Field): void {
    if (this.#count === this.#ring.length) this.#grow();
    this.#newest = (this.#newest - 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#bytes += field.size;
  }

  resize(bytesMax: number): void {
    this.version++;
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  #evict(bytesMax: number): void {
    const mask = this.#ring.length - 1;
    while (this.#bytes > bytesMax && this.#count > 0) {
      const at = (this.#newest + --this.#count) & mask;
      this.#bytes -= this.#ring[at]!.size;
      this.#ring[at] = undefined;
    }
  }

  /** Bounded by the bytes of the table: no field counts less than its overhead. */
  #grow(): void {
    const fields = Array.from({ length: this.#count }, (_, i) => this.at(i));
    const { length } = this.#ring;
    this.#ring = [...fields, ...Array<undefined>(length).fill(undefined)];
    this.#newest = 0;
  }
}
