/** Exchanges for tests of filters, from plain values. */
import { Headers } from '../../http/headers.ts';
import type { ResponseHead } from '../../http/message.ts';
import type { Env, Exchange } from '../filter.ts';

type Fields = Readonly<Record<string, string | readonly string[]>>;

export interface ExchangeValues {
  readonly method?: string;
  /** `http://shop.test:8080/a?b=c`; taken as it is, without normalisation. */
  readonly url?: string;
  /** A list of values makes as many lines. */
  readonly headers?: Fields;
  readonly clientIp?: string;
  readonly requestId?: string;
  readonly rule?: string;
  /** Left out: the port of the URL, or the default port of its scheme. */
  readonly listenerPort?: number;
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** A request as a filter sees it. `makeExchange({ url: 'https://shop.test/a?b=c', headers: { origin: '…' } })` */
export function makeExchange(values: ExchangeValues = {}): Exchange {
  const { url = 'http://shop.test/', method = 'GET', headers = {}, clientIp = '192.0.2.1', rule = 'test' } = values;
  const parts = /^(https?):\/\/([^/?]*)([^?]*)(\?.*)?$/.exec(url);
  if (parts === null) throw new Error(`Cannot read "${url}" as an address`);
  const scheme = parts[1] as 'http' | 'https';
  const authority = parts[2]!;
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
      bodyLength: 0,
      upgrade: undefined,
      expectContinue: false,
    },
    rule: { name: rule },
    clientIp,
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
  /** Moves the clock on. */
  advance(ms: number): void;
}

export function makeEnv(): TestEnv {
  let nowMs = 0;
  const counts = new Map<string, number>();
  return {
    counts,
    nowMs: () => nowMs,
    count: (metric) => void counts.set(metric, (counts.get(metric) ?? 0) + 1),
    advance: (ms) => void (nowMs += ms),
  };
}

function* fieldsOf(fields: Fields): Generator<[string, string]> {
  for (const [name, value] of Object.entries(fields)) {
    for (const one of typeof value === 'string' ? [value] : value) yield [name, one];
  }
}
