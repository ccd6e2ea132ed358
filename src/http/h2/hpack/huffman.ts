/**
 * The Huffman code of HPACK (RFC 7541 section 5.2, appendix B). It is canonical: among codes of one length the symbols
 * stand in order, so the lengths say everything. Both tables are made of them.
 */

const EOS = 256;

/** Bits of the code of each symbol, 0 to 255 and EOS. */
const LENGTHS = Uint8Array.from(
  [
    [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
    [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
    [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
    [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
    [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
    [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
    [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
    [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
    [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
    [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
    [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
    [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
    [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
    [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
    [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
    [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
    [30],
  ].flat(),
);

const CODES = canonicalCodes();

function canonicalCodes(): Uint32Array {
  const codes = new Uint32Array(LENGTHS.length);
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) if (LENGTHS[symbol] === length) codes[symbol] = code++;
    code *= 2;
  }
  return codes;
}

/** Bytes that the text takes as Huffman code. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += LENGTHS[text.charCodeAt(i) & 0xff]!;
  return (bits + 7) >>> 3;
}

/** Writes the text, one byte for each character, at `at`. @returns the offset behind it */
export function huffmanEncode(text: string, into: Uint8Array, at: number): number {
  let held = 0; // bits that wait, fewer than 8
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    let length = LENGTHS[symbol]!;
    let code = CODES[symbol]!;
    if (length > 16) {
      // What waits and a long code do not fit into 32 bits: its upper part goes first.
      length -= 16;
      held = (held << length) | (code >>> 16);
      for (bits += length; bits >= 8;) into[at++] = held >>> (bits -= 8);
      held &= (1 << bits) - 1;
      code &= 0xffff;
      length = 16;
    }
    held = (held << length) | code;
    for (bits += length; bits >= 8;) into[at++] = held >>> (bits -= 8);
    held &= (1 << bits) - 1;
  }
  if (bits > 0) into[at++] = (held << (8 - bits)) | (0xff >>> bits);
  return at;
}

/**
 * A machine that eats four bits a step: no code is shorter, so a step gives one symbol at most. A step holds the next
 * state in its upper bits, then GIVES with the symbol. States are the inner nodes of the code's tree; in the first
 * eight (depth 0 to 7, all ones behind each other) a string may end: what is left is its padding.
 */
const GIVES = 0x100;
const STATE_SHIFT = 9;
/** Next state of a step that meets EOS, which must not stand inside a string. */
const BROKEN = 0xfff;
const PADDING_BITS_MAX = 7;
/** Made with the first string that is decoded: many processes never meet one. */
let steps: Uint32Array | undefined;

function makeSteps(): Uint32Array {
  const tree = makeTree();
  // The paths of padding come first, so that "may end here" is one comparison.
  const order: number[] = [];
  for (let node = 0; order.length <= PADDING_BITS_MAX; node = tree[node]![1]!) order.push(node);
  for (let node = 0; node < tree.length; node++) if (!order.includes(node)) order.push(node);
  const stateOf = new Map(order.map((node, state) => [node, state]));

  const made = new Uint32Array(order.length * 16);
  for (const [state, start] of order.entries()) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = start;
      let gives = 0;
      for (let bit = 3; bit >= 0 && node >= 0; bit--) {
        const next = tree[node]![(nibble >> bit) & 1]!;
        if (next >= 0) node = next;
        else if (~next === EOS) node = -1;
        else {
          gives = GIVES | ~next;
          node = 0;
        }
      }
      made[state * 16 + nibble] = ((node < 0 ? BROKEN : stateOf.get(node)!) << STATE_SHIFT) | gives;
    }
  }
  return made;
}

/** Inner nodes, root first; a child is the number of a node, or the complement of a symbol. */
function makeTree(): [number, number][] {
  const tree: [number, number][] = [[0, 0]];
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0;
    for (let bit = LENGTHS[symbol]! - 1; bit > 0; bit--) {
      const side = (CODES[symbol]! >>> bit) & 1;
      if (tree[node]![side] === 0) tree[node]![side] = tree.push([0, 0]) - 1;
      node = tree[node]![side]!;
    }
    tree[node]![CODES[symbol]! & 1] = ~symbol;
  }
  return tree;
}

/**
 * Decodes the bytes from `from` to `to`. What does not fit into `into` is counted and not written.
 *
 * @returns number of decoded bytes, or -1 when the code is broken: EOS inside, padding that is too long or not of ones
 */
export function huffmanDecode(bytes: Uint8Array, from: number, to: number, into: Uint8Array): number {
  const machine = (steps ??= makeSteps());
  const room = into.length;
  let state = 0;
  let length = 0;
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    let step = machine[(state << 4) | (byte >>> 4)]!;
    if ((step & GIVES) !== 0) {
      if (length < room) into[length] = step;
      length++;
    }
    state = step >>> STATE_SHIFT;
    if (state === BROKEN) return -1;
    step = machine[(state << 4) | (byte & 15)]!;
    if ((step & GIVES) !== 0) {
      if (length < room) into[length] = step;
      length++;
    }
    state = step >>> STATE_SHIFT;
    if (state === BROKEN) return -1;
  }
  return state <= PADDING_BITS_MAX ? length : -1;
}
