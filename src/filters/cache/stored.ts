/** One answer that is kept. Never changed: a fresher one takes its place. */
import { Headers } from '../../http/headers.ts';
import type { Validators } from './conditions.ts';
import type { Storable } from './freshness.ts';
import type { Since } from './purges.ts';
import { varyValue } from './vary.ts';

/** Name, value, name, value. */
export type Lines = readonly string[];

export interface StoredParts {
  readonly status: number;
  readonly lines: Lines;
  /** Kept for the next judgement, and not for clients: tags, fields that are meant for us. */
  readonly hidden: Lines;
  readonly body: Buffer;
  readonly vary: readonly string[];
  readonly varyValues: readonly string[];
  readonly tags: readonly string[];
}

/** What an entry costs beyond its text and body: objects, maps, indexes. Measured with a heap snapshot, rounded up. */
const ENTRY_BYTES = 1024;

/** Of one line in {@link Stored.received}: separators, and five numbers. */
const RECEIVED_LINE_BYTES = 4 + 5 * 8;

export class Stored implements Validators {
  readonly status: number;
  readonly lines: Lines;
  readonly hidden: Lines;
  readonly body: Buffer;
  readonly vary: readonly string[];
  readonly varyValues: readonly string[];
  readonly tags: readonly string[];
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  readonly date: string | undefined;
  readonly bytes: number;
  readonly freshness: Storable;
  /** On the clock of the worker: when it had the age 0. */
  readonly bornMs: number;
  readonly freshUntilMs: number;
  readonly revalidateUntilMs: number;
  readonly errorUntilMs: number;
  /** After an upstream failed, stale answers are given without asking it again until then. */
  restUntilMs = 0;
  /** Set by the store. */
  since: Since | undefined;
  /** Uses since the store looked last. */
  hits = 0;
  #received: Headers | undefined;

  constructor(parts: StoredParts, freshness: Storable, nowMs: number) {
    this.status = parts.status;
    this.lines = parts.lines;
    this.hidden = parts.hidden;
    this.body = parts.body;
    this.vary = parts.vary;
    this.varyValues = parts.varyValues;
    this.tags = parts.tags;
    this.etag = valueOf(parts.lines, 'etag');
    this.lastModified = valueOf(parts.lines, 'last-modified');
    this.date = valueOf(parts.lines, 'date');
    this.freshness = freshness;
    this.bornMs = nowMs - freshness.ageMs;
    this.freshUntilMs = freshness.revalidate === 'always' ? -Infinity : this.bornMs + freshness.lifetimeMs;
    const staleFromMs = this.bornMs + freshness.lifetimeMs;
    this.revalidateUntilMs = staleFromMs + freshness.staleWhileRevalidateMs;
    this.errorUntilMs = staleFromMs + freshness.staleIfErrorMs;
    this.bytes =
      parts.body.length +
      textBytes(parts.lines) +
      receivedBytes(parts.lines) +
      textBytes(parts.hidden) +
      textBytes(parts.tags) +
      ENTRY_BYTES;
  }

  answers(request: Headers): boolean {
    const { vary, varyValues } = this;
    for (let i = 0; i < vary.length; i++) if (varyValue(request, vary[i]!) !== varyValues[i]) return false;
    return true;
  }

  /** Chosen by the same fields with the same values: one takes the place of the other. */
  isVariantOf(other: Stored): boolean {
    return isSame(this.vary, other.vary) && isSame(this.varyValues, other.varyValues);
  }

  ageMs(nowMs: number): number {
    return Math.max(0, nowMs - this.bornMs);
  }

  /** The lines for clients as a codec would hand them over: to be sent again and again, so made with the first use. */
  received(): Headers {
    return (this.#received ??= receivedOf(this.lines));
  }

  /** All lines, those that clients do not get too. */
  head(): Headers {
    return headersOf([...this.lines, ...this.hidden]);
  }
}

export function headersOf(lines: Lines): Headers {
  const headers = new Headers();
  for (let i = 0; i < lines.length; i += 2) headers.add(lines[i]!, lines[i + 1]!);
  return headers;
}

function receivedOf(lines: Lines): Headers {
  const headers = new Headers();
  let text = '';
  for (let i = 0; i < lines.length; i += 2) text += `${lines[i]}: ${lines[i + 1]}\r\n`;
  headers.reset(text);
  let at = 0;
  for (let i = 0; i < lines.length; i += 2) {
    const nameEnd = at + lines[i]!.length;
    const valueEnd = nameEnd + 2 + lines[i + 1]!.length;
    headers.push(at, nameEnd, nameEnd + 2, valueEnd);
    at = valueEnd + 2;
  }
  return headers;
}

function valueOf(lines: Lines, lowerName: string): string | undefined {
  for (let i = 0; i < lines.length; i += 2) if (lines[i]!.toLowerCase() === lowerName) return lines[i + 1];
  return undefined;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function receivedBytes(lines: Lines): number {
  return lines.reduce((sum, text) => sum + text.length, 0) + (lines.length / 2) * RECEIVED_LINE_BYTES;
}

/** Two references for each string, and a byte for each character: names and values are Latin-1. */
function textBytes(lines: Lines): number {
  return lines.reduce((sum, text) => sum + text.length + 24, 0);
}
