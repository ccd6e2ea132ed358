/**
 * IP addresses and networks. IPv4 addresses that came in IPv6 clothes
 * (`::ffff:192.0.2.1`) are IPv4. A look-up costs the reading of the address and a
 * binary search, so sets may be large: lists of countries, of known attackers.
 */
import { IpWords, readIp, readIpv4 } from './ip.ts';

/** A network: the first `bits` bits of its addresses are those of `words`. */
interface Network {
  /** One word for IPv4, four for IPv6; the bits behind the prefix are 0. */
  readonly words: readonly number[];
  readonly bits: number;
}

/**
 * The plain spelling of an address: lower case, IPv4-mapped IPv6 as IPv4, without
 * a zone. Undefined for what is not an IP address.
 */
export function plainIp(text: string): string | undefined {
  if (!text.includes(':')) return readIpv4(text) < 0 ? undefined : text;
  const zone = text.indexOf('%');
  const bare = zone < 0 ? text : text.slice(0, zone);
  const words = new IpWords();
  if (!readIp(bare, words)) return undefined;
  if (words.count === 1) return [24, 16, 8, 0].map((shift) => (words.of[0]! >>> shift) & 0xff).join('.');
  return bare.toLowerCase();
}

/**
 * Who an address belongs to, as a text: an IPv4 address itself; of IPv6 the network of the first `bits6` bits, because
 * one customer has a whole network of addresses. What is not an address stays as it is.
 */
export function networkOf(ip: string, bits6: number): string {
  if (!ip.includes(':')) return ip;
  if (!readIp(ip, NETWORK_WORDS)) return ip;
  if (NETWORK_WORDS.count === 1) return plainIp(ip)!;
  let text = '';
  for (let i = 0; i < 4; i++) {
    const bits = Math.max(0, Math.min(32, bits6 - i * 32));
    // Shifting by 32 is shifting by 0 in JavaScript.
    const word = bits === 0 ? 0 : (NETWORK_WORDS.of[i]! & (-1 << (32 - bits))) >>> 0;
    text += `${word.toString(16)}:`;
  }
  return `${text}/${bits6}`;
}

const NETWORK_WORDS = new IpWords();

/** Whether a text is a network (`10.0.0.0/8`, `2001:db8::/32`) or a single address. */
export function isCidr(text: string): boolean {
  return parseCidr(text) !== undefined;
}

/** Networks in which addresses can be looked up. 8 bytes for a network of IPv4, 17 for one of IPv6. */
export class CidrSet {
  /** First and last addresses of disjoint networks, in order. */
  readonly #firsts: Uint32Array;
  readonly #lasts: Uint32Array;
  /** The same for IPv6: four words of the first address, and how many bits count. */
  readonly #wide: Uint32Array;
  readonly #wideBits: Uint8Array;
  readonly #asked = new IpWords();

  /** @throws {RangeError} on what {@link isCidr} refuses: configurations were checked before */
  constructor(cidrs: Iterable<string>) {
    const narrow: number[] = [];
    const wide: Network[] = [];
    for (const cidr of cidrs) {
      const network = parseCidr(cidr);
      if (network === undefined) throw new RangeError(`Cannot read "${cidr}" as a network`);
      if (network.words.length === 4) wide.push(network);
      else narrow.push(network.words[0]! * BITS_ROOM + network.bits);
    }
    const ranges = rangesOf(Float64Array.from(narrow).sort());
    this.#firsts = Uint32Array.from(ranges.firsts);
    this.#lasts = Uint32Array.from(ranges.lasts);
    const kept = withoutNested(wide);
    this.#wide = Uint32Array.from(kept.flatMap(({ words }) => words));
    this.#wideBits = Uint8Array.from(kept, ({ bits }) => bits);
  }

  /** Networks that are looked at: those inside of others are not. */
  get size(): number {
    return this.#firsts.length + this.#wideBits.length;
  }

  /** Whether one of the networks holds this address; false for what is not an address. */
  has(ip: string): boolean {
    return this.holds(ip) === true;
  }

