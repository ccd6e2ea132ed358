/** A name server on a loopback port that says what a test wants it to (RFC 1035, the few parts that A, AAAA and SRV need). */
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

export type Reply =
  | { readonly addresses: readonly string[]; readonly ttl: number }
  /** `PRIORITY WEIGHT PORT TARGET` each. */
  | { readonly services: readonly string[]; readonly ttl: number }
  | 'no-name'
  | 'failure'
  | 'silence';

const TYPE_A = 1;
const TYPE_AAAA = 28;
const TYPE_SRV = 33;

/** What one datagram may hold without extensions. */
const DATAGRAM_BYTES_MAX = 512;

const NAMES: Readonly<Record<number, string>> = { [TYPE_A]: 'a', [TYPE_AAAA]: 'aaaa', [TYPE_SRV]: 'srv' };
const RCODES = { 'no-name': 3, failure: 2 } as const;

export class DnsServer {
  /** `a shop.test`, `aaaa shop.test` or `srv _http._tcp.shop.test`, in the order of arrival. */
  readonly queries: string[] = [];
  readonly #socket = dgram.createSocket('udp4');
  /** For answers that do not fit; under the same number. */
  readonly #tcp = net.createServer((socket) => this.#serve(socket));
  readonly #replies = new Map<string, Reply>();
  #waiting: (() => void)[] = [];

  async listen(): Promise<this> {
    this.#socket.on('message', (message, { address, port }) => {
      const reply = this.#answer(message);
      if (reply !== undefined) this.#socket.send(short(reply, message), port, address);
    });
    this.#tcp.listen(0, '127.0.0.1');
    await once(this.#tcp, 'listening');
    this.#socket.bind((this.#tcp.address() as net.AddressInfo).port, '127.0.0.1');
    await once(this.#socket, 'listening');
    return this;
  }

  /** `ADDRESS:PORT`. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** What is said about a name from now on; about others: that there is no such name. @param kind  default: both */
  set(name: string, reply: Reply, kind: 'a' | 'aaaa' | 'srv' | 'both' = 'both'): void {
    for (const each of kind === 'both' ? ['a', 'aaaa'] : [kind]) this.#replies.set(`${each} ${name}`, reply);
  }

  /** Resolves when `count` queries have come in all. */
  async asked(count: number): Promise<void> {
    while (this.queries.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    this.#tcp.close();
  }

  #serve(socket: net.Socket): void {
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      const reply = this.#answer(bytes.subarray(2));
      if (reply === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length, 0);
      socket.write(Buffer.concat([length, reply]));
    });
  }

  #answer(message: Buffer): Buffer | undefined {
    const labels: string[] = [];
    let at = 12;
    while (message[at] !== 0) {
      labels.push(message.toString('latin1', at + 1, at + 1 + message[at]!));
      at += message[at]! + 1;
    }
    const type = message.readUInt16BE(at + 1);
    const question = message.subarray(12, at + 5);
    const query = `${NAMES[type] ?? type} ${labels.join('.').toLowerCase()}`;
    this.queries.push(query);
    for (const resolve of this.#waiting.splice(0)) resolve();

    const reply = this.#replies.get(query) ?? 'no-name';
    if (reply === 'silence') return undefined;
    if (typeof reply === 'string') return Buffer.concat([header(message, RCODES[reply], 0), question]);
    if ('services' in reply) {
      const records = reply.services.map((service) => record(TYPE_SRV, reply.ttl, serviceBytes(service)));
      return Buffer.concat([header(message, 0, records.length), question, ...records]);
    }
    const family = type === TYPE_A ? 4 : 6;
    const records = reply.addresses
      .filter((address) => net.isIP(address) === family)
      .map((address) => record(type, reply.ttl, addressBytes(address)));
    return Buffer.concat([header(message, 0, records.length), question, ...records]);
  }
}

function header(query: Buffer, rcode: number, answers: number): Buffer {
  const bytes = Buffer.alloc(12);
  query.copy(bytes, 0, 0, 2);
  bytes.writeUInt16BE(0x8180 | rcode, 2); // answer, recursion asked for and available
  bytes.writeUInt16BE(1, 4);
  bytes.writeUInt16BE(answers, 6);
  return bytes;
}

function record(type: number, ttl: number, body: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0); // the name of the question
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(body.length, 10);
  return Buffer.concat([head, body]);
}

function addressBytes(address: string): Buffer {
  if (net.isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [left = '', right = ''] = address.split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => parseInt(group, 16)));
  const before = groups(left);
  const after = groups(right);
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]));
}

function serviceBytes(text: string): Buffer {
  const [priority, weight, port, target = ''] = text.split(' ');
  const numbers = Buffer.alloc(6);
  [priority, weight, port].forEach((number, i) => numbers.writeUInt16BE(Number(number), i * 2));
  const labels = target.split('.').filter((label) => label !== '');
  const name = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]);
  return Buffer.concat([numbers, ...name, Buffer.alloc(1)]);
}

/** Cut off after the question, and said to be, when it does not fit. */
function short(reply: Buffer, query: Buffer): Buffer {
  if (reply.length <= DATAGRAM_BYTES_MAX) return reply;
  const cut = Buffer.from(reply.subarray(0, query.length));
  cut[2]! |= 0x02;
  cut.writeUInt16BE(0, 6);
  return cut;
}
