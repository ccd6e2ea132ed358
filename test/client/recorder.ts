/**
 * Backends that write down which requests they read, one form for both wires: what a proxy makes of a request must be
 * the same request on either.
 *
 *     POST /path authority
 *     name: value
 *
 *     body
 *     + name: value          (a trailer)
 *
 * Neither reads with code of the product: HTTP/1.1 is read by message.ts, which is strict, HTTP/2 by Node.
 */
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type Field, readRequestBody, readRequestHead } from './message.ts';
import { ok, startOrigin } from './origin.ts';
import type { WireName } from './pairing.ts';

export interface Recorder extends AsyncDisposable {
  readonly port: number;
  /** The requests that have come since the last call. `cut` ends one whose body did not. */
  take(): string[];
}

/** What the proxy adds. `X-Forwarded-*` must be there once, as a block, and so must the others. */
const OWN = new Map([
  ['x-forwarded-for', /^127\.0\.0\.1$/],
  ['x-forwarded-proto', /^http$/],
  ['x-forwarded-host', /^[^,\s]+$/],
  ['x-forwarded-port', /^80$/],
  ['traceparent', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/],
  ['x-request-id', /^[0-9a-f]{32}$/],
]);

/** 16 random bytes. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/**
 * Framing belongs to a wire; that it fits is seen from the body and from what follows it. Whether the body is still to be
 * waited for depends on whether there was a connection already.
 */
const FRAMING = new Set(['host', 'content-length', 'transfer-encoding', 'expect']);

interface Told {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: readonly Field[];
}

function headOf({ method, target, authority, headers }: Told): string {
  const lines = [`${method} ${target} ${authority}`];
  const own = new Set<string>();
  for (const [name, value] of headers) {
    const lowerName = name.toLowerCase();
    if (FRAMING.has(lowerName)) continue;
    if (OWN.get(lowerName)?.test(value) === true && !own.has(lowerName)) own.add(lowerName);
    else if (lowerName === 'sec-websocket-key' && KEY.test(value)) lines.push(`${lowerName}: (fresh)`);
    else lines.push(`${lowerName}: ${value}`);
  }
  return lines.join('\n');
}

function requestOf(head: string, body: string, trailers: readonly Field[]): string {
  const rest = trailers.map(([name, value]) => `+ ${name.toLowerCase()}: ${value}`);
  if (body !== '') rest.unshift(body);
  return rest.length === 0 ? head : `${head}\n\n${rest.join('\n')}`;
}

/** A backend of this wire. */
export function record(wire: WireName): Promise<Recorder> {
  return wire === 'h1' ? recordH1() : recordH2();
}

/** A backend of HTTP/1.1. Bytes that are no request are written down as `garbage`. */
async function recordH1(): Promise<Recorder> {
  let seen: string[] = [];
  const origin = await startOrigin(async (connection) => {
    connection.patienceMs = 120_000;
    try {
      for (;;) {
        const head = await readRequestHead(connection);
        if (head === undefined) break;
        const text = headOf({ ...head, authority: head.header('host') ?? '-' });
        const read = await readRequestBody(connection, head).catch(() => undefined);
        if (read === undefined) {
          seen.push(`${text}\ncut`);
          break;
        }
        seen.push(requestOf(text, read.body.toString('latin1'), read.trailers));
        connection.send(head.method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' : ok(''));
      }
    } catch (error) {
      seen.push(`garbage: ${String(error)}`);
    }
    connection.destroy();
  });
  return {
    port: origin.port,
    take: () => seen.splice(0),
    [Symbol.asyncDispose]: async () => origin.close(),
  };
}

/** A backend of HTTP/2 that takes extended CONNECT, and ends what it is given at once. */
async function recordH2(): Promise<Recorder> {
  const seen: string[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream: http2.ServerHttp2Stream, _headers, _flags, raw: string[]) => {
    const text = headOfH2(raw);
    let body = '';
    let trailers: Field[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (bytes: Buffer) => (body += bytes.toString('latin1')));
    stream.on('trailers', (_trailers, _flags2, rawTrailers: string[]) => (trailers = pairsOf(rawTrailers)));
    stream.on('aborted', () => seen.push(`${text}\ncut`));
    stream.on('end', () => {
      if (stream.aborted) return;
      seen.push(requestOf(text, body, trailers));
      if (!stream.destroyed) stream.respond({ ':status': 200 }, { endStream: true });
    });
    if (text.startsWith('CONNECT ')) {
      seen.push(text);
      stream.removeAllListeners('end').removeAllListeners('aborted');
      stream.respond({ ':status': 200 }, { endStream: true });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    take: () => seen.splice(0),
    [Symbol.asyncDispose]: async () => {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function headOfH2(raw: readonly string[]): string {
  const fields = pairsOf(raw);
  const pseudo = (name: string): string => fields.find(([n]) => n === name)?.[1] ?? '-';
  const headers = fields.filter(([name]) => !name.startsWith(':') || name === ':protocol');
  return headOf({ method: pseudo(':method'), target: pseudo(':path'), authority: pseudo(':authority'), headers });
}

export function pairsOf(raw: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i < raw.length; i += 2) fields.push([raw[i]!, raw[i + 1]!]);
  return fields;
}
