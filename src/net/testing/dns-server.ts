/** A name server on a loopback port that says what a test wants it to (RFC 1035, the few parts that A and AAAA need). */
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

export type Reply = { readonly addresses: readonly string[]; readonly ttl: number } | 'no-name' | 'failure' | 'silence';

const TYPE_A = 1;
const TYPE_AAAA = 28;
const RCODES = { 'no-name': 3, failure: 2 } as const;

export class DnsServer {
  /** `a shop.test` or `aaaa shop.test`, in the order of arrival. */
  readonly queries: string[] = [];
  readonly #socket = dgram.createSocket('udp4');
  readonly #replies = new Map<string, Reply>();
  #waiting: (() => void)[] = [];

  async listen(): Promise<this> {
    this.#socket.on('message', (message, { address, port }) => {
      const reply = this.#answer(message);
      if (reply !== undefined) this.#socket.send(reply, port, address);
    });
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
    return this;
  }

  /** `ADDRESS:PORT`. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** What is said about a name from now on; about others: that there is no such name. @param kind  default: both */
  set(name: string, reply: Reply, kind: 'a' | 'aaaa' | 'both' = 'both'): void {
    for (const each of kind === 'both' ? ['a', 'aaaa'] : [kind]) this.#replies.set(`${each} ${name}`, reply);
  }

  /** Resolves when `count` queries have come in all. */
  async asked(count: number): Promise<void> {
    while (this.queries.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  [Symbol.dispose](): void {
    this.#socket.close();
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
    const query = `${type === TYPE_A ? 'a' : type === TYPE_AAAA ? 'aaaa' : type} ${labels.join('.').toLowerCase()}`;
    this.queries.push(query);
    for (const resolve of this.#waiting.splice(0)) resolve();

    const reply = this.#replies.get(query) ?? 'no-name';
    if (reply === 'silence') return undefined;
    if (typeof reply === 'string') return Buffer.concat([header(message, RCODES[reply], 0), question]);
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
