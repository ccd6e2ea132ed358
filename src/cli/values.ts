/** Values of options, read with a message that says what is there and what should be there. */
import { isIP } from 'node:net';
import { UsageError } from './command.ts';

/** The only positional argument. @throws {UsageError} when there is none or more than one */
export function onePath(positionals: readonly string[]): string {
  const [path, second] = positionals;
  if (path === undefined) throw new UsageError('Name a file or a folder with the configuration');
  if (second !== undefined) throw new UsageError(`Unexpected argument "${second}": one file or folder is enough`);
  if (path === '') throw new UsageError('The path is empty: name a file or a folder');
  return path;
}

/** A whole number. @throws {UsageError} */
export function readCount(option: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`Option ${option} is "${text}": must be a whole number from ${min} to ${max}`);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `500ms`, `30s`, `2m`, `1h`, or `0`. Milliseconds. @throws {UsageError} */
export function readDuration(option: string, text: string, maxMs: number): number {
  const [, digits, unit] = /^(\d{1,9})(ms|s|m|h)$/.exec(text === '0' ? '0s' : text) ?? [];
  if (digits === undefined || unit === undefined) {
    throw new UsageError(`Option ${option} is "${text}": must be a time such as 500ms, 30s, 2m or 1h`);
  }
  const ms = Number(digits) * UNIT_MS[unit]!;
  if (ms > maxMs) throw new UsageError(`Option ${option} is "${text}": must be at most ${maxMs / 3_600_000}h`);
  return ms;
}

/** `127.0.0.1:9900`, `[::1]:9900`, `localhost:9900`. @throws {UsageError} */
export function readHostPort(option: string, text: string): { host: string; port: number } {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(portText);
  if (host === undefined || port > 65_535) {
    const hint = isIP(text) === 6 ? '; write an IPv6 address in brackets' : '';
    throw new UsageError(`Option ${option} is "${text}": must be HOST:PORT, for example 127.0.0.1:9900${hint}`);
  }
  if (bracketed !== undefined && isIP(bracketed) !== 6) {
    throw new UsageError(`Option ${option} is "${text}": only an IPv6 address stands in brackets`);
  }
  return { host, port };
}

export const REDIS_URL_FORM = 'it must be redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS';

export function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'redis:' && url.protocol !== 'rediss:')) return false;
  return url.hostname !== '' && /^(?:\/\d{0,5})?$/.test(url.pathname);
}

/** The address of a Redis, which is not repeated in the message: it may hold a password. @throws {UsageError} */
export function readRedisUrl(option: string, text: string): string {
  if (!isRedisUrl(text)) throw new UsageError(`Option ${option} is not right: ${REDIS_URL_FORM}`);
  return text;
}
