/** Claims by name or path, and as header fields for upstreams. */
import type { Exchange } from '../../filter/filter.ts';
import type { OidcConfig } from './config.ts';

type Claims = Readonly<Record<string, unknown>>;

/** Longest value, as upstreams bound their heads. */
const VALUE_BYTES_MAX = 4096;

/** A claim of the whole name comes first: names of claims may be addresses, with dots. */
export function claimReader(path: string): (claims: Claims) => unknown {
  const parts = path.split('.');
  return (claims) => {
    if (Object.hasOwn(claims, path)) return claims[path];
    let at: unknown = claims;
    for (const part of parts) {
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
      at = (at as Claims)[part];
    }
    return at;
  };
}

export class ClaimHeaders {
  readonly #names: readonly string[];
  readonly #parts: readonly { readonly header: string; readonly read: (claims: Claims) => unknown }[];

  constructor(config: OidcConfig['claimHeaders']) {
    this.#parts = config.map(({ claim, header }) => ({ header, read: claimReader(claim) }));
    this.#names = [...new Set(config.map(({ header }) => header.toLowerCase()))];
  }

  /** What a client sends under these names is never passed on. */
  strip({ request }: Exchange): void {
    for (const name of this.#names) request.headers.delete(name);
  }

  /** @param onDropped  is called for each claim that is there and is no header value */
  write({ request }: Exchange, claims: Claims, onDropped: () => void): void {
    for (const { header, read } of this.#parts) {
      const value = read(claims);
      if (value === undefined || value === null) continue;
      const text = textOf(value);
      if (text === undefined) onDropped();
      else request.headers.add(header, text);
    }
  }
}

function textOf(value: unknown): string | undefined {
  if (!Array.isArray(value)) return fieldValue(scalarText(value));
  const items = value.map(scalarText);
  // `["a,admin"]` must not read like `["a","admin"]`.
  return items.some((item) => item === undefined || item.includes(',')) ? undefined : fieldValue(items.join(','));
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
