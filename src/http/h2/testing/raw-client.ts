/** A client of HTTP/2 that sends whatever frames a test wants, and reads what comes back. */
import net from 'node:net';
import { FLAG, FRAME, FRAME_BYTES_MAX, type FrameHeader, FrameReader, h2ErrorName, PREFACE } from '../frame.ts';
import { HpackDecoder } from '../hpack/decoder.ts';
import { HpackEncoder } from '../hpack/encoder.ts';
import { block, type Fields, frame, settings } from './frames.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'x'],
  [':path', '/'],
];

export const POST: Fields = [[':method', 'POST'], ...GET.slice(1)];

const NAMES = Object.fromEntries(Object.entries(FRAME).map(([name, type]) => [type, name]));

export class RawClient implements AsyncDisposable {
  readonly frames: Frame[] = [];
  readonly socket: net.Socket;
  closed = false;
  readonly #decoder = new HpackDecoder();
  readonly #encoder = new HpackEncoder();
  #wake: (() => void)[] = [];

  private constructor(port: number) {
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const reader = new FrameReader(
      {
        onFrame: ({ type, flags, streamId }: FrameHeader, bytes, start, end) => {
          this.frames.push({ type, flags, streamId, payload: Buffer.from(bytes.subarray(start, end)) });
          return undefined;
        },
      },
      FRAME_BYTES_MAX,
    );
    this.socket.on('data', (bytes: Buffer) => {
      reader.take(bytes);
      this.#tell();
    });
    this.socket.on('error', () => this.#tell());
    this.socket.on('close', () => {
      this.closed = true;
      this.#tell();
    });
  }

  /** @param greeting  bytes instead of preface and empty SETTINGS */
  static async connect(port: number, greeting: Buffer = Buffer.concat([PREFACE, settings()])): Promise<RawClient> {
    const client = new RawClient(port);
    await new Promise((resolve) => client.socket.once('connect', resolve));
    client.send(greeting);
    return client;
  }

  send(...pieces: readonly Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(pieces));
  }

  /** HEADERS with these fields, whole. */
  headers(streamId: number, fields: Fields, flags: number = FLAG.END_STREAM): void {
    this.send(frame(FRAME.HEADERS, flags | FLAG.END_HEADERS, streamId, block(fields)));
  }

  /** The same through a table, as clients write it. */
  encoded(fields: Fields): Buffer {
    const into = Buffer.alloc(65_536);
    this.#encoder.begin(into, 0);
    for (const [name, value] of fields) this.#encoder.field(name, value);
    return into.subarray(0, this.#encoder.end());
  }

  data(streamId: number, bytes: Uint8Array, flags = 0): void {
    this.send(frame(FRAME.DATA, flags, streamId, bytes));
  }

  /** Resolves when `found` says so of what has come, or the connection is closed. */
  async until(found: () => boolean): Promise<void> {
    while (!found() && !this.closed) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  /** Waits for the end of the connection. */
  untilClosed(): Promise<void> {
    return this.until(() => false);
  }

  of(type: number, streamId?: number): Frame[] {
    return this.frames.filter((f) => f.type === type && (streamId === undefined || f.streamId === streamId));
  }

  /** Waits for the end of a stream. @returns status and body, or `RST_STREAM CODE`, or `closed` */
  async answer(streamId: number): Promise<string> {
    const ended = (): boolean =>
      this.frames.some(
        (f) =>
          f.streamId === streamId &&
          (f.type === FRAME.RST_STREAM || ((f.type === FRAME.DATA || f.type === FRAME.HEADERS) && (f.flags & 1) === 1)),
      );
    await this.until(ended);
    const head = this.of(FRAME.HEADERS, streamId)[0];
    const body = Buffer.concat(this.of(FRAME.DATA, streamId).map((f) => f.payload)).toString('latin1');
    const reset = this.of(FRAME.RST_STREAM, streamId)[0];
    const parts = [head === undefined ? '' : `${this.#statusOf(head)} ${body}`.trim()];
    if (reset !== undefined) parts.push(`RST_STREAM ${h2ErrorName(reset.payload.readUInt32BE(0))}`);
    else if (!ended()) parts.push('closed');
    return parts.filter((part) => part !== '').join(' ');
  }

  /** What the connection ended with: `GOAWAY CODE`, or `closed`. */
  async ending(): Promise<string> {
    await this.untilClosed();
    const last = this.of(FRAME.GOAWAY).at(-1);
    return last === undefined ? 'closed' : `GOAWAY ${h2ErrorName(last.payload.readUInt32BE(4))}`;
  }

  /** Asks for a PING back: what was sent before it was handled. */
  async settled(): Promise<boolean> {
    const before = this.of(FRAME.PING).length;
    this.send(frame(FRAME.PING, 0, 0, Buffer.alloc(8)));
    await this.until(() => this.of(FRAME.PING).length > before);
    return !this.closed;
  }

  /** Names of the frames that came, for messages. */
  names(): string[] {
    return this.frames.map((f) => NAMES[f.type] ?? String(f.type));
  }

  #statusOf({ payload }: Frame): number {
    return this.#decoder.decode(payload, 0, payload.length, { headerBytesMax: 65_536, headersMax: 100 }).status;
  }

  #tell(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.untilClosed();
  }
}
