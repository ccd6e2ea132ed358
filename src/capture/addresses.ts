/**
 * Addresses that services have for captured applications only. They lead nowhere else, and a service keeps its own for as
 * long as the file is kept: applications remember what they looked up.
 */
import { createHash } from 'node:crypto';

/** IPv4 network, from its first to its last address. */
export interface Range {
  readonly cidr: string;
  readonly first: number;
  readonly size: number;
}

/** Of 256 to 16 million addresses. */
const BITS_MIN = 8;
const BITS_MAX = 24;

/** `127.240.0.0/16`. @returns undefined for what is no network of IPv4 of such a size */
export function readRange(cidr: string): Range | undefined {
  const [, a, b, c, d, bitsText] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr) ?? [];
  const bits = Number(bitsText);
  const bytes = [a, b, c, d].map(Number);
  if (!(bits >= BITS_MIN && bits <= BITS_MAX) || bytes.some((byte) => byte > 255)) return undefined;
  const size = 2 ** (32 - bits);
  const first = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  return first % size === 0 ? { cidr, first, size } : undefined;
}

export class Addresses {
  readonly #range: Range;
  /** Offsets by service. Oldest first. */
  readonly #offsets = new Map<string, number>();
  readonly #taken = new Set<number>();

  /** @param kept  from {@link kept}, of whatever range; what does not fit is left out */
  constructor(range: Range, kept: Readonly<Record<string, string>> = {}) {
    this.#range = range;
    for (const [service, address] of Object.entries(kept)) {
      const bytes = /^\d+\.\d+\.\d+\.\d+$/.test(address) ? address.split('.').map(Number) : [];
      const offset = bytes.reduce((sum, byte) => sum * 256 + byte, 0) - range.first;
      if (this.#isFree(offset)) this.#take(service, offset);
    }
  }

  /** The one that it has, or a new one: from its name, so that it is nearly always the same on every host. */
  of(service: string): string {
    let offset = this.#offsets.get(service);
    if (offset === undefined) {
      if (this.#offsets.size >= this.#range.size / 2) this.#forgetOldest();
      offset = createHash('sha256').update(service).digest().readUInt32BE(0) % this.#range.size;
      while (!this.#isFree(offset)) offset = (offset + 1) % this.#range.size;
      this.#take(service, offset);
    }
    const address = this.#range.first + offset;
    return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
  }

  get kept(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#offsets.keys()].map((service) => [service, this.of(service)]));
  }

  /** The first and the last are left out: of a network they are no hosts. */
  #isFree(offset: number): boolean {
    return Number.isInteger(offset) && offset > 0 && offset < this.#range.size - 1 && !this.#taken.has(offset);
  }

  #take(service: string, offset: number): void {
    this.#offsets.set(service, offset);
    this.#taken.add(offset);
  }

  #forgetOldest(): void {
    const [oldest] = this.#offsets;
    if (oldest === undefined) return;
    this.#offsets.delete(oldest[0]);
    this.#taken.delete(oldest[1]);
  }
}
