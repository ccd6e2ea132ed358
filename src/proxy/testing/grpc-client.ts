/** A client of gRPC that shows what came over the wire. */
import http from 'node:http';

/** One message of gRPC in its frame. */
export function message(text: string, flag = 0): Buffer {
  const framed = Buffer.alloc(5 + Buffer.byteLength(text));
  framed[0] = flag;
  framed.writeUInt32BE(Buffer.byteLength(text), 1);
  framed.write(text, 5);
  return framed;
}

export interface Call {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: NodeJS.Dict<string>;
  /** `grpc-status`, from head or trailers. */
  readonly grpc: string | undefined;
  readonly cut: boolean;
}

export interface Ask {
  readonly path?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly method?: string;
  readonly body?: Buffer | readonly Buffer[];
}

/** One call over HTTP/1.1, with trailers. */
export function call(
  port: number,
  { path = '/shop.Cart/Add', headers = {}, method = 'POST', body = message('hi') }: Ask = {},
): Promise<Call> {
  return new Promise((resolve, reject) => {
    const sent = http.request(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        agent: false,
        headers: { 'content-type': 'application/grpc', te: 'trailers', connection: 'te', ...headers },
      },
      (answer) => {
        const pieces: Buffer[] = [];
        let cut = false;
        answer.on('data', (bytes: Buffer) => pieces.push(bytes));
        answer.on('error', () => (cut = true));
        answer.on('close', () => {
          const { trailers } = answer;
          const grpc = (answer.headers['grpc-status'] as string | undefined) ?? trailers['grpc-status'];
          const whole = Buffer.concat(pieces);
          resolve({ status: answer.statusCode!, headers: answer.headers, body: whole, trailers, grpc, cut });
        });
      },
    );
    sent.on('error', reject);
    if (Buffer.isBuffer(body)) sent.end(body);
    else {
      for (const piece of body) sent.write(piece);
      sent.end();
    }
  });
}
