/** What servers are taken for, by real ones of each kind. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { test } from 'node:test';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { systemClock } from '../base/clock.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { findSpeech } from './port-speech.ts';

const { certificatePem: cert, privateKeyPem: key } = makeCertificate({});

/** Says something to whoever connects, and to what that one says first. */
function talking(first: string, then: (said: string) => string | undefined): Server {
  return createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    if (first !== '') socket.write(first);
    socket.once('data', (bytes: Buffer) => {
      const answer = then(bytes.toString('latin1'));
      if (answer === undefined) socket.destroy();
      else socket.write(answer, 'latin1');
    });
  });
}

const SETTINGS = '\0\0\0\x04\0\0\0\0\0';
const NOTHING = (): string => '';

const SERVERS: [is: string, speaks: string, make: () => Server][] = [
  ['a server that speaks first', 'tcp', () => talking('220 mail.test ready\r\n', NOTHING)],
  ['one whose greeting is short', 'tcp', () => talking('+OK\r\n', NOTHING)],
  ['one that says nothing', 'tcp', () => talking('', NOTHING)],
  ['one that closes at what it does not know', 'tcp', () => talking('', () => undefined)],
  ['one that answers in its own words', 'tcp', () => talking('', () => "-ERR unknown command 'OPTIONS'\r\n")],
  ['HTTP/1.1', 'http', () => createHttpServer((_, answer) => void answer.end())],
  ['HTTP/1.0, and refuses', 'http', () => talking('', () => 'HTTP/1.0 501 Unsupported method\r\n\r\n')],
  ['HTTP/1.1 that finds fault with the question', 'http', () => talking('', () => 'HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['HTTP/2 that sends its settings at once', 'h2c', () => createHttp2Server()],
  [
    'HTTP/2 that waits for the preface',
    'h2c',
    () => talking('', (said) => (said.startsWith('PRI * HTTP/2.0\r\n\r\nSM') ? SETTINGS : undefined)),
  ],
  ['HTTPS', 'tcp', () => createHttpsServer({ cert, key }, (_, answer) => void answer.end())],
  ['HTTPS that tells clients of HTTP', 'tcp', () => tellingHttps()],
];

/** As servers in Go and nginx do it: what is no TLS is answered in clear text. */
function tellingHttps(): Server {
  const inner = createTlsServer({ cert, key });
  return createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (bytes: Buffer) => {
      if (bytes[0] !== 0x16) return void socket.end('HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request\n');
      socket.pause();
      socket.unshift(bytes);
      inner.emit('connection', socket);
    });
  });
}

for (const [is, speaks, make] of SERVERS) {
  test(`what a port speaks: ${is}`, async () => {
    const server = make();
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => void sockets.add(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      assert.equal(await findSpeech((server.address() as AddressInfo).port, systemClock), speaks);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
}

test('what a port speaks: gRPC', async () => {
  const server = new GrpcServer();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  assert.equal(await findSpeech(port, systemClock), 'h2c');
  server.forceShutdown();
});

test('what a port speaks: where nobody listens nothing is found', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await findSpeech(port, systemClock), undefined);
});
