/**
 * A small service of gRPC on `node:http2` alone, for `NAME:PORT:grpc`: messages have one field, a text.
 *
 *     shop.Cart/Add     one message back: `NAME: TEXT`       shop.Cart/List   three of them
 *     shop.Cart/Fail    NOT_FOUND                            shop.Cart/Flaky  every other time UNAVAILABLE
 *     shop.Cart/Slow    no answer; says what time was left when it is given up
 *     grpc.health.v1.Health/Check   SERVING
 */
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';

const MESSAGE_BYTES_MAX = 65_536;

export function createGrpcServer(name: string): Http2Server {
  const server = createServer();
  let flaky = 0;
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    let received: Buffer = Buffer.alloc(0);
    stream.on('error', () => undefined);
    stream.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length > MESSAGE_BYTES_MAX) stream.close();
    });
    stream.on('end', () => {
      // Whoever asked may have given up.
      if (stream.destroyed) return;
      const text = `${name}: ${readText(received)}`;
      switch (headers[':path']) {
        case '/shop.Cart/Add':
          return answer(stream, [text], '0');
        case '/shop.Cart/List':
          return answer(stream, [text, text, text], '0');
        case '/shop.Cart/Fail':
          return answer(stream, [], '5', 'no such cart');
        case '/shop.Cart/Flaky':
          return flaky++ % 2 === 0 ? answer(stream, [], '14', 'not now') : answer(stream, [text], '0');
        case '/shop.Cart/Slow':
          return void stream.on('close', () => console.log(`given up, of ${String(headers['grpc-timeout'])}`));
        case '/grpc.health.v1.Health/Check':
          return respond(stream, [Buffer.from([0, 0, 0, 0, 2, 8, 1])], '0');
        default:
          return answer(stream, [], '12', 'no such method');
      }
    });
  });
  return server;
}

function answer(stream: ServerHttp2Stream, texts: readonly string[], status: string, message = ''): void {
  respond(stream, texts.map(frameOf), status, message);
}

function respond(stream: ServerHttp2Stream, frames: readonly Buffer[], status: string, message = ''): void {
  const ending = { 'grpc-status': status, ...(message === '' ? {} : { 'grpc-message': message }) };
  const head = { ':status': 200, 'content-type': 'application/grpc+proto' };
  // Without a message there is a head alone.
  if (frames.length === 0) return stream.respond({ ...head, ...ending }, { endStream: true });
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(ending));
  for (const frame of frames) stream.write(frame);
  stream.end();
}

/** A message whose field 1 is a text, in the frame of gRPC. */
export function frameOf(text: string): Buffer {
  const bytes = Buffer.from(text).subarray(0, 127);
  const frame = Buffer.alloc(7 + bytes.length);
  frame.writeUInt32BE(2 + bytes.length, 1);
  frame[5] = 0x0a;
  frame[6] = bytes.length;
  bytes.copy(frame, 7);
  return frame;
}

/** The text of the first message. */
export function readText(frame: Buffer): string {
  return frame.length < 7 ? '' : frame.toString('utf8', 7, 7 + frame[6]!);
}
