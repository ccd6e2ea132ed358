/** A server that sends whatever frames a test wants, valid or not, and tells what it was sent. */
import { once } from 'node:events';
import net from 'node:net';
import { FLAG, FRAME, FrameReader, H2_ERROR, PREFACE } from '../frame.ts';
import { HpackDecoder } from '../hpack/decoder.ts';
import { HpackEncoder } from '../hpack/encoder.ts';
import { type Fields, frame, type Setting, settings, words } from './frames.ts';

export interface Came {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
  /** Of HEADERS: pseudo-headers and lines, each `name: value`. */
  readonly fields: readonly string[];
}

/** One connection, as the server sees it. */
export class RawConn {
  readonly socket: net.Socket;
  readonly came: Came[] = [];
  closed = false;
  readonly #decoder = new HpackDecoder();
  readonly #encoder = new HpackEncoder();
  readonly #waiters: (() => void)[] = [];
  #prefaceLeft = PREFACE.length;

  constructor(socket: net.Socket) {
    this.socket = socket;
    const reader = new FrameReader({
      onFrame: ({ type, flags, streamId }, bytes, start, end) => {
        const payload = Buffer.from(bytes.subarray(start, end));
        const fields = type === FRAME.HEADERS ? this.#fieldsOf(payload) : [];
        this.came.push({ type, flags, id: streamId, payload, fields });
        return undefined;
      },
    });
    socket.on('data', (bytes: Buffer) => {
      const skipped = Math.min(this.#prefaceLeft, bytes.length);
      this.#prefaceLeft -= skipped;
      if (skipped < bytes.length) reader.take(bytes.subarray(skipped));
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  send(...frames: readonly Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  settings(...pairs: readonly Setting[]): void {
    this.send(settings(...pairs), frame(FRAME.SETTINGS, FLAG.ACK, 0));
  }

  headers(id: number, fields: Fields, flags = 0): void {
    const room = Buffer.alloc(65_536);
    this.#encoder.begin(room, 0);
    for (const [name, value] of fields) this.#encoder.field(name, value);
    this.send(frame(FRAME.HEADERS, FLAG.END_HEADERS | flags, id, room.subarray(0, this.#encoder.end())));
  }

  data(id: number, text: string | Uint8Array, flags = 0): void {
    this.send(frame(FRAME.DATA, flags, id, typeof text === 'string' ? Buffer.from(text, 'latin1') : text));
  }

  reset(id: number, code: keyof typeof H2_ERROR): void {
    this.send(frame(FRAME.RST_STREAM, 0, id, words(H2_ERROR[code])));
  }

  goAway(lastId: number, code: keyof typeof H2_ERROR = 'NO_ERROR'): void {
    this.send(frame(FRAME.GOAWAY, 0, 0, words(lastId, H2_ERROR[code])));
  }

  /** The first frame, from the beginning or that comes later, that is like this. */
  async next(like: (came: Came) => boolean): Promise<Came> {
    for (;;) {
      const found = this.came.find(like);
      if (found !== undefined) return found;
      if (this.closed) throw new Error(`Cannot find the frame: ${JSON.stringify(this.came)}`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** A request, the stream of which has this id. */
  request(id: number): Promise<Came> {
    return this.next((came) => came.type === FRAME.HEADERS && came.id === id);
  }

  /** The name of the error in the GOAWAY or RST_STREAM that came, with words. */
  async last(type: typeof FRAME.GOAWAY | typeof FRAME.RST_STREAM): Promise<string> {
    const { payload } = await this.next((came) => came.type === type);
    const code = payload.readUInt32BE(type === FRAME.GOAWAY ? 4 : 0);
    const name = Object.keys(H2_ERROR)[code]!;
    return type === FRAME.GOAWAY ? `${name} ${payload.toString('latin1', 8)}`.trimEnd() : name;
  }

  #fieldsOf(payload: Buffer): string[] {
    const list = this.#decoder.decode(payload, 0, payload.length, { headerBytesMax: 1e6, headersMax: 1e3 });
    const { method, scheme, authority, path, protocol, text } = list;
    return [method, scheme, authority ?? '', path, protocol ?? '', ...text.split('\r\n').slice(0, -1)];
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

export class RawServer implements AsyncDisposable {
  readonly server: net.Server;
  readonly conns: RawConn[] = [];
  port = 0;
  readonly #waiters: (() => void)[] = [];

  private constructor() {
    this.server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.conns.push(new RawConn(socket));
      for (const wake of this.#waiters.splice(0)) wake();
    });
  }

  static async start(): Promise<RawServer> {
    const server = new RawServer();
    server.server.listen(0, '127.0.0.1');
    await once(server.server, 'listening');
    server.port = (server.server.address() as net.AddressInfo).port;
    return server;
  }

  /** Connection number `i`, from 0, once it is there. */
  async conn(i: number): Promise<RawConn> {
    while (this.conns[i] === undefined) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    return this.conns[i];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.conns) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
