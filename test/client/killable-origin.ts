/**
 * A backend in a process of its own, to be killed: `node killable-origin.ts h1|h2 PORT` listens there (0 takes a free
 * port, which is printed) and answers each request after a while with its process id and the body.
 */
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';

const ANSWER_AFTER_MS = 20;

const [wire, port] = process.argv.slice(2);
if (wire === undefined || port === undefined) throw new Error('Usage: killable-origin.ts h1|h2 PORT');

function answer(request: http.IncomingMessage | http2.Http2ServerRequest, end: (text: string) => void): void {
  let body = '';
  request.on('data', (bytes: Buffer) => (body += bytes.toString('latin1')));
  request.on('error', () => undefined);
  request.on('end', () => setTimeout(() => end(`${process.pid} ${body}`), ANSWER_AFTER_MS));
}

const server =
  wire === 'h2'
    ? http2.createServer((request, response) => answer(request, (text) => response.end(text)))
    : http.createServer((request, response) => answer(request, (text) => response.end(text)));
server.listen(Number(port), '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
