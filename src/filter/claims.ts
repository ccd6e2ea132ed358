/** Claims by name or path, as configurations name them; and as consumers and as header fields for upstreams. */
import type { Headers } from '../http/headers.ts';
import { Type } from '../schema/schema.ts';
import { consumerOf } from './consumer.ts';
import { fieldValueOf } from './fields.ts';
import type { Consumer } from './identity.ts';

export type Claims = Readonly<Record<string, unknown>>;
export type ClaimReader = (claims: Claims) => unknown;

export const ClaimPath = Type.String({
  minLength: 1,
  maxLength: 256,
  description: 'Name of a claim, or a path to one inside: `realm_access.roles`. A claim of the whole name comes first.',
});

/** Field of a filter's configuration that {@link consumerReader} reads. */
export const ClaimConsumer = Type.Object(
  { claim: ClaimPath, groups: Type.Optional(ClaimPath) },
  { additionalProperties: false, description: 'Claims that name the consumer, and its groups.' },
);

/**
 * `a.b.c`: the claim of that whole name, else the way inside. Only members of
 * the claims themselves are seen, never what every object inherits.
 */
export function claimReader(path: string): ClaimReader {
  const steps = path.split('.');
  return (claims) => {
    if (Object.hasOwn(claims, path)) return claims[path];
    let at: unknown = claims;
    for (const step of steps) {
      if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, step)) return undefined;
      at = (at as Claims)[step];
    }
    return at;
  };
}

/** Texts of a claim that is one, or a list of them; others are left out. */
export function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

interface ConsumerClaims {
  readonly claim: string;
  readonly groups?: string;
}

/** Whom claims name; nobody where the claim is no text, or an empty one. */
export function consumerReader(config: ConsumerClaims | undefined): (claims: Claims) => Consumer | undefined {
  if (config === undefined) return () => undefined;
  const nameOf = claimReader(config.claim);
  const groupsOf = config.groups === undefined ? (): undefined => undefined : claimReader(config.groups);
  return (claims) => {
    const name = nameOf(claims);
    if (typeof name !== 'string' || name === '') return undefined;
    return consumerOf({ name, groups: textsOf(groupsOf(claims)), labels: {} });
  };
}

interface ClaimHeader {
  readonly claim: string;
  readonly header: string;
  /** Between the items of a list. */
  readonly separator?: string;
}

export type HeaderLines = readonly (readonly [name: string, value: string])[];

/** Claims as header fields for upstreams. What cannot be one is left out: nothing is repaired into another value. */
export class ClaimHeaders {
  readonly #parts: readonly { readonly header: string; readonly read: ClaimReader; readonly separator: string }[];
  readonly #names: readonly string[];

  constructor(config: readonly ClaimHeader[]) {
    this.#parts = config.map(({ claim, header, separator = ',' }) => ({ header, read: claimReader(claim), separator }));
    this.#names = [...new Set(config.map(({ header }) => header.toLowerCase()))];
  }

  get isEmpty(): boolean {
    return this.#names.length === 0;
  }

  /** What a client sends under these names is never passed on. */
  strip(headers: Headers): void {
    for (const name of this.#names) headers.deleteAlike(name);
  }

  /** @param onDropped  is called for each claim that is there and is no header value */
  linesOf(claims: Claims, onDropped: () => void): HeaderLines {
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
  const items = (Array.isArray(value) ? value : [value]).map(scalarText);
  // `["a,admin"]` must not read like `["a","admin"]`.
  if (items.some((item) => item === undefined || (Array.isArray(value) && item.includes(separator)))) return undefined;
  return fieldValueOf(items.join(separator));
}

function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}
