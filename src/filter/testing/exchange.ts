/** Exchanges for tests of filters, from plain values. */
import { randomBytes } from 'node:crypto';
import { FILTER_CELLS_BYTES, FILTER_MARKS_BYTES } from '../../base/limits.ts';
import { Headers } from '../../http/headers.ts';
import type { ResponseHead } from '../../http/message.ts';
import type { ClientFacts } from '../../http/stream.ts';
import type { Env } from '../env.ts';
import type { Exchange } from '../filter.ts';
import type { Identity } from '../identity.ts';

type Fields = Readonly<Record<string, string | readonly string[]>>;

export interface ExchangeValues {
  readonly method?: string;
  /** `http://shop.test:8080/a?b=c`; taken as it is, without normalisation. */
  readonly url?: string;
  /** A list of values makes as many lines. */
  readonly headers?: Fields;
  readonly clientIp?: string;
  readonly requestId?: string;
  /** What trusted hops say of scheme, host and port. */
  readonly told?: string;
  readonly rule?: string;
  /** Left out: the port of the URL, or the default port of its scheme. */
  readonly listenerPort?: number;
  /** Bytes of body that the head announces; default 0, -1 for not known. */
  readonly bodyLength?: number;
  readonly identity?: Identity;
  /** What is known of the connection, where it differs. */
  readonly client?: Partial<ClientFacts>;
}

/** An exchange that shows what filters have said. */
export interface TestExchange extends Exchange {
  identity: Identity | undefined;
  readonly notes: Map<string, string>;
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** A request as a filter sees it. `makeExchange({ url: 'https://shop.test/a?b=c', headers: { origin: '…' } })` */
export function makeExchange(values: ExchangeValues = {}): TestExchange {
  const { url = 'http://shop.test/', method = 'GET', headers = {}, clientIp = '192.0.2.1', rule = 'test' } = values;
  const parts = /^(https?):\/\/([^/?]*)([^?]*)(\?.*)?$/.exec(url);
  if (parts === null) throw new Error(`Cannot read "${url}" as an address`);
  const scheme = parts[1] as 'http' | 'https';
  const authority = parts[2]!;
  const notes = new Map<string, string>();
  const port = /:(\d+)$/.exec(authority)?.[1];
  return {
    request: {
      method,
      scheme,
      authority,
      host: authority.replace(/:\d+$/, '').toLowerCase(),
      path: parts[3] === '' ? '/' : parts[3]!,
      query: parts[4] ?? '',
      headers: Headers.of(fieldsOf(headers)),
      bodyLength: values.bodyLength ?? 0,
      upgrade: undefined,
      expectContinue: false,
    },
    asked: { authority, path: parts[3] === '' ? '/' : parts[3]!, query: parts[4] ?? '', told: values.told ?? '' },
    rule: { name: rule },
    clientIp,
    client: {
      peerIp: clientIp,
      peerPort: 40_000,
      scheme,
      serverName: '',
      tlsVersion: '',
      tlsCipher: '',
      ...values.client,
    },
    identity: values.identity,
    kept: undefined,
    notes,
    note: (name, value) => void notes.set(name, value),
    requestId: values.requestId ?? '0123456789abcdef',
    listenerPort: values.listenerPort ?? (port === undefined ? DEFAULT_PORTS[scheme] : Number(port)),
  };
}

/** An answer as a filter sees it. */
export function makeResponse(status = 200, headers: Fields = {}): ResponseHead {
  return { status, reason: '', headers: Headers.of(fieldsOf(headers)), bodyLength: 0 };
}

/** The end-to-end lines of a message as `name: value`, names in lower case, in order. */
export function linesOf(headers: Headers): string[] {
  const lines: string[] = [];
  headers.forEach((name, value) => lines.push(`${name.toLowerCase()}: ${value}`));
  return lines;
}

export interface TestEnv extends Env {
  /** What was counted. */
  readonly counts: Map<string, number>;
  /** What was said to the operator. */
  readonly warnings: string[];
  /** Moves both clocks on, and runs what was due. */
  advance(ms: number): void;
}

/** Epoch time at which test environments begin: 2026-01-01. */
export const TEST_WALL_MS = Date.UTC(2026, 0, 1);

/** Everything that a filter may use, made by hand; `parts` replace what a test has of its own. */
export function makeEnv(parts: Partial<Env> = {}): TestEnv {
  let nowMs = 0;
  let shared: object | undefined;
  const counts = new Map<string, number>();
  const warnings: string[] = [];
  const timers = new Set<{ readonly dueMs: number; readonly run: () => void }>();
  return {
    counts,
    warnings,
    nowMs: () => nowMs,
    wallMs: () => TEST_WALL_MS + nowMs,
    randomBytes,
    after(delayMs, run) {
      const timer = { dueMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    count: (event, count = 1) => void counts.set(event, (counts.get(event) ?? 0) + count),
    warn: (message) => void warnings.push(message),
    secret: ({ secret }) => absent(`secret ${secret}`),
    readFile: ({ file }) => absent(`file ${file}`),
    watchFile: () => () => undefined,
    ownIdentity: () => undefined,
    upstream: ({ cluster }) => absent(`upstream ${cluster}`),
    refetch: () => absent('backend'),
    shared: <T extends object>(make: () => T) => (shared ??= make()) as T,
    fetch: (url) => absent(`answer of ${url}`),
    cells: new SharedArrayBuffer(FILTER_CELLS_BYTES),
    marks: new SharedArrayBuffer(FILTER_MARKS_BYTES),
    worker: { number: 1, of: 1 },
    redis: undefined,
    programs: { open: () => absent('program'), close: () => undefined },
    owner: 'Policy test/test',
    rule: 'HTTPRoute/test/test/0',
    isAudited: false,
    advance(ms) {
      nowMs += ms;
      for (const timer of timers) {
        if (timer.dueMs > nowMs) continue;
        timers.delete(timer);
        timer.run();
      }
    },
    ...parts,
  };
}

function absent(what: string): never {
  throw new Error(`The test has no ${what}`);
}

function* fieldsOf(fields: Fields): Generator<[string, string]> {
  for (const [name, value] of Object.entries(fields)) {
    for (const one of typeof value === 'string' ? [value] : value) yield [name, one];
  }
}
