/**
 * The proxy one would write on Node's own HTTP: `node:http` in front,
 * `http.Agent` behind. No log, no metrics. Arguments: HOST PORT ORIGIN-HOST
 * ORIGIN-PORT ROUTES [CERTIFICATE KEY]. With ROUTES above 0 only `/r/0` to
 * `/r/ROUTES-1` are passed on, found in a Map.
 */
import { readFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

const [host, port, originHost, originPort, routes, certificate, key] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 512 });
const known = new Map(Array.from({ length: Number(routes) }, (_, i) => [String(i), true]));

function pass(from: IncomingMessage, to: ServerResponse): void {
  const url = from.url ?? '/';
  if (known.size > 0 && !known.has(url.split('/', 3)[2] ?? '')) {
    to.writeHead(404).end();
    return;
  }
  const headers = { ...from.headers, 'x-forwarded-for': from.socket.remoteAddress };
  const up = request(
    { host: originHost, port: Number(originPort), method: from.method, path: url, headers, agent },
    (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    },
  );
  up.on('error', () => (to.headersSent ? to.destroy() : to.writeHead(502).end()));
  from.pipe(up);
}

const server =
  certificate === undefined
    ? createServer({ keepAliveTimeout: 75_000 }, pass)
    : createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key!), keepAliveTimeout: 75_000 }, pass);
server.maxRequestsPerSocket = 0;
server.on('upgrade', (from: IncomingMessage, client, head) => {
  const up = request({ host: originHost, port: Number(originPort), path: from.url ?? '/', headers: from.headers });
  up.on('upgrade', (answer, upstream, early) => {
    const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    client.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`);
    client.write(early);
    upstream.write(head);
    client.pipe(upstream).pipe(client);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  });
  up.on('error', () => client.destroy());
  up.end();
});
server.listen(Number(port), host);
