/** The smallest value that a schema allows, where no example says one. Always the same one, and bounded. */
import { entriesOf, isNode, type Node, type OpenApiDocument } from '../../openapi/document.ts';
import { typesOf } from '../../openapi/schema.ts';

/** Schemas inside schemas. Answers that are deeper are none that people write. */
const DEPTH_MAX = 16;
/** Values of one sample: lists in lists grow with the power of their depth. */
const VALUES_MAX = 5_000;
/** Items of a list that has to have some. */
const ITEMS_MAX = 100;
const CHARS_MAX = 1_000;

/** Nothing is known, or there is no more room. */
const ABSENT = Symbol('absent');

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  duration: 'PT1S',
  email: 'user@example.com',
  'idn-email': 'user@example.com',
  hostname: 'example.com',
  'idn-hostname': 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  url: 'https://example.com/',
  'uri-reference': '/',
  'uri-template': '/{id}',
  iri: 'https://example.com/',
  'json-pointer': '',
  regex: '.*',
  uuid: '00000000-0000-4000-8000-000000000000',
  byte: '',
  binary: '',
};

/**
 * A value for a schema of an answer; undefined where the schema says nothing.
 *
 * @throws {Error} on a reference that leads nowhere
 */
export function sampleOf(document: OpenApiDocument, schema: unknown): unknown {
  const value = new Sampler(document).value(schema);
  return value === ABSENT ? undefined : value;
}

class Sampler {
  readonly #document: OpenApiDocument;
  /** Schemas that are being made: one of them again is a circle. */
  readonly #open = new Set<Node>();
  #count = 0;

  constructor(document: OpenApiDocument) {
    this.#document = document;
  }

  value(schema: unknown): unknown {
    const said = statedOf(schema);
    if (said !== ABSENT) return said;
    const node = this.#document.resolved(schema);
    const stated = statedOf(node);
    if (stated !== ABSENT) return stated;
    if (this.#open.has(node) || this.#open.size >= DEPTH_MAX || this.#count >= VALUES_MAX) return ABSENT;
    this.#count++;
    this.#open.add(node);
    const made = this.#made(node);
    this.#open.delete(node);
    return made;
  }

  #made(node: Node): unknown {
    const own = this.#byType(node);
    const parts = [own];
    if (Array.isArray(node['allOf'])) parts.push(...(node['allOf'] as unknown[]).map((one) => this.value(one)));
    for (const word of ['oneOf', 'anyOf']) if (Array.isArray(node[word])) parts.push(this.#first(node[word]));
    const known = parts.filter((part) => part !== ABSENT);
    const objects = known.filter(isNode);
    // Of parts that are objects each says some of the fields.
    if (objects.length > 0) return merged(objects);
    return known.length > 0 ? known[0] : ABSENT;
  }

  /** The first alternative that has a value. */
  #first(alternatives: readonly unknown[]): unknown {
    for (const one of alternatives) {
      const value = this.value(one);
      if (value !== ABSENT) return value;
    }
    return ABSENT;
  }

  #byType(node: Node): unknown {
    const combines = ['allOf', 'oneOf', 'anyOf'].some((word) => Array.isArray(node[word]));
    const types = [
      ...typesOf(this.#document, combines ? { type: node['type'], properties: node['properties'] } : node),
    ];
    // Null is the last choice.
    switch (types.find((type) => type !== 'null') ?? types[0]) {
      case 'object':
        return combines && !isNode(node['properties']) ? ABSENT : this.#object(node);
      case 'array':
        return this.#array(node);
      case 'string':
        return combines ? ABSENT : textOf(node);
      case 'integer':
        return combines ? ABSENT : numberOf(node, 1);
      case 'number':
        return combines ? ABSENT : numberOf(node, undefined);
      case 'boolean':
        return combines ? ABSENT : false;
      case 'null':
        return null;
      default:
        return ABSENT;
    }
  }

  #object(node: Node): unknown {
    const required = Array.isArray(node['required']) ? (node['required'] as unknown[]) : [];
    const fields: [string, unknown][] = [];
    for (const [name, property] of entriesOf(node['properties'])) {
      if (this.#document.resolved(property)['writeOnly'] === true) continue;
      const value = this.value(property);
      // A circle, or no room: null says at least that the field exists.
      if (value !== ABSENT) fields.push([name, value]);
      else if (required.includes(name)) fields.push([name, null]);
    }
    return Object.fromEntries(fields);
  }

  #array(node: Node): unknown[] {
    const least = boundOf(node['minItems']) ?? 1;
    const count = Math.min(Math.max(least, 1), boundOf(node['maxItems']) ?? ITEMS_MAX, ITEMS_MAX);
    const prefix = Array.isArray(node['prefixItems']) ? (node['prefixItems'] as unknown[]) : [];
    const items: unknown[] = [];
    for (let i = 0; i < Math.max(count, Math.min(prefix.length, ITEMS_MAX)); i++) {
      const value = this.value(prefix[i] ?? node['items']);
      if (value === ABSENT) break;
      items.push(value);
    }
    return items;
  }
}

/** What the author of a schema says that values look like. */
function statedOf(schema: unknown): unknown {
  if (!isNode(schema)) return ABSENT;
  if (schema['example'] !== undefined) return schema['example'];
  if (Array.isArray(schema['examples']) && schema['examples'].length > 0) return schema['examples'][0] as unknown;
  if (schema['default'] !== undefined) return schema['default'];
  if (schema['const'] !== undefined) return schema['const'];
  if (Array.isArray(schema['enum']) && schema['enum'].length > 0) return schema['enum'][0] as unknown;
  return ABSENT;
}

function merged(objects: readonly Node[]): Node {
  return Object.fromEntries(objects.flatMap((one) => Object.entries(one)));
}

function boundOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function textOf(node: Node): string {
  const format = typeof node['format'] === 'string' ? node['format'] : '';
  if (Object.hasOwn(FORMATS, format)) return FORMATS[format]!;
  const least = Math.min(boundOf(node['minLength']) ?? 0, CHARS_MAX);
  return 'string'.padEnd(least, 'x').slice(0, boundOf(node['maxLength']) ?? CHARS_MAX);
}

/** Zero where it may be, else the nearest that may. @param step  of which it has to be a multiple */
function numberOf(node: Node, step: number | undefined): number {
  const by = typeof node['multipleOf'] === 'number' && node['multipleOf'] > 0 ? node['multipleOf'] : step;
  const low = limitOf(node, 'minimum', 'exclusiveMinimum');
  const high = limitOf(node, 'maximum', 'exclusiveMaximum');
  if (low !== undefined && (low.at > 0 || (low.at === 0 && low.isOut))) return near(low, by, 1);
  if (high !== undefined && (high.at < 0 || (high.at === 0 && high.isOut))) return near(high, by, -1);
  return 0;
}

interface Limit {
  readonly at: number;
  readonly isOut: boolean;
}

/** OpenAPI 3.0 says with a flag that a limit is exclusive, 3.1 with a limit of its own. */
function limitOf(node: Node, inclusive: string, exclusive: string): Limit | undefined {
  if (typeof node[exclusive] === 'number') return { at: node[exclusive], isOut: true };
  const at = node[inclusive];
  return typeof at === 'number' ? { at, isOut: node[exclusive] === true } : undefined;
}

function near({ at, isOut }: Limit, by: number | undefined, side: 1 | -1): number {
  if (by === undefined) return isOut ? at + side : at;
  const steps = side === 1 ? Math.ceil(at / by) : Math.floor(at / by);
  const nearest = steps * by;
  return isOut && nearest === at ? nearest + side * by : nearest;
}
