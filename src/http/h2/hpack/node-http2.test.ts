/**
 * Against the HPACK of `node:http2` (nghttp2), both ways over one connection: what our encoder wrote, Node's server read;
 * it answers with the same fields, which our decoder reads. Just enough framing for that stands here.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { seededRandom } from '../../../base/random.ts';
import { Headers } from '../../headers.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import type { FieldList } from './field-list.ts';
import { below, LIMITS, type Pair, pairsOf, randomPairs } from './testing/lists.ts';

const HEADERS = 1;
const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
const ACK = 1;
const END_STREAM_AND_HEADERS = 5;
const HEADER_TABLE_SIZE = 1;
const FRAME_BYTES_MAX = 16_384;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function tableSize(bytes: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(HEADER_TABLE_SIZE);
  payload.writeUInt32BE(bytes, 2);
  return payload;
}

/** A client of one connection that knows header blocks and nothing else. */
class Client {
  readonly encoder = new HpackEncoder();
  readonly decoder = new HpackDecoder();
  readonly #socket: net.Socket;
  readonly #tableBytes: number;
  #received = Buffer.alloc(0);
  #stream = -1;
  #answered: ((list: FieldList) => void) | undefined;

  constructor(port: number, tableBytes: number) {
    this.#tableBytes = tableBytes;
    this.#socket = net.connect(port, '127.0.0.1');
    this.#socket.on('data', (bytes: Buffer) => this.#read(bytes));
    this.#socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    this.#socket.write(frame(SETTINGS, 0, 0, tableSize(tableBytes)));
  }

  async ask(pairs: Pair[]): Promise<FieldList> {
    const { encoder } = this;
    const block = Buffer.alloc(FRAME_BYTES_MAX * 4);
    encoder.begin(block, 0);
    for (const [name, value] of [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', `/${this.#stream}`],
      [':authority', 'a.test'],
    ] as const) {
      encoder.field(name, value);
    }
    encoder.headers(Headers.of(pairs));
    this.#stream += 2;
    this.#socket.write(frame(HEADERS, END_STREAM_AND_HEADERS, this.#stream, block.subarray(0, encoder.end())));
    return new Promise((resolve) => {
      this.#answered = resolve;
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#received.length >= 9) {
      const end = 9 + this.#received.readUIntBE(0, 3);
      if (this.#received.length < end) return;
      const [type, flags] = [this.#received[3]!, this.#received[4]!];
      this.#take(type, flags, this.#received.subarray(9, end));
      this.#received = this.#received.subarray(end);
    }
  }

  #take(type: number, flags: number, payload: Buffer): void {
    if (type === SETTINGS && (flags & ACK) !== 0) this.decoder.resize(this.#tableBytes);
    else if (type === SETTINGS) {
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === HEADER_TABLE_SIZE) this.encoder.resize(payload.readUInt32BE(at + 2));
      }
      this.#socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    } else if (type === HEADERS) {
      assert.equal(flags & 4, 4, 'END_HEADERS');
      this.#answered?.(this.decoder.decode(payload, 0, payload.length, LIMITS));
    } else assert.ok(type === PING || type === WINDOW_UPDATE || type === 0, `frame ${type}`);
  }
}

/** Node refuses a second field of these names, so every name stands once. */
function eachNameOnce(pairs: Pair[]): Pair[] {
  return [...new Map(pairs)].filter(([, value]) => value.length < 1_000);
}

const SIZES: [name: string, theirs: number, ours: number][] = [
  ['tables as they begin', 4_096, 4_096],
  ['their table is small', 200, 4_096],
  ['they have no table', 0, 4_096],
  ['their table is large', 65_536, 4_096],
  ['our table is small', 4_096, 200],
  ['we have no table', 4_096, 0],
];

for (const [name, theirs, ours] of SIZES) {
  test(`node:http2 reads our blocks and we read its: ${name}`, async () => {
    const server = http2.createServer({ settings: { headerTableSize: theirs } });
    let read: Pair[] = [];
    server.on('stream', (stream: http2.ServerHttp2Stream, _headers, _flags, raw) => {
      const list = raw as unknown as string[];
      read = [];
      for (let i = 0; i < list.length; i += 2) read.push([list[i]!, list[i + 1]!]);
      const fields = read.filter(([field]) => !field.startsWith(':'));
      stream.respond({ ':status': 200, ...Object.fromEntries(fields) }, { endStream: true, sendDate: false } as never);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = new Client((server.address() as net.AddressInfo).port, ours);
    const random = seededRandom(11, theirs, ours, 3);
    const known: Pair[] = [];
    for (let i = 0; i < 300; i++) {
      const pairs = eachNameOnce(randomPairs(random, known));
      const list = await client.ask(pairs);
      const regular = read.filter(([field]) => !field.startsWith(':'));
      assert.deepEqual(regular, pairs, `list ${i}, as the server read it`);
      assert.equal(list.outcome, 'ok', list.detail);
      assert.equal(list.status, 200);
      const answered = pairsOf(list).filter(([field]) => field !== 'date' || pairs.some(([asked]) => asked === 'date'));
      assert.deepEqual(answered.map(String).toSorted(), pairs.map(String).toSorted(), `list ${i}, as we read it`);
      if (below(random, 50) === 0) await client.ask([]);
    }
    client.close();
    server.close();
  });
}
