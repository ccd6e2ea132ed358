/**
 * One of the three services of `npm start`, with `node:http` only: `node service.ts NAME PORT`, on loopback. It answers with
 * what it saw, and knows nothing of gateways, sidecars and certificates: it calls another service by its name, and the
 * sidecar beside it does the rest.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const [name = '', port = ''] = process.argv.slice(2);
const answer = answersOf(name);
const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
server.listen(Number(port), '127.0.0.1');
await once(server, 'listening');
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

function answersOf(name: string): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  /** Requests by path, so that /flaky and /count can tell the first from the second. */
  const seen = new Map<string, number>();

  return async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://service');
    const times = (seen.get(pathname) ?? 0) + 1;
    if (seen.size < 1_000) seen.set(pathname, times);
    request.resume();

    if (pathname === '/slow') await pause(2_000);
    if (pathname === '/shop') return json(response, 200, { service: name, stock: await askOrders() });
    // Every other request fails, so that one retry is always enough.
    if (pathname === '/flaky' && times % 2 === 1) return json(response, 503, { service: name, failed: true });
    if (pathname === '/count') return json(response, 200, { service: name, copies: seen.get('/copied') ?? 0 });
    return json(response, 200, {
      service: name,
      method: request.method,
      path: request.url,
      host: request.headers.host,
      attempt: pathname === '/flaky' ? times : undefined,
      headers: interesting(request),
    });
  };
}

/** By its name. `fourways run` has told this process to send its calls to the sidecar. */
async function askOrders(): Promise<unknown> {
  const answered = await fetch('http://orders/stock');
  return answered.json();
}

/** What the gateway adds, without what every client sends. */
function interesting({ headers }: IncomingMessage): Record<string, unknown> {
  const dull = new Set(['host', 'accept', 'user-agent', 'connection', 'content-length', 'content-type']);
  return Object.fromEntries(Object.entries(headers).filter(([header]) => !dull.has(header)));
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}