  /** Whether one of the networks holds this address; undefined for what is not an address. */
  holds(ip: string): boolean | undefined {
    const asked = this.#asked;
    if (!readIp(ip, asked)) return undefined;
    return asked.count === 1 ? this.#hasNarrow(asked.of[0]!) : this.#hasWide(asked.of);
  }

  #hasNarrow(word: number): boolean {
    const firsts = this.#firsts;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (firsts[middle]! <= word) low = middle + 1;
      else high = middle;
    }
    return low > 0 && word <= this.#lasts[low - 1]!;
  }

  #hasWide(words: Uint32Array): boolean {
    const wide = this.#wide;
    let low = 0;
    let high = this.#wideBits.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isAtMost(wide, middle * 4, words)) low = middle + 1;
      else high = middle;
    }
    return low > 0 && holds(wide, (low - 1) * 4, { words, bits: this.#wideBits[low - 1]! });
  }
}

function parseCidr(text: string): Network | undefined {
  const slash = text.indexOf('/');
  const ip = slash < 0 ? text : text.slice(0, slash);
  const read = new IpWords();
  if (!readIp(ip, read)) return undefined;
  const bitsMax = read.count * 32;
  const bits = slash < 0 ? bitsMax : prefixOf(text, slash + 1) - (read.count === 1 && ip.includes(':') ? 96 : 0);
  // `::ffff:10.0.0.0/104` is `10.0.0.0/8`. NaN is no number of bits.
  if (!(bits >= 0 && bits <= bitsMax)) return undefined;
  const words: number[] = [];
  for (let i = 0; i < read.count; i++) words.push((read.of[i]! & maskOf(bits - i * 32)) >>> 0);
  return { words, bits };
}

/** The decimal number from `start` to the end; NaN for what is none, or starts with a zero in vain. */
function prefixOf(text: string, start: number): number {
  let bits = 0;
  for (let at = start; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9) || (at > start && bits === 0) || at > start + 2) return Number.NaN;
    bits = bits * 10 + digit;
  }
  return start === text.length ? Number.NaN : bits;
}

/** The first `bits` of 32 bits. Shifting by 32 is shifting by 0 in JavaScript. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : ~(-1 >>> bits);
}

/** A network of IPv4 as one number, which sorts a hundred times faster than objects: its word, then its bits. */
const BITS_ROOM = 64;

/** First and last addresses of sorted networks of IPv4. Two networks are disjoint, or one lies inside the other. */
function rangesOf(sorted: Float64Array): { firsts: number[]; lasts: number[] } {
  const firsts: number[] = [];
  const lasts: number[] = [];
  let end = -1;
  for (const network of sorted) {
    const first = Math.floor(network / BITS_ROOM);
    if (first <= end) continue;
    end = (first | ~maskOf(network % BITS_ROOM)) >>> 0;
    firsts.push(first);
    lasts.push(end);
  }
  return { firsts, lasts };
}

/** In order of their first addresses. Two networks are disjoint, or one lies inside the other. */
function withoutNested(networks: readonly Network[]): Network[] {
  const kept: Network[] = [];
  for (const network of networks.toSorted(byFirst)) {
    const last = kept.at(-1);
    if (last === undefined || !holds(last.words, 0, { words: network.words, bits: last.bits })) kept.push(network);
  }
  return kept;
}

/** The larger network first, where both begin alike. */
function byFirst(a: Network, b: Network): number {
  for (let i = 0; i < a.words.length; i++) {
    const order = a.words[i]! - b.words[i]!;
    if (order !== 0) return order;
  }
  return a.bits - b.bits;
}

interface Prefix {
  readonly words: ArrayLike<number>;
  readonly bits: number;
}

/** Whether the words from `at` begin with the same bits. */
function holds(all: ArrayLike<number>, at: number, { words, bits }: Prefix): boolean {
  for (let i = 0; i * 32 < bits; i++) {
    if (((all[at + i]! ^ words[i]!) & maskOf(bits - i * 32)) !== 0) return false;
  }
  return true;
}

function isAtMost(all: Uint32Array, at: number, words: Uint32Array): boolean {
  for (let i = 0; i < 4; i++) {
    if (all[at + i] !== words[i]) return all[at + i]! < words[i]!;
  }
  return true;
}
