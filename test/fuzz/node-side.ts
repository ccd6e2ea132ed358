/** The same bytes given to Node's own parser, strict, on both sides. */
import { Agent, createServer, request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { endToEnd, type Reading, type ReadMessage, settle } from './reading.ts';

const HEAD_BYTES_MAX = 65_536;

/** Turns of the event loop after which Node has told of everything that it found. */
const TURNS = 6;

export async function readWithNodeServer(bytes: Buffer): Promise<Reading> {
  const messages: ReadMessage[] = [];
  let refused: string | undefined;
  let begun = false;
  const server = createServer({ maxHeaderSize: HEAD_BYTES_MAX, insecureHTTPParser: false }, (incoming, outgoing) => {
    begun = true;
    collect(incoming, startOf(incoming), (message) => {
      begun = false;
      messages.push(message);
    });
    outgoing.end();
  });
  server.on('clientError', (error: NodeJS.ErrnoException) => {
    // What follows `Connection: close` is ignored by us, and no message by both.
    if (error.code !== 'HPE_CLOSED_CONNECTION' && error.code !== 'ECONNRESET') refused ??= error.code ?? error.message;
  });
  server.on('checkExpectation', () => (refused ??= 'expectation'));
  server.on('connect', () => (refused ??= 'connect'));
  let written = '';
  const socket = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      written += chunk.toString('latin1');
      done();
    },
  });
  server.emit('connection', socket as unknown as Socket);
  socket.push(bytes);
  await settle(TURNS);
  socket.destroy();
  // Node answers a missing Host itself and tells nobody.
  if (/^HTTP\/1\.1 400 /m.test(written)) refused ??= 'answered 400';
  await settle(1);
  server.closeAllConnections();
  return { messages, refused, begun };
}

export async function readWithNodeClient(bytes: Buffer, end: 'open' | 'closes'): Promise<Reading> {
  const messages: ReadMessage[] = [];
  let refused: string | undefined;
  let begun = false;
  const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  const agent = new Agent({ keepAlive: false });
  agent.createConnection = () => socket;
  const outgoing = request({ host: 'a.test', agent, maxHeaderSize: HEAD_BYTES_MAX, insecureHTTPParser: false });
  outgoing.on('response', (incoming) => {
    begun = true;
    incoming.on('error', (error: NodeJS.ErrnoException) => (refused ??= error.code ?? error.message));
    collect(incoming, String(incoming.statusCode), (message) => {
      begun = false;
      messages.push(message);
    });
  });
  outgoing.on('error', (error: NodeJS.ErrnoException) => (refused ??= error.code ?? error.message));
  outgoing.on('upgrade', () => (refused ??= 'switched'));
  outgoing.end();
  await settle(1);
  socket.push(bytes);
  if (end === 'closes') socket.push(null);
  await settle(TURNS);
  outgoing.destroy();
  socket.destroy();
  agent.destroy();
  await settle(1);
  return { messages, refused, begun };
}

/** As our codec shows a request: Node leaves the absolute form to its user (RFC 9112 section 3.2.2). */
function startOf({ method, url = '', headers }: IncomingMessage): string {
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/is.exec(url);
  const authority = absolute?.[1] ?? headers.host ?? '';
  const rest = absolute?.[2] ?? url;
  return `${method} ${rest.startsWith('/') ? rest : rest === '*' ? rest : `/${rest}`} of ${authority}`;
}

function collect(incoming: IncomingMessage, start: string, done: (message: ReadMessage) => void): void {
  const pieces: Buffer[] = [];
  incoming.on('data', (piece: Buffer) => pieces.push(piece));
  incoming.on('error', () => undefined);
  incoming.on('end', () => {
    if (!incoming.complete) return;
    done({
      start,
      fields: endToEnd(incoming.rawHeaders),
      body: Buffer.concat(pieces).toString('latin1'),
      trailers: endToEnd(incoming.rawTrailers),
    });
  });
}
