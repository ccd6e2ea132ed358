/**
 * Lines of key files as they go into a table. Lines that `fourways keys` wrote
 * are read where they lie, which takes half a microsecond instead of six; all
 * others, and what is wrong, by their schema.
 */
import type { ConsumerStore } from './consumer-store.ts';
import { readRecord, type WrittenRecord } from './record.ts';

export const DIGEST_BYTES = 32;
export const ID_BYTES = 8;

/** Seconds of `notBefore` that stand for a key that is disabled. */
export const DISABLED = 0xffff_ffff;

/** One key in the form in which tables keep it. */
export interface KeyEntry {
  readonly digest: Buffer;
  readonly id: Buffer;
  /** Number in the store. */
  consumer: number;
  notBeforeS: number;
  /** 0: never. */
  expiresS: number;
}

export class KeyLineReader {
  /** What was read last. */
  readonly entry: KeyEntry = {
    digest: Buffer.alloc(DIGEST_BYTES),
    id: Buffer.alloc(ID_BYTES),
    consumer: 0,
    notBeforeS: 0,
    expiresS: 0,
  };
  readonly #consumers: ConsumerStore;

  constructor(consumers: ConsumerStore) {
    this.#consumers = consumers;
  }

  /** @throws {Error} when it is no record */
  read(bytes: Buffer, start: number, stop: number): void {
    if (!this.#readWritten(bytes, start, stop)) this.take(readRecord(bytes.toString('utf8', start, stop)));
  }

  /** A record that was checked. */
  take({ id, sha256, consumer, groups, labels, notBefore, expires, disabled }: WrittenRecord): void {
    const { entry } = this;
    entry.digest.write(sha256, 'hex');
    entry.id.write(id, 'hex');
    const text = Buffer.from(JSON.stringify({ consumer, groups, labels }).slice(1, -1));
    entry.consumer = this.#consumers.add(text, 0, text.length);
    if (entry.consumer < 0) throw new RangeError(`Cannot keep the consumer of key ${id}: it was not checked`);
    entry.notBeforeS = disabled === true ? DISABLED : notBefore === undefined ? 0 : secondsOf(notBefore);
    entry.expiresS = expires === undefined ? 0 : endOf(expires);
  }

  /**
   * `{"id":"…","sha256":"…","consumer":…}`, with `,"expires":"…"` at its end or without. What lies between is taken as
   * it is when, in braces, it is an object with the fields of a consumer and no others: then the whole line is one, too.
   */
  #readWritten(bytes: Buffer, start: number, stop: number): boolean {
    const { entry } = this;
    const id = start + HEAD.length;
    const digest = id + ID_BYTES * 2 + MIDDLE.length;
    const next = digest + DIGEST_BYTES * 2;
    if (!stands(HEAD, bytes, start) || !stands(MIDDLE, bytes, id + ID_BYTES * 2) || !stands(NEXT, bytes, next))
      return false;
    if (!decodeHex(bytes, id, entry.id) || !decodeHex(bytes, digest, entry.digest)) return false;
    if (bytes[stop - 1] !== BRACE) return false;
    let end = stop - 1;
    entry.expiresS = 0;
    const expires = end - EXPIRES.length - TIME_CHARS - 1;
    if (bytes[end - 1] === QUOTE && stands(EXPIRES, bytes, expires)) {
      const time = bytes.toString('latin1', expires + EXPIRES.length, end - 1);
      if (!TIME.test(time) || Number.isNaN(Date.parse(time))) return false;
      entry.expiresS = endOf(time);
      end = expires;
    }
    entry.notBeforeS = 0;
    entry.consumer = this.#consumers.add(bytes, next + NEXT.length - CONSUMER.length, end);
    return entry.consumer >= 0;
  }
}

const CONSUMER = '"consumer":';
const HEAD = Buffer.from('{"id":"');
const MIDDLE = Buffer.from('","sha256":"');
const NEXT = Buffer.from(`",${CONSUMER}`);
const EXPIRES = Buffer.from(',"expires":"');
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const TIME_CHARS = 20;
const BRACE = 0x7d;
const QUOTE = 0x22;

function stands(text: Buffer, bytes: Buffer, at: number): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** Fills `out` from digits in lower case. */
function decodeHex(bytes: Buffer, start: number, out: Buffer): boolean {
  let wrong = 0;
  for (let i = 0; i < out.length; i++) {
    const high = hexDigit(bytes[start + 2 * i]!);
    const low = hexDigit(bytes[start + 2 * i + 1]!);
    wrong |= high | low;
    out[i] = (high << 4) | low;
  }
  return wrong >= 0;
}

/** -1 for all that is none. */
function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  return c >= 0x61 && c <= 0x66 ? c - 0x57 : -1;
}

function secondsOf(time: string): number {
  return Math.min(DISABLED - 1, Math.max(0, Date.parse(time) / 1000));
}

/** What ended at or before 1970 ended: 0 would say that it never does. */
function endOf(time: string): number {
  return Math.max(1, secondsOf(time));
}
