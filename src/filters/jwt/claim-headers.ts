/** Claims as header fields for upstreams. What cannot be one is left out: nothing is repaired into another value. */
import type { JwtConfig } from './config.ts';
import { type ClaimReader, claimReader } from './claims.ts';
import type { JsonObject } from './strict-json.ts';

/** Longest value, as upstreams bound their heads. */
const VALUE_BYTES_MAX = 4096;

export class ClaimHeaders {
  /** Lower case: never taken from clients. */
  readonly names: readonly string[];
  readonly #parts: readonly { readonly header: string; readonly read: ClaimReader; readonly separator: string }[];

  constructor(config: JwtConfig['claimHeaders']) {
    this.#parts = config.map(({ claim, header, separator }) => ({ header, read: claimReader(claim), separator }));
    this.names = [...new Set(config.map(({ header }) => header.toLowerCase()))];
  }

  /** @param onDropped  is called for each claim that is there and is no header value */
  linesOf(claims: JsonObject, onDropped: () => void): readonly (readonly [name: string, value: string])[] {
    return this.#parts.flatMap(({ header, read, separator }) => {
      const value = read(claims);
      if (value === undefined || value === null) return [];
      const text = textOf(value, separator);
      if (text === undefined) onDropped();
      return text === undefined ? [] : [[header, text] as const];
    });
  }
}

function textOf(value: unknown, separator: string): string | undefined {
  if (!Array.isArray(value)) return fieldValue(scalarText(value));
  const items = value.map(scalarText);
  // `["a,admin"]` must not read like `["a","admin"]`.
  if (items.some((item) => item === undefined || item.includes(separator))) return undefined;
  return fieldValue(items.join(separator));
}

function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** RFC 9110 section 5.5: visible characters with spaces inside; others than those of ASCII as the bytes of UTF-8. */
function fieldValue(text: string | undefined): string | undefined {
  if (text === undefined || text.length > VALUE_BYTES_MAX || !text.isWellFormed()) return undefined;
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  if (bytes.length > VALUE_BYTES_MAX) return undefined;
  return /^[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/.test(bytes) ? bytes : undefined;
}
