/** Frames for tests of this room and of those that carry WebSockets. */
import { randomBytes } from 'node:crypto';

export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  /** Default true. */
  readonly fin?: boolean | undefined;
  /** Bits of RSV1 to RSV3 as they stand in the first byte. */
  readonly reserved?: number;
  /** As clients do. */
  readonly masked?: boolean;
}

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** One frame in the shortest form of its length (RFC 6455 section 5.2). */
export function frameOf({ opcode, payload, fin = true, reserved = 0, masked = false }: Frame): Buffer {
  const first = (fin ? 0x80 : 0) | reserved | opcode;
  const bit = masked ? 0x80 : 0;
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([first, bit | length])
      : length < 65_536
        ? Buffer.from([first, bit | 126, length >> 8, length & 0xff])
        : Buffer.from([
            first,
            bit | 127,
            0,
            0,
            0,
            0,
            length >>> 24,
            (length >> 16) & 0xff,
            (length >> 8) & 0xff,
            length & 0xff,
          ]);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, unmask(payload, mask)]);
}

export function textFrame(text: string, masked: boolean): Buffer {
  return frameOf({ opcode: OPCODES.text, payload: Buffer.from(text), masked });
}

/** Takes whole frames out of bytes that come in pieces. */
export class FrameReader {
  #waiting: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): (Frame & { readonly masked: boolean })[] {
    this.#waiting = Buffer.concat([this.#waiting, bytes]);
    const frames: (Frame & { readonly masked: boolean })[] = [];
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): (Frame & { readonly masked: boolean }) | undefined {
    const bytes = this.#waiting;
    if (bytes.length < 2) return undefined;
    const masked = bytes[1]! >= 0x80;
    const short = bytes[1]! & 0x7f;
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
    const at = 2 + lengthBytes + (masked ? 4 : 0);
    if (bytes.length < at) return undefined;
    const length =
      lengthBytes === 0 ? short : Number(lengthBytes === 2 ? bytes.readUInt16BE(2) : bytes.readBigUInt64BE(2));
    if (bytes.length < at + length) return undefined;
    const raw = bytes.subarray(at, at + length);
    this.#waiting = Buffer.from(bytes.subarray(at + length));
    return {
      opcode: bytes[0]! & 0x0f,
      fin: bytes[0]! >= 0x80,
      reserved: bytes[0]! & 0x70,
      masked,
      payload: masked ? unmask(raw, bytes.subarray(at - 4, at)) : Buffer.from(raw),
    };
  }
}

function unmask(payload: Buffer, mask: Buffer): Buffer {
  return Buffer.from(payload.map((byte, i) => byte ^ mask[i & 3]!));
}
