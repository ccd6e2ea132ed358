/** Small damage to messages, from a seed: the same seed damages the same way. */
import { type Random, seededRandom } from '../../src/base/random.ts';

/** Pieces that parsers were ever found to stumble over. */
const HTTP_PIECES = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\r\n ',
  '\n\n',
  ' ',
  '\t',
  '\0',
  '\x0b',
  '\x7f',
  '\xff',
  ':',
  ' :',
  ',',
  ';',
  '"',
  '+',
  '-',
  '0x',
  '0',
  '1',
  'f',
  'ffffffffffffffff',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  '1;x\r\ny\r\n',
  'chunked',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Connection: upgrade\r\nUpgrade: x\r\n',
  'Host: b.test\r\n',
  'Expect: 100-continue\r\n',
  'GET / HTTP/1.1\r\n',
  'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.0',
  'HTTP/1.1',
  '100',
  '101',
  '204',
  '304',
].map((piece) => Buffer.from(piece, 'latin1'));

const YAML_PIECES = [
  '\n',
  '  ',
  '- ',
  ': ',
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  '|\n',
  '&a ',
  '*a',
  '!!binary ',
  '---\n',
  '#',
  '~',
  'null',
  'true',
  '0',
  '-1',
  '1e999',
  '65536',
  '__proto__: 1\n',
  'constructor',
  'spec:',
  'kind: HTTPRoute\n',
  'kind: Gateway\n',
  'metadata: {name: x}\n',
  'rules: [{}]',
  'value: "("',
  '\0',
  '\xff\xfe',
  '*.',
  '..',
].map((piece) => Buffer.from(piece, 'latin1'));

export class Mutator {
  readonly #random: Random;
  readonly #pieces: readonly Buffer[];

  constructor(seed: number, pieces: 'http' | 'yaml') {
    this.#random = seededRandom(seed | 1, seed ^ 0x9e3779b9, 0x243f6a88, seed >>> 3);
    this.#pieces = pieces === 'http' ? HTTP_PIECES : YAML_PIECES;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** 0 to `end - 1`. */
  below(end: number): number {
    return this.#random.bits32() % Math.max(1, end);
  }

  /** One to four changes to one of `seeds`, now and then spliced with another one. */
  next(seeds: readonly Buffer[]): Buffer {
    let bytes = this.pick(seeds);
    for (let changes = 1 + this.below(4); changes > 0; changes--) bytes = this.#change(bytes, seeds);
    return bytes;
  }

  #change(bytes: Buffer, seeds: readonly Buffer[]): Buffer {
    const at = this.below(bytes.length + 1);
    const head = bytes.subarray(0, at);
    const length = this.below(8);
    switch (this.below(7)) {
      case 0: // flip a bit
        return changed(bytes, at, (byte) => byte ^ (1 << this.below(8)));
      case 1: // any byte
        return changed(bytes, at, () => this.below(256));
      case 2: // take some bytes away
        return Buffer.concat([head, bytes.subarray(at + length)]);
      case 3: // say some bytes twice
        return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
      case 4: // the tail of another message
        return Buffer.concat([head, this.pick(seeds).subarray(this.below(64))]);
      default: // a piece with a meaning
        return Buffer.concat([head, this.pick(this.#pieces), bytes.subarray(this.below(2) === 0 ? at : at + length)]);
    }
  }
}

function changed(bytes: Buffer, at: number, to: (byte: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  if (at < copy.length) copy[at] = to(copy[at]!) & 0xff;
  return copy;
}
