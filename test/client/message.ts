/**
 * Strict reading of HTTP/1.1 messages for tests: what is not exactly as RFC 9112
 * wants it is an error, so that a proxy that writes something odd is found out.
 */
import { type Wire, WireError } from './wire.ts';

export type Field = readonly [name: string, value: string];

export interface Fields {
  readonly headers: readonly Field[];
  /** The only value of this name; an error when there are several. */
  header(lowerName: string): string | undefined;
  all(lowerName: string): string[];
}

export interface RawResponse extends Fields {
  readonly version: 'HTTP/1.0' | 'HTTP/1.1';
  readonly status: number;
  readonly reason: string;
  /** The head as it stood on the wire, with its blank line. */
  readonly head: string;
  readonly body: Buffer;
  readonly trailers: readonly Field[];
  /** How the end of the body was told. */
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
  /** Interim (1xx) responses that came before. */
  readonly interim: readonly RawResponseHead[];
  /** The server says that it closes after this answer. */
  readonly closes: boolean;
}

export interface RawRequest extends Fields {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly head: string;
  readonly body: Buffer;
  readonly trailers: readonly Field[];
}

export interface RawResponseHead extends Fields {
  readonly version: 'HTTP/1.0' | 'HTTP/1.1';
  readonly status: number;
  readonly reason: string;
  readonly head: string;
}

export interface RawRequestHead extends Fields {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly head: string;
}

const STATUS_LINE = /^(HTTP\/1\.[01]) ([1-9]\d\d) ([\t\x20-\x7e\x80-\xff]*)$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~\w]+) ([\x21-\x7e\x80-\xff]+) (HTTP\/1\.[01])$/;
const FIELD_LINE =
  /^([!#$%&'*+\-.^_`|~\w]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$/;
const CHUNK_LINE = /^([0-9a-fA-F]{1,13})(;[\t\x20-\x7e]*)?$/;

/** The next response head, interim ones included. Undefined when the connection ended before it. */
export async function readResponseHead(wire: Wire): Promise<RawResponseHead | undefined> {
  const head = await wire.readThrough('\r\n\r\n', 'a response head');
  if (head === undefined) return undefined;
  const [line, ...rest] = head.slice(0, -4).split('\r\n');
  const parts = STATUS_LINE.exec(line!);
  if (parts === null) throw new WireError(`Bad status line ${JSON.stringify(line)}`);
  return {
    version: parts[1] as 'HTTP/1.0' | 'HTTP/1.1',
    status: Number(parts[2]),
    reason: parts[3]!,
    head,
    ...fieldsOf(parseFields(rest)),
  };
}

/** One whole answer to a request of this method. */
export async function readResponse(wire: Wire, method: string): Promise<RawResponse> {
  const interim: RawResponseHead[] = [];
  for (;;) {
    const head = await readResponseHead(wire);
    if (head === undefined) throw new WireError(`No answer: the peer ${wire.state} the connection`);
    if (head.status >= 100 && head.status < 200 && head.status !== 101) {
      refuseFraming(head);
      interim.push(head);
      continue;
    }
    return { ...head, interim, ...(await readResponseBody(wire, method, head)), closes: closes(head) };
  }
}

async function readResponseBody(
  wire: Wire,
  method: string,
  head: RawResponseHead,
): Promise<Pick<RawResponse, 'body' | 'trailers' | 'framing'>> {
  const { status } = head;
  const nothing = { body: Buffer.alloc(0), trailers: [], framing: 'none' } as const;
  if (status === 101 || status === 204) {
    refuseFraming(head);
    return nothing;
  }
  const length = lengthOf(head);
  const coding = head.header('transfer-encoding');
  if (coding !== undefined && length !== undefined) throw new WireError('An answer with both lengths');
  if (method === 'HEAD' || status === 304 || (method === 'CONNECT' && status < 300)) return nothing;
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new WireError(`Unknown transfer coding "${coding}"`);
    if (head.version === 'HTTP/1.0') throw new WireError('A chunked answer of version 1.0');
    return { ...(await readChunked(wire)), framing: 'chunked' };
  }
  if (length !== undefined) return { ...nothing, body: await wire.readExactly(length, 'a body'), framing: 'length' };
  return { ...nothing, body: await wire.readToEnd('a body until close'), framing: 'close' };
}

/** The next request head. Undefined when the connection ended before it. */
export async function readRequestHead(wire: Wire): Promise<RawRequestHead | undefined> {
  const head = await wire.readThrough('\r\n\r\n', 'a request head');
  if (head === undefined) return undefined;
  const [line, ...rest] = head.slice(0, -4).split('\r\n');
  const parts = REQUEST_LINE.exec(line!);
  if (parts === null) throw new WireError(`Bad request line ${JSON.stringify(line)}`);
  return { method: parts[1]!, target: parts[2]!, version: parts[3]!, head, ...fieldsOf(parseFields(rest)) };
}

/** The body that belongs to a request head. */
export async function readRequestBody(
  wire: Wire,
  head: RawRequestHead,
): Promise<{ body: Buffer; trailers: readonly Field[] }> {
  const length = lengthOf(head);
  const coding = head.header('transfer-encoding');
  if (coding !== undefined && length !== undefined) throw new WireError('A request with both lengths');
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new WireError(`Unknown transfer coding "${coding}"`);
    return readChunked(wire);
  }
  return { body: length === undefined ? Buffer.alloc(0) : await wire.readExactly(length, 'a body'), trailers: [] };
}

