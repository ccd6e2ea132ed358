/**
 * The admin API: what the process knows of itself, over HTTP, and what it can be
 * told to forget. On the loopback address unless told otherwise, without CORS.
 * See docs/guide/operating.md.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Fault } from '../../base/fault.ts';
import type { Clock } from '../../base/clock.ts';
import {
  CONNECTION_LIMITS,
  CONNECTION_TIMEOUTS,
  type ConnectionLimits,
  type ConnectionTimeouts,
} from '../../base/limits.ts';
import type { Log } from '../../base/log.ts';
import { TimerWheel } from '../../base/timers.ts';
import { H1ServerConn } from '../../http/h1/server-conn.ts';
import type { RequestSink, ServerConn, ServerStream, ServerStreamEvents } from '../../http/stream.ts';
import { accepts } from './accept.ts';
import { AnswerStream } from './answer-stream.ts';
import { isOurHost } from './host-check.ts';
import { type Content, type LineSource, type Route, ROUTES } from './routes.ts';
import type { AdminView } from './view.ts';

/** Scrapers, probes and a few people. Beyond: the newest connection is closed at once. */
const CONNECTIONS_MAX = 128;

/** Answers that go on for as long as somebody reads them. Each may cost every proxy something. */
const SOURCES_MAX = 16;

const LIMITS: ConnectionLimits = {
  ...CONNECTION_LIMITS,
  headerBytesMax: 16_384,
  // What is ordered is short.
  bodyBytesMax: 65_536,
  connectionsMax: CONNECTIONS_MAX,
};

const TIMEOUTS: ConnectionTimeouts = {
  ...CONNECTION_TIMEOUTS,
  bodyIdleMs: 10_000,
  // Longer than most intervals of scrapes would only keep connections that nobody uses.
  keepAliveMs: 15_000,
  writeIdleMs: 30_000,
};

export interface AdminOptions {
  /** Name or address. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly view: AdminView;
  readonly clock: Clock;
  readonly log: Log;
}

/** @throws {Error} with the `code` of the system when it cannot listen */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const server = new AdminServer(options);
  await server.listen();
  return server;
}

export class AdminServer implements RequestSink {
  readonly #options: AdminOptions;
  readonly #wheel: TimerWheel;
  readonly #server: Server;
  readonly #conns = new Set<ServerConn>();
  /** Text of documents that are the same object as before. */
  readonly #texts = new WeakMap<object, Buffer>();
  /** What ends each answer that goes on until somebody has had enough. */
  readonly #sources = new Set<() => void>();

  /** Use {@link startAdmin}. */
  constructor(options: AdminOptions) {
    this.#options = options;
    this.#wheel = new TimerWheel(options.clock);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  listen(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  get address(): string {
    return this.#bound.address;
  }

  get port(): number {
    return this.#bound.port;
  }

