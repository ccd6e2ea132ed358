/**
 * The proxy one would write on Node's own HTTP/2: `node:http2` in front, its client or `http.Agent` behind, streams
 * piped. No log, no metrics. Arguments: HOST PORT ORIGIN-HOST ORIGIN-PORT BACK [CERTIFICATE KEY]; BACK is h1 or h2.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';

const [host, port, originHost, originPort, back, certificate, key] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 512 });
let session: ClientHttp2Session | undefined;

function upstream(): ClientHttp2Session {
  if (session === undefined || session.closed || session.destroyed) {
    session = connect(`http://${originHost}:${originPort}`);
    session.on('error', () => (session = undefined));
  }
  return session;
}

function passToH2(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const up = upstream().request({ ...headers, 'x-forwarded-for': '127.0.0.1' });
  up.on('response', (answer) => {
    if (stream.destroyed) up.close();
    else stream.respond(answer, { waitForTrailers: true });
  });
  let trailers: IncomingHttpHeaders = {};
  up.on('trailers', (fields) => (trailers = fields));
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  up.on('error', () => stream.close());
  stream.on('error', () => up.close());
  stream.pipe(up);
  up.pipe(stream);
}

function passToH1(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const fields = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')));
  const up = request(
    {
      host: originHost,
      port: Number(originPort),
      method: String(headers[':method']),
      path: String(headers[':path']),
      headers: { ...fields, host: headers[':authority'], 'x-forwarded-for': '127.0.0.1' },
      agent,
    },
    (answer) => {
      if (stream.destroyed) return void answer.destroy();
      const { connection: _connection, 'keep-alive': _keepAlive, ...rest } = answer.headers;
      stream.respond({ ':status': answer.statusCode, ...rest });
      answer.pipe(stream);
    },
  );
  up.on('error', () => stream.close());
  stream.on('error', () => up.destroy());
  stream.pipe(up);
}

const server =
  certificate === undefined
    ? createServer()
    : createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key!) });
server.on('stream', back === 'h1' ? passToH1 : passToH2);
server.listen(Number(port), host);