export async function readRequest(wire: Wire): Promise<RawRequest | undefined> {
  const head = await readRequestHead(wire);
  return head === undefined ? undefined : { ...head, ...(await readRequestBody(wire, head)) };
}

async function readChunked(wire: Wire): Promise<{ body: Buffer; trailers: readonly Field[] }> {
  const pieces: Buffer[] = [];
  for (;;) {
    const line = (await readLine(wire, 'a chunk size')).slice(0, -2);
    const parts = CHUNK_LINE.exec(line);
    if (parts === null) throw new WireError(`Bad chunk size line ${JSON.stringify(line)}`);
    const size = Number.parseInt(parts[1]!, 16);
    if (size === 0) break;
    pieces.push(await wire.readExactly(size, 'a chunk'));
    const end = (await wire.readExactly(2, 'the end of a chunk')).toString('latin1');
    if (end !== '\r\n') throw new WireError(`Bad end of a chunk ${JSON.stringify(end)}`);
  }
  const lines: string[] = [];
  for (;;) {
    const line = (await readLine(wire, 'trailers')).slice(0, -2);
    if (line === '') return { body: Buffer.concat(pieces), trailers: parseFields(lines) };
    lines.push(line);
  }
}

async function readLine(wire: Wire, what: string): Promise<string> {
  const line = await wire.readThrough('\r\n', what);
  if (line === undefined) throw new WireError(`Cannot read ${what}: the peer ${wire.state} the connection`);
  return line;
}

function parseFields(lines: readonly string[]): Field[] {
  return lines.map((line) => {
    const parts = FIELD_LINE.exec(line);
    if (parts === null) throw new WireError(`Bad field line ${JSON.stringify(line)}`);
    return [parts[1]!, parts[2]!];
  });
}

function fieldsOf(headers: readonly Field[]): Fields {
  const all = (lowerName: string): string[] =>
    headers.filter(([name]) => name.toLowerCase() === lowerName).map(([, value]) => value);
  return {
    headers,
    all,
    header(lowerName) {
      const values = all(lowerName);
      if (values.length > 1) throw new WireError(`Header "${lowerName}" stands there ${values.length} times`);
      return values[0];
    },
  };
}

function lengthOf(head: Fields): number | undefined {
  const text = head.header('content-length');
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new WireError(`Bad Content-Length "${text}"`);
  return Number(text);
}

/** RFC 9112 section 6.1, RFC 9110 section 8.6: neither length may stand in a 1xx or 204. */
function refuseFraming(head: RawResponseHead): void {
  for (const name of ['content-length', 'transfer-encoding']) {
    if (head.header(name) !== undefined) throw new WireError(`A ${head.status} with "${name}"`);
  }
}

function closes(head: RawResponseHead): boolean {
  const tokens = head
    .all('connection')
    .join(',')
    .toLowerCase()
    .split(',')
    .map((token) => token.trim());
  return tokens.includes('close') || (head.version === 'HTTP/1.0' && !tokens.includes('keep-alive'));
}
