/**
 * HTTP/2 by hand: frames and header blocks exactly as a test says, valid or not. Knows nothing of the codec that it is
 * sent to, so that a mistake in that codec is not made here too.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { literal, statusOf } from './hpack-literals.ts';

export type Fields = readonly (readonly [name: string, value: string])[];

export const FRAME = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8 } as const;
export const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const HEADER_BYTES = 9;

/** RFC 9113 section 7. */
const ERRORS = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** How long an answer may take: longer than every time limit of the proxies that are tested. */
const PATIENCE_MS = 10_000;

export function frame(type: number, flags: number, streamId: number, payload: string | Uint8Array = ''): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, bytes]);
}

/** One HEADERS frame: each field a literal in no table. */
export function headers(streamId: number, fields: Fields, flags = 0): Buffer {
  const block = Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]));
  return frame(FRAME.HEADERS, flags | END_HEADERS, streamId, block);
}

export function data(streamId: number, text: string, flags = 0): Buffer {
  return frame(FRAME.DATA, flags, streamId, text);
}

/** SETTINGS with these pairs. */
export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(pairs.length * 6);
  pairs.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return frame(FRAME.SETTINGS, 0, 0, payload);
}

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** Cuts what arrives into frames. */
class Frames {
  #held = Buffer.alloc(0);

  take(bytes: Buffer): Frame[] {
    this.#held = Buffer.concat([this.#held, bytes]);
    const frames: Frame[] = [];
    for (;;) {
      const size = this.#held.length < HEADER_BYTES ? Infinity : this.#held.readUIntBE(0, 3);
      if (this.#held.length < HEADER_BYTES + size) return frames;
      const [type, flags] = [this.#held[3]!, this.#held[4]!];
      const payload = this.#held.subarray(HEADER_BYTES, HEADER_BYTES + size);
      frames.push({ type, flags, streamId: this.#held.readUInt32BE(5), payload });
      this.#held = this.#held.subarray(HEADER_BYTES + size);
    }
  }
}

/**
 * Sends these frames on a connection of its own, and says what became of stream 1.
 *
 * @returns its statuses, the code of a problem that it was told, and how it ended if not politely:
 *   `400 request.malformed RST_STREAM PROTOCOL_ERROR`, `GOAWAY COMPRESSION_ERROR`
 */
export function attemptH2(port: number, frames: readonly Uint8Array[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const told: string[] = [];
  const reader = new Frames();
  let text = '';
  const { promise, resolve } = Promise.withResolvers<string>();
  const finish = (last?: string): void => {
    const code = /"code":"([^"]+)"/.exec(text);
    if (code !== null) told.push(code[1]!);
    if (last !== undefined) told.push(last);
    resolve(told.join(' '));
    socket.destroy();
  };
  socket.setTimeout(PATIENCE_MS, () => finish('no end'));
  socket.on('error', () => undefined);
  socket.on('close', () => finish('closed'));
  socket.on('data', (bytes: Buffer) => {
    for (const { type, flags, streamId, payload } of reader.take(bytes)) {
      if (type === FRAME.SETTINGS && (flags & ACK) === 0) socket.write(frame(FRAME.SETTINGS, ACK, 0));
      if (type === FRAME.GOAWAY && payload.readUInt32BE(4) !== 0) finish(`GOAWAY ${ERRORS[payload.readUInt32BE(4)]}`);
      if (streamId !== 1) continue;
      if (type === FRAME.HEADERS) told.push(statusOf(payload) ?? 'trailers');
      if (type === FRAME.DATA) text += payload.toString('latin1');
      if (type === FRAME.RST_STREAM) return finish(`RST_STREAM ${ERRORS[payload.readUInt32BE(0)]}`);
      if (type <= FRAME.HEADERS && (flags & END_STREAM) !== 0) return finish();
    }
  });
  // HEADER_TABLE_SIZE 0: what comes back can be read without a table.
  socket.write(Buffer.concat([Buffer.from(PREFACE), settings([1, 0]), ...frames]));
  return promise;
}

/** A backend that answers each request with the frames that a test says. */
export class RawH2Upstream implements AsyncDisposable {
  /** What is sent for the request on this stream. */
  answer: (streamId: number) => Uint8Array = () => Buffer.alloc(0);
  port = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));

  static async start(): Promise<RawH2Upstream> {
    const upstream = new RawH2Upstream();
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve));
    upstream.port = (upstream.#server.address() as AddressInfo).port;
    return upstream;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    const reader = new Frames();
    let prefaceLeft = PREFACE.length;
    // ENABLE_CONNECT_PROTOCOL 1 (RFC 8441 section 3).
    socket.write(settings([8, 1]));
    socket.on('data', (bytes: Buffer) => {
      const skipped = Math.min(prefaceLeft, bytes.length);
      prefaceLeft -= skipped;
      for (const { type, flags, streamId, payload } of reader.take(bytes.subarray(skipped))) {
        if (type === FRAME.SETTINGS && (flags & ACK) === 0) socket.write(frame(FRAME.SETTINGS, ACK, 0));
        if (type === FRAME.PING && (flags & ACK) === 0) socket.write(frame(FRAME.PING, ACK, 0, payload));
        if (type === FRAME.HEADERS) socket.write(this.answer(streamId));
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
