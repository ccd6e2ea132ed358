/** What was seen and is not in the document: bounded, counted, and free of values. */
import type { Env } from '../../filter/env.ts';
import { entriesOf, isNode, type OpenApiDocument } from '../../openapi/document.ts';
import { propertyOf } from '../../openapi/schema.ts';

export type DriftKind = 'path' | 'method' | 'query' | 'field' | 'status' | 'type';

export interface DriftEntry {
  readonly kind: DriftKind;
  /** `GET /users/{}`, `GET /users ?page`, `POST /users /address/zip`. */
  readonly what: string;
  readonly count: number;
}

const WHAT_CHARS_MAX = 256;

export class Drift {
  readonly #env: Env;
  readonly #entriesMax: number;
  readonly #counts = new Map<string, { readonly kind: DriftKind; readonly what: string; count: number }>();
  /** What came after there was no more room. */
  #others = 0;

  constructor(env: Env, entriesMax: number) {
    this.#env = env;
    this.#entriesMax = entriesMax;
  }

  see(kind: DriftKind, rawWhat: string): void {
    this.#env.count(`drift_${kind}`);
    const what = rawWhat.slice(0, WHAT_CHARS_MAX).replace(/[^\x20-\x7e]/g, '?');
    const key = `${kind} ${what}`;
    const known = this.#counts.get(key);
    if (known !== undefined) known.count++;
    else if (this.#counts.size >= this.#entriesMax) this.#others++;
    else {
      this.#counts.set(key, { kind, what, count: 1 });
      this.#env.warn('Seen what the OpenAPI document lacks', { kind, what });
    }
  }

  entries(): { readonly entries: readonly DriftEntry[]; readonly others: number } {
    return { entries: [...this.#counts.values()].map((entry) => ({ ...entry })), others: this.#others };
  }
}

const SEGMENTS_MAX = 16;

/** A path without what looks like the name of one thing: numbers, UUIDs, hashes, long words. */
export function templated(path: string): string {
  const segments = path.split('/', SEGMENTS_MAX).map((segment) => {
    const isOne = /^\d+$/.test(segment) || segment.length > 24 || segment.includes('%') || /\d.*\d.*\d/.test(segment);
    return isOne ? '{}' : segment;
  });
  return segments.join('/');
}

const DEPTH_MAX = 6;
const FIELDS_MAX = 20;

/** Pointers to fields that neither the schema nor one of its parts names; items of lists are `*`. */
export function unknownFields(document: OpenApiDocument, schema: unknown, value: unknown): string[] {
  const found: string[] = [];
  visit(document, { schema, value, pointer: '', found });
  return found;
}

interface Visit {
  readonly schema: unknown;
  readonly value: unknown;
  readonly pointer: string;
  readonly found: string[];
}

function visit(document: OpenApiDocument, { schema, value, pointer, found }: Visit): void {
  if (pointer.split('/').length > DEPTH_MAX || found.length >= FIELDS_MAX) return;
  const node = document.resolved(schema);
  if (Array.isArray(value)) {
    // One item speaks for the list.
    if (value.length > 0) visit(document, { schema: node['items'], value: value[0], pointer: `${pointer}/*`, found });
    return;
  }
  if (!isNode(value) || !namesProperties(document, node, 0)) return;
  for (const [name, inner] of Object.entries(value)) {
    if (found.length >= FIELDS_MAX) return;
    const property = propertyOf(document, node, name);
    if (property === undefined) found.push(`${pointer}/${name.slice(0, 64)}`);
    else visit(document, { schema: property, value: inner, pointer: `${pointer}/${name.slice(0, 64)}`, found });
  }
}

/** A schema that names none takes any. */
function namesProperties(document: OpenApiDocument, node: Readonly<Record<string, unknown>>, depth: number): boolean {
  if (entriesOf(node['properties']).length > 0) return true;
  if (depth > DEPTH_MAX) return false;
  return (['allOf', 'anyOf', 'oneOf'] as const).some(
    (word) =>
      Array.isArray(node[word]) &&
      node[word].some((one) => namesProperties(document, document.resolved(one), depth + 1)),
  );
}