  /** Stops listening; answers that are being sent are finished. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const end of this.#sources) end();
    for (const conn of this.#conns) conn.drain();
    await closed;
    this.#wheel.close();
  }

  onRequest(stream: ServerStream): ServerStreamEvents {
    const answer = new AnswerStream(stream, this.#options.clock);
    this.#answer(stream, answer).catch((error: unknown) => {
      const stack = error instanceof Error ? error.stack : String(error);
      this.#options.log.error('The admin API failed', { path: stream.request.path, stack });
      sendProblem(answer, { status: 500, detail: 'The log says why' });
    });
    return answer;
  }

  onRefused(stream: ServerStream, fault: Fault): void {
    const { status, title } = fault.kind;
    sendProblem(new AnswerStream(stream, this.#options.clock), { status, detail: title });
  }

  get #bound(): { readonly address: string; readonly port: number } {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') throw new Error('Cannot tell the address: not listening');
    return bound;
  }

  #accept(socket: Socket): void {
    const facts = {
      peerIp: socket.remoteAddress ?? '',
      peerPort: socket.remotePort ?? 0,
      scheme: 'http',
      serverName: '',
      tlsVersion: '',
      tlsCipher: '',
    } as const;
    const conn = new H1ServerConn({
      socket,
      facts,
      sink: this,
      wheel: this.#wheel,
      limits: LIMITS,
      timeouts: TIMEOUTS,
      onClosed: (closed) => this.#conns.delete(closed),
    });
    this.#conns.add(conn);
  }

  async #answer({ request }: ServerStream, answer: AnswerStream): Promise<void> {
    const { host, view } = this.#options;
    const { path, authority } = request;
    const accept = request.headers.combined('accept');
    if (!isOurHost(authority, host)) return sendProblem(answer, NOT_OURS);
    const route = ROUTES.find((candidate) => candidate.path === path);
    if (route === undefined) return sendProblem(answer, NOT_FOUND);
    const refusal = refusalOf(route, request, accept);
    if (refusal !== undefined) return sendProblem(answer, refusal);
    const query = new URLSearchParams(request.query);
    if (route.method !== 'POST') return this.#send(answer, await route.answer(view, { accept, body: {}, query }));
    const body = objectOf(await answer.body());
    if (body === undefined) return sendProblem(answer, { status: 400, detail: 'The body should be a JSON object' });
    return this.#send(answer, await route.answer(view, { accept, body, query }));
  }

  #send(answer: AnswerStream, content: Content): void {
    if ('detail' in content) return sendProblem(answer, content);
    if ('begin' in content) return this.#pass(answer, content);
    if ('text' in content) {
      return answer.send({ status: 200, contentType: content.contentType, body: Buffer.from(content.text) });
    }
    const { status, json } = content;
    let body = this.#texts.get(json);
    if (body === undefined) {
      body = Buffer.from(`${JSON.stringify(json, undefined, 2)}\n`);
      this.#texts.set(json, body);
    }
    return answer.send({ status, contentType: 'application/json', body });
  }

  /** Passes lines on while they come. */
  #pass(answer: AnswerStream, { contentType, begin }: Extract<Content, { begin: LineSource }>): void {
    if (answer.isOver) return undefined;
    if (answer.isHead) return answer.send({ status: 200, contentType, body: Buffer.alloc(0) });
    if (this.#sources.size >= SOURCES_MAX) return sendProblem(answer, BUSY);
    let takeBack = (): void => undefined;
    const over = (): void => {
      this.#sources.delete(end);
      takeBack();
    };
    const to = answer.sendLines(contentType, over);
    const end = (): void => {
      over();
      to.end();
    };
    this.#sources.add(end);
    const passed = (value?: object): void => {
      this.#sources.delete(end);
      to.end(value);
    };
    takeBack = begin({ line: (value) => to.line(value), end: passed }, this.#options.clock);
  }
}

/** Undefined for anything that is no object. */
function objectOf(body: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

interface Refusal {
  readonly status: number;
  readonly detail: string;
  readonly allow?: string;
}

const NOT_OURS: Refusal = {
  status: 421,
  detail: 'Host must be an address, localhost, or the name that --admin gives',
};

const BUSY: Refusal = { status: 503, detail: `${SOURCES_MAX} others are looking already` };

const NOT_FOUND: Refusal = { status: 404, detail: 'There is no such path: GET / lists them' };

function refusalOf(
  { types, method: only }: Route,
  { method, headers }: ServerStream['request'],
  accept: string | undefined,
): Refusal | undefined {
  if (only === undefined && method !== 'GET' && method !== 'HEAD') {
    return { status: 405, detail: 'Only GET and HEAD', allow: 'GET, HEAD' };
  }
  if (only !== undefined) {
    if (method !== only) return { status: 405, detail: `Only ${only}`, allow: only };
    // A page that a browser loaded from elsewhere may send forms and plain text to any address, but no JSON without
    // asking first (Fetch standard, CORS-preflight), which is refused here; and it says where it is from.
    const isJson = /^application\/json(?:;|$)/i.test(headers.get('content-type') ?? '');
    if (!isJson) return { status: 415, detail: 'Content-Type should be application/json' };
    if (headers.has('origin')) return { status: 403, detail: 'Pages of browsers may not change anything' };
  }
  if (!accepts(accept, types)) return { status: 406, detail: `Can only be ${types.join(' or ')}` };
  return undefined;
}

/** RFC 9457. */
function sendProblem(answer: AnswerStream, { status, detail, allow }: Refusal): void {
  const body = Buffer.from(`${JSON.stringify({ type: 'about:blank', title: titleOf(status), status, detail })}\n`);
  answer.send({ status, contentType: 'application/problem+json', body, ...(allow === undefined ? {} : { allow }) });
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  406: 'Not acceptable',
  415: 'Unsupported media type',
  421: 'Misdirected request',
  500: 'The admin API failed',
  503: 'Busy',
};

function titleOf(status: number): string {
  return TITLES[status] ?? 'The request is refused';
}
