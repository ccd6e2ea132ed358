/**
 * The admin API: what the process knows of itself, over HTTP. Read-only, on the
 * loopback address unless told otherwise, without CORS. See docs/guide/operating.md.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Log } from '../../base/log.ts';
import { accepts } from './accept.ts';
import { isOurHost } from './host-check.ts';
import { type Content, type Route, ROUTES } from './routes.ts';
import type { AdminView } from './view.ts';

/** Scrapers, probes and a few people. Beyond: the newest connection is closed at once. */
const CONNECTIONS_MAX = 128;

/** From the first byte of a connection or request to the end of its head; all requests of ours are short. */
const HEAD_MS_MAX = 10_000;

/** A client that neither reads nor writes. */
const SILENT_MS_MAX = 30_000;

const HEAD_BYTES_MAX = 16 * 1024;

export interface AdminOptions {
  /** Name or address. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly view: AdminView;
  readonly log: Log;
}

export interface AdminServer {
  readonly address: string;
  readonly port: number;
  /** Stops listening; answers that are being sent are finished. */
  close(): Promise<void>;
}

/** @throws {Error} with the `code` of the system when it cannot listen */
export function startAdmin({ host, port, view, log }: AdminOptions): Promise<AdminServer> {
  const cache = new WeakMap<object, string>();
  const server = createServer(
    {
      maxHeaderSize: HEAD_BYTES_MAX,
      headersTimeout: HEAD_MS_MAX,
      requestTimeout: HEAD_MS_MAX,
      connectionsCheckingInterval: 2_000,
      keepAliveTimeout: 15_000,
    },
    (request, response) => {
      answer({ request, response, host, view, cache }).catch((error: unknown) => {
        log.error('Admin API failed', { path: pathOf(request), stack: error instanceof Error ? error.stack : error });
        if (response.headersSent) response.destroy();
        else sendProblem(response, { status: 500, detail: 'The log says why' });
      });
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.timeout = SILENT_MS_MAX;
  return listen(server, host, port);
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly host: string;
  readonly view: AdminView;
  /** Text of documents that are the same object as before. */
  readonly cache: WeakMap<object, string>;
}

async function answer({ request, response, host, view, cache }: Call): Promise<void> {
  if (!isOurHost(request.headers.host, host)) {
    sendProblem(response, {
      status: 421,
      detail: 'Host must be an address, localhost, or the name that --admin gives',
    });
    return;
  }
  const route = ROUTES.find(({ path }) => path === pathOf(request));
  const refusal = route === undefined ? NOT_FOUND : refusalOf(request, route);
  if (route === undefined || refusal !== undefined) {
    sendProblem(response, refusal ?? NOT_FOUND);
    return;
  }
  send(response, await route.answer(view, request.headers.accept), cache);
}

interface Refusal {
  readonly status: number;
  readonly detail: string;
  readonly allow?: string;
}

const NOT_FOUND: Refusal = { status: 404, detail: 'There is no such path: GET / lists them' };

function refusalOf({ method, headers }: IncomingMessage, { types }: Route): Refusal | undefined {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, detail: 'Only GET and HEAD', allow: 'GET, HEAD' };
  if (!accepts(headers.accept, types)) return { status: 406, detail: `Can only be ${types.join(' or ')}` };
  return undefined;
}

function pathOf({ url = '' }: IncomingMessage): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

function send(response: ServerResponse, content: Content, cache: WeakMap<object, string>): void {
  if (content.status === 404) {
    sendProblem(response, content);
    return;
  }
  if ('text' in content) {
    sendText(response, content.status, { contentType: content.contentType, text: content.text });
    return;
  }
  let text = cache.get(content.json);
  if (text === undefined) cache.set(content.json, (text = `${JSON.stringify(content.json, undefined, 2)}\n`));
  sendText(response, content.status, { contentType: 'application/json', text });
}

const TITLES: Readonly<Record<number, string>> = {
  404: 'Not found',
  405: 'Method not allowed',
  406: 'Not acceptable',
  421: 'Misdirected request',
  500: 'The admin API failed',
};

/** RFC 9457. */
function sendProblem(response: ServerResponse, { status, detail, allow }: Refusal): void {
  if (allow !== undefined) response.setHeader('Allow', allow);
  const problem = { type: 'about:blank', title: TITLES[status], status, detail };
  sendText(response, status, { contentType: 'application/problem+json', text: `${JSON.stringify(problem)}\n` });
}

function sendText(
  response: ServerResponse,
  status: number,
  { contentType, text }: { contentType: string; text: string },
): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'same-origin',
  });
  // node:http leaves the body out of an answer to HEAD.
  response.end(body);
}

function listen(server: Server, host: string, port: number): Promise<AdminServer> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const bound = server.address();
      if (bound === null || typeof bound === 'string') {
        reject(new Error('Cannot listen: no address'));
        return;
      }
      resolve({ address: bound.address, port: bound.port, close: () => close(server) });
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
