/**
 * A backend that does exactly what a test says: which bytes, when, and how the
 * connection ends. One script runs for each accepted connection.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { readRequest, readRequestBody, readRequestHead, type RawRequest, type RawRequestHead } from './message.ts';
import { Wire } from './wire.ts';

export class OriginConnection extends Wire {
  /** 0 for the first connection that the origin accepted. */
  readonly index: number;

  constructor(socket: Socket, index: number) {
    super(socket);
    this.index = index;
  }

  /** The next whole request; undefined when the client ended the connection. */
  async request(): Promise<RawRequest | undefined> {
    return readRequest(this);
  }

  async requestHead(): Promise<RawRequestHead | undefined> {
    return readRequestHead(this);
  }

  async requestBody(head: RawRequestHead): Promise<Buffer> {
    return (await readRequestBody(this, head)).body;
  }
}

export type Script = (connection: OriginConnection) => Promise<void>;

export interface Origin extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Connections open now. */
  readonly open: number;
  /** Errors that scripts threw, oldest first. A test that expects none checks this. */
  readonly errors: readonly Error[];
  close(): Promise<void>;
}

export interface OriginOptions {
  readonly host?: string;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  readonly tls?: TlsOptions;
}

export async function startOrigin(script: Script, options: OriginOptions = {}): Promise<Origin> {
  const sockets = new Set<Socket>();
  const errors: Error[] = [];
  let accepted = 0;
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const connection = new OriginConnection(socket, accepted++);
    script(connection).catch((error: unknown) => errors.push(error as Error));
  };
  const server: Server =
    options.tls === undefined
      ? createServer({ allowHalfOpen: true, noDelay: true }, accept)
      : createTlsServer({ ...options.tls, allowHalfOpen: true, noDelay: true }, accept);
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.host ?? '127.0.0.1', port: options.port ?? 0, backlog: 4096 }, resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    host: address,
    port,
    errors,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A script that reads whole requests and answers each with what `answer` makes of it. */
export function answering(answer: (request: RawRequest, nth: number) => string | Uint8Array): Script {
  return async (connection) => {
    connection.patienceMs = 120_000;
    for (let nth = 0; ; nth++) {
      const request = await connection.request();
      if (request === undefined) break;
      connection.send(answer(request, nth));
    }
    connection.end();
  };
}

/** A keep-alive answer with a Content-Length. */
export function ok(body: string | Uint8Array, ...lines: readonly string[]): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : Buffer.from(body);
  const head = ['HTTP/1.1 200 OK', `Content-Length: ${bytes.length}`, ...lines, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes]);
}

/** Tells as JSON what arrived: tests look at what a proxy made of their bytes. */
export function echo(request: RawRequest): Buffer {
  const seen = {
    method: request.method,
    target: request.target,
    headers: request.headers,
    body: request.body.toString('latin1'),
    trailers: request.trailers,
  };
  return ok(JSON.stringify(seen), 'Content-Type: application/json');
}
