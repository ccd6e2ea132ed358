/** Three small HTTP services behind the gateway, with `node:http` only. Each answers with what it saw. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export const SERVICE_NAMES = ['web', 'web-next', 'orders'] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

export interface Service {
  readonly name: ServiceName;
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback. Port 0 takes a free one. @throws {Error} with code `EADDRINUSE` when the port is taken */
export async function startService(name: ServiceName, port: number): Promise<Service> {
  const answer = answersOf(name);
  const server = createServer((request, response) => void answer(request, response));
  await listen(server, port);
  return {
    name,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

function answersOf(name: ServiceName): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  /** Requests by path, so that /flaky and /count can tell the first from the second. */
  const seen = new Map<string, number>();

  return async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://service');
    const times = (seen.get(pathname) ?? 0) + 1;
    if (seen.size < 1_000) seen.set(pathname, times);
    request.resume();

    if (pathname === '/slow') await pause(2_000);
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

/** What the gateway adds, without what every client sends. */
function interesting({ headers }: IncomingMessage): Record<string, unknown> {
  const dull = new Set(['host', 'accept', 'user-agent', 'connection', 'content-length', 'content-type']);
  return Object.fromEntries(Object.entries(headers).filter(([header]) => !dull.has(header)));
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}
