/** IP addresses and networks. IPv4 addresses that came in IPv6 clothes (`::ffff:192.0.2.1`) are IPv4. */

/** An address as 32-bit words: one for IPv4, four for IPv6. */
type Words = readonly number[];

/**
 * The plain spelling of an address: lower case, IPv4-mapped IPv6 as IPv4, without
 * a zone. Undefined for what is not an IP address.
 */
export function plainIp(text: string): string | undefined {
  if (!text.includes(':')) return parseIpv4(text) === undefined ? undefined : text;
  const zone = text.indexOf('%');
  const bare = zone < 0 ? text : text.slice(0, zone);
  const words = parseIp(bare);
  if (words === undefined) return undefined;
  if (words.length === 1) return [24, 16, 8, 0].map((shift) => (words[0]! >>> shift) & 0xff).join('.');
  return bare.toLowerCase();
}

/** A network: the first `bits` bits of its addresses are those of `words`. */
interface Network {
  readonly words: Words;
  readonly bits: number;
}

/** Networks in which addresses can be looked up. */
export class CidrSet {
  readonly #networks: readonly Network[];

  /** @throws {RangeError} on what {@link isCidr} refuses: configurations were checked before */
  constructor(cidrs: readonly string[]) {
    this.#networks = cidrs.map((cidr) => {
      const network = parseCidr(cidr);
      if (network === undefined) throw new RangeError(`Cannot read "${cidr}" as a network`);
      return network;
    });
  }

  /** Whether one of the networks holds this address; false for what is not an address. */
  has(ip: string): boolean {
    const words = parseIp(ip);
    return words !== undefined && this.#networks.some((network) => holds(network, words));
  }
}

/** Whether a text is a network (`10.0.0.0/8`, `2001:db8::/32`) or a single address. */
export function isCidr(text: string): boolean {
  return parseCidr(text) !== undefined;
}

function holds({ words, bits }: Network, address: Words): boolean {
  if (words.length !== address.length) return false;
  for (let i = 0; i * 32 < bits; i++) {
    const here = Math.min(32, bits - i * 32);
    // Shifting by 32 is shifting by 0 in JavaScript, so the mask of a whole word is made apart.
    const mask = here === 32 ? -1 : ~(-1 >>> here);
    if (((words[i]! ^ address[i]!) & mask) !== 0) return false;
  }
  return true;
}

function parseCidr(text: string): Network | undefined {
  const [ip, length, more] = text.split('/');
  const words = parseIp(ip!);
  if (words === undefined || more !== undefined) return undefined;
  const bitsMax = words.length * 32;
  if (length === undefined) return { words, bits: bitsMax };
  if (!/^(?:0|[1-9]\d{0,2})$/.test(length)) return undefined;
  // `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
  const bits = Number(length) - (words.length === 1 && ip!.includes(':') ? 96 : 0);
  return bits < 0 || bits > bitsMax ? undefined : { words, bits };
}

function parseIp(text: string): Words | undefined {
  if (!text.includes(':')) {
    const word = parseIpv4(text);
    return word === undefined ? undefined : [word];
  }
  const words = parseIpv6(text);
  if (words === undefined) return undefined;
  const mapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  return mapped ? [words[3]!] : words;
}

/** Four decimal numbers. No zeros in front: some read them as octal. */
function parseIpv4(text: string): number | undefined {
  if (text.length > 15) return undefined;
  let word = 0;
  let parts = 0;
  for (const part of text.split('.')) {
    if (++parts > 4 || !/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    word = (word << 8) | Number(part);
  }
  return parts === 4 ? word >>> 0 : undefined;
}

/** RFC 4291 section 2.2. */
function parseIpv6(text: string): Words | undefined {
  if (text.length > 45) return undefined;
  const [head, tail, more] = text.split('::');
  const left = groupsOf(head!);
  const right = tail === undefined ? [] : groupsOf(tail);
  if (left === undefined || right === undefined || more !== undefined) return undefined;
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  // Only the end of an address may be in IPv4 spelling.
  if (tail !== undefined && head!.includes('.')) return undefined;
  const groups = [...left, ...Array.from({ length: missing }, () => 0), ...right];
  return [0, 2, 4, 6].map((i) => ((groups[i]! << 16) | groups[i + 1]!) >>> 0);
}

/** Groups of 16 bits; the last one may be an IPv4 address, which is two. */
function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (i === parts.length - 1 && part.includes('.')) {
      const word = parseIpv4(part);
      if (word === undefined) return undefined;
      groups.push(word >>> 16, word & 0xffff);
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
