/**
 * Asks name servers for the SRV records of a name: Node's own resolver gives them without their TTL. One server after the
 * other, over UDP, and over TCP where the answer does not fit.
 *
 * @see RFC 2782, RFC 1035 sections 4 and 7
 */
import dgram from 'node:dgram';
import net from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';

/** One record: of those with the lowest priority each gets its share by weight, and others when none of them serves. */
export interface SrvRecord {
  /** Host name, lower case, without the dot at its end. */
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

export interface SrvAnswer {
  /** Sorted, so that equal answers compare equal. Empty: the name says that there is no such service. */
  readonly records: readonly SrvRecord[];
  readonly ttlMs: number;
}

export interface SrvQuestion {
  readonly name: string;
  /** `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`. */
  readonly servers: readonly string[];
  /** For an answer of one server, over one transport. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

const TYPE_SRV = 33;
const CLASS_IN = 1;
const RCODE_NO_NAME = 3;
const DNS_PORT = 53;

/** Records of one answer that are used. */
const RECORDS_MAX = 256;

/** What a compressed name may point back to: more is a loop (RFC 1035 section 4.1.4). */
const POINTERS_MAX = 64;

/** Why there is no answer, with a `code` as c-ares has them. */
class SrvFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** @throws {Error} with a `code`: `ENOTFOUND`, `ENODATA`, `ESERVFAIL`, `EBADRESP` or `ETIMEOUT` */
export async function querySrv(question: SrvQuestion): Promise<SrvAnswer> {
  let failure = new SrvFailure('ESERVFAIL', 'There is no name server');
  for (const server of question.servers) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- the next server is asked when this one does not answer
      return await askServer(server, question);
    } catch (error) {
      if (!(error instanceof SrvFailure)) throw error;
      failure = error;
      // That there is no such name is an answer.
      if (error.code === 'ENOTFOUND' || error.code === 'ENODATA') break;
    }
  }
  throw failure;
}

async function askServer(server: string, question: SrvQuestion): Promise<SrvAnswer> {
  const id = question.random.bits32() & 0xffff;
  const query = writeQuery(id, question.name);
  const at = readServer(server);
  const short = await overUdp(query, at, question);
  const message = isTruncated(short) ? await overTcp(query, at, question) : short;
  return readAnswer(message, query, question.name);
}

interface ServerAt {
  readonly host: string;
  readonly port: number;
}

function readServer(text: string): ServerAt {
  if (net.isIP(text) !== 0) return { host: text, port: DNS_PORT };
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) };
}

function writeQuery(id: number, name: string): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x0100, 2); // recursion is desired
  head.writeUInt16BE(1, 4);
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.flatMap((label) => [
    Buffer.from([label.length & 63]),
    Buffer.from(label.slice(0, 63), 'latin1'),
  ]);
  const tail = Buffer.from([0, 0, TYPE_SRV, 0, CLASS_IN]);
  return Buffer.concat([head, ...parts, tail]);
}

function overUdp(query: Buffer, { host, port }: ServerAt, question: SrvQuestion): Promise<Buffer> {
  const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4');
  return inTime(
    question,
    () => socket.close(),
    ({ resolve, reject }) => {
      socket.on('error', reject);
      // Connected: the kernel drops what others send. What has another number is no answer to this question.
      socket.on('message', (message) => isAnswerTo(message, query) && resolve(message));
      socket.connect(port, host, () => socket.send(query));
    },
  );
}

function overTcp(query: Buffer, { host, port }: ServerAt, question: SrvQuestion): Promise<Buffer> {
  const socket = net.connect({ host, port });
  return inTime(
    question,
    () => socket.destroy(),
    ({ resolve, reject }) => {
      let bytes: Buffer = Buffer.alloc(0);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length, 0);
      socket.on('error', reject);
      socket.on('close', () => reject(new SrvFailure('EBADRESP', 'The name server closed the connection')));
      socket.on('data', (piece: Buffer) => {
        bytes = Buffer.concat([bytes, piece]);
        if (bytes.length < 2) return;
        const message = bytes.subarray(2, 2 + bytes.readUInt16BE(0));
        if (message.length < bytes.readUInt16BE(0)) return;
        if (isAnswerTo(message, query)) resolve(message);
        else reject(new SrvFailure('EBADRESP', 'The name server answered another question'));
      });
      socket.once('connect', () => socket.write(Buffer.concat([length, query])));
    },
  );
}

