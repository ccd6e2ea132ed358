/** gRPC-Web (grpc/doc/PROTOCOL-WEB.md): trailers travel as the last frame of the body, and bytes perhaps as base64. */
import { Fault } from '../../base/fault.ts';
import type { Headers } from '../headers.ts';

const TRAILER_FLAG = 0x80;

/** The frame that stands for trailers: flag, length, and field lines as HTTP/1.1 writes them. */
export function trailerFrame(trailers: Headers): Buffer {
  let lines = '';
  trailers.forEach((name, value) => {
    lines += `${name.toLowerCase()}: ${value}\r\n`;
  });
  const text = Buffer.from(lines, 'latin1');
  const frame = Buffer.allocUnsafe(5 + text.length);
  frame[0] = TRAILER_FLAG;
  frame.writeUInt32BE(text.length, 1);
  text.copy(frame, 5);
  return frame;
}

/** A piece of an answer in text form. Padding may stand wherever a piece ends. */
export function encodeText(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('base64'), 'latin1');
}

const QUANTUM = 4;
const WHOLE = /^[A-Za-z0-9+/]*$/;
const PADDED = /^(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;

/** Decodes base64 that comes in pieces; padding may stand at the end of any quantum, for clients encode piece by piece. */
export class TextDecoder64 {
  /** At most three characters. */
  #rest = '';

  decode(bytes: Buffer): Buffer | Fault {
    const text = this.#rest + bytes.toString('latin1');
    const end = text.length - (text.length % QUANTUM);
    this.#rest = text.slice(end);
    const parts: Buffer[] = [];
    let from = 0;
    while (from < end) {
      const padding = text.indexOf('=', from);
      const to = padding < 0 || padding >= end ? end : padding - (padding % QUANTUM);
      if (to > from) {
        const whole = text.slice(from, to);
        if (!WHOLE.test(whole)) return notBase64();
        parts.push(Buffer.from(whole, 'base64'));
      }
      if (to < end) {
        const padded = text.slice(to, to + QUANTUM);
        if (!PADDED.test(padded)) return notBase64();
        parts.push(Buffer.from(padded, 'base64'));
      }
      from = to < end ? to + QUANTUM : end;
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** Whether the text may end here. */
  get complete(): boolean {
    return this.#rest === '';
  }
}

export function notBase64(): Fault {
  return new Fault('request.malformed', 'The body of a gRPC-Web text request is not base64');
}
