/** A client that sends exact bytes and reads answers strictly. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { readResponse, readResponseHead, type RawResponse, type RawResponseHead } from './message.ts';
import { type Cut, Wire } from './wire.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** Present: TLS, with these options. */
  readonly tls?: ConnectionOptions;
  readonly localAddress?: string;
  /** Longest wait of one read. */
  readonly patienceMs?: number;
}

export class RawClient extends Wire {
  /** @throws {Error} as `node:net` and `node:tls` do when the connection or the handshake fails */
  static async open(target: Target): Promise<RawClient> {
    return new RawClient(await openSocket(target), target.patienceMs);
  }

  /** Reads the next whole answer. `method` decides about the body (RFC 9112 section 6.3). */
  async response(method: string = 'GET'): Promise<RawResponse> {
    return readResponse(this, method);
  }

  /** Reads one head, interim or final, and nothing of its body. */
  async responseHead(): Promise<RawResponseHead | undefined> {
    return readResponseHead(this);
  }

  /** Sends one request and reads its answer. The method is read from the bytes. */
  async exchange(request: string | Uint8Array, cut: Cut = 'whole'): Promise<RawResponse> {
    const text = typeof request === 'string' ? request : Buffer.from(request).toString('latin1');
    const sent = this.sendCut(request, cut);
    const answer = await readResponse(this, text.slice(0, text.indexOf(' ')));
    await sent;
    return answer;
  }
}

/** One request on a connection of its own. */
export async function exchangeOnce(target: Target, request: string | Uint8Array): Promise<RawResponse> {
  await using client = await RawClient.open(target);
  return await client.exchange(request);
}

/** Text of a plain GET, for tests that care about something else. */
export function get(path: string, host: string, ...lines: readonly string[]): string {
  return [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...lines, '', ''].join('\r\n');
}

/** Text of a POST with a Content-Length body. */
export function post(path: string, host: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`;
}

async function openSocket({ host, port, tls, localAddress }: Target): Promise<Socket> {
  const address = localAddress === undefined ? { host, port } : { host, port, localAddress };
  const plain = connect({ ...address, allowHalfOpen: true });
  const socket = tls === undefined ? plain : connectTls({ ...tls, socket: plain });
  await new Promise<void>((resolve, reject) => {
    socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve);
    socket.once('error', reject);
    if (tls !== undefined) plain.once('error', reject);
  });
  return socket;
}