interface Settle {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
}

async function inTime(
  { clock, timeoutMs }: SrvQuestion,
  close: () => void,
  start: (settle: Settle) => void,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const cancel = clock.after(timeoutMs, () =>
    reject(new SrvFailure('ETIMEOUT', `No answer of the name server in ${timeoutMs} ms`)),
  );
  try {
    start({
      resolve,
      reject: (error) =>
        reject(error instanceof SrvFailure ? error : new SrvFailure(codeOf(error), `Name server: ${error.message}`)),
    });
    return await promise;
  } finally {
    cancel();
    close();
  }
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? 'ESERVFAIL';
}

function isAnswerTo(message: Buffer, query: Buffer): boolean {
  return message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0) && (message[2]! & 0x80) !== 0;
}

function isTruncated(message: Buffer): boolean {
  return (message[2]! & 0x02) !== 0;
}

function readAnswer(message: Buffer, query: Buffer, asked: string): SrvAnswer {
  const code = message[3]! & 0x0f;
  if (code === RCODE_NO_NAME) throw new SrvFailure('ENOTFOUND', `There is no name "${asked}"`);
  if (code !== 0) throw new SrvFailure('ESERVFAIL', `The name server answers with code ${code}`);
  try {
    return readRecords(message, query, asked);
  } catch (error) {
    if (error instanceof RangeError) throw new SrvFailure('EBADRESP', `Answer for "${asked}": ${error.message}`);
    throw error;
  }
}

function readRecords(message: Buffer, query: Buffer, asked: string): SrvAnswer {
  // The question comes back as it was; servers change the case of its letters at most.
  const question = message.subarray(12, query.length);
  if (question.toString('latin1').toLowerCase() !== query.subarray(12).toString('latin1').toLowerCase())
    throw new RangeError('another question is answered');
  let at = query.length;
  let seconds = Infinity;
  const records: SrvRecord[] = [];
  let isNone = false;
  for (let i = message.readUInt16BE(6); i > 0; i--) {
    const body = readName(message, at).end + 10;
    const type = message.readUInt16BE(body - 10);
    const length = message.readUInt16BE(body - 2);
    // Names on the way (CNAME) bound how long the answer is good for, too.
    seconds = Math.min(seconds, message.readUInt32BE(body - 6));
    if (type === TYPE_SRV && records.length < RECORDS_MAX) {
      const { name } = readName(message, body + 6);
      // "." as target: the service is decidedly not available at this domain (RFC 2782).
      if (name === '') isNone = true;
      else records.push(srvRecord(message, body, name));
    }
    at = body + length;
  }
  if (records.length === 0 && !isNone) throw new SrvFailure('ENODATA', `"${asked}" has no SRV records`);
  return { records: records.toSorted(bySrvOrder), ttlMs: seconds * 1_000 };
}

function srvRecord(message: Buffer, body: number, name: string): SrvRecord {
  return {
    name: name.toLowerCase(),
    priority: message.readUInt16BE(body),
    weight: message.readUInt16BE(body + 2),
    port: message.readUInt16BE(body + 4),
  };
}

function bySrvOrder(a: SrvRecord, b: SrvRecord): number {
  return (
    a.priority - b.priority ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) ||
    a.port - b.port ||
    a.weight - b.weight
  );
}

/** @throws {RangeError} on what is no name */
function readName(message: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let end: number | undefined;
  let at = start;
  let pointers = 0;
  for (;;) {
    const length = message.readUInt8(at);
    if ((length & 0xc0) === 0xc0) {
      if (++pointers > POINTERS_MAX) throw new RangeError('a name points to itself');
      end ??= at + 2;
      at = message.readUInt16BE(at) & 0x3fff;
      continue;
    }
    if (length > 63) throw new RangeError('a label of an unknown kind');
    at++;
    if (length === 0) return { name: labels.join('.'), end: end ?? at };
    labels.push(message.toString('latin1', at, at + length));
    at += length;
  }
}
