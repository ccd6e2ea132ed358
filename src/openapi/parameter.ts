/** Parameters as requests spell them: styles, explode, and types by their schemas (OpenAPI 3.1.1 section 4.8.12). */
import { entriesOf, isNode, type Node, type OpenApiDocument } from './document.ts';
import type { Operation } from './operations.ts';
import { propertyOf, typesOf } from './schema.ts';
import { within } from './wrong.ts';

export type Where = 'path' | 'query' | 'header' | 'cookie';

export interface Parameter {
  readonly name: string;
  readonly in: Where;
  readonly required: boolean;
  readonly style: string;
  readonly explode: boolean;
  /** Undefined where `content` says that it is JSON in a text. */
  readonly schema: unknown;
  /** Whether its text is JSON. */
  readonly isJson: boolean;
  readonly shape: 'primitive' | 'array' | 'object';
}

export interface LocatedParameter extends Parameter {
  /** JSON pointer. */
  readonly pointer: string;
}

const STYLE_OF: Readonly<Record<Where, string>> = { path: 'simple', query: 'form', header: 'simple', cookie: 'form' };

/** OpenAPI 3.1.1 section 4.8.12.1: said elsewhere in the document. */
const IGNORED_HEADERS: ReadonlySet<string> = new Set(['accept', 'content-type', 'authorization']);

/** Those of the operation and of its path; the operation has the last word. */
export function parametersOf(document: OpenApiDocument, operation: Operation): readonly LocatedParameter[] {
  const { node, pathItem, pointer, pathPointer } = operation;
  const found = new Map<string, LocatedParameter>();
  for (const [list, owner] of [
    [pathItem['parameters'], pathPointer],
    [node['parameters'], pointer],
  ] as const) {
    if (!Array.isArray(list)) continue;
    list.forEach((one: unknown, i) => {
      const at = `${owner}/parameters/${i}`;
      const parameter = within(at, () => parameterOf(document, document.resolved(one)));
      if (parameter !== undefined) found.set(`${parameter.in} ${parameter.name}`, { ...parameter, pointer: at });
    });
  }
  return [...found.values()];
}

function parameterOf(document: OpenApiDocument, node: Node): Parameter | undefined {
  const where = node['in'] as Where;
  const rawName = node['name'];
  if (!(where in STYLE_OF) || typeof rawName !== 'string') return undefined;
  const name = where === 'header' ? rawName.toLowerCase() : rawName;
  if (where === 'header' && IGNORED_HEADERS.has(name)) return undefined;
  const [media] = entriesOf(node['content']);
  return {
    name,
    in: where,
    required: node['required'] === true || where === 'path',
    ...spellingOf(document, node, STYLE_OF[where]),
    ...(media !== undefined && { schema: media[1]['schema'], isJson: /json/i.test(media[0]), shape: 'primitive' }),
  };
}

type Spelling = Pick<Parameter, 'style' | 'explode' | 'schema' | 'isJson' | 'shape'>;

/** Also of a property of a form, by its entry in `encoding`. */
export function spellingOf(document: OpenApiDocument, node: Node, defaultStyle: string): Spelling {
  const style = typeof node['style'] === 'string' ? node['style'] : defaultStyle;
  const explode = typeof node['explode'] === 'boolean' ? node['explode'] : style === 'form';
  const types = typesOf(document, node['schema']);
  const shape = types.has('array') ? 'array' : types.has('object') ? 'object' : 'primitive';
  return { style, explode, schema: node['schema'], isJson: false, shape };
}

/** What a parameter says, or `undefined` when it is not there, or that it cannot be read. */
export type Decoded = { readonly value: unknown } | { readonly bad: string } | undefined;

const BAD_SPELLING: Decoded = { bad: 'is not spelled as its style wants' };
const BAD_ESCAPE: Decoded = { bad: 'is not percent-encoded UTF-8' };
const TWICE: Decoded = { bad: 'is there more than once' };

/** Items of one parameter. */
const ITEMS_MAX = 1_000;

class Decoder {
  readonly #document: OpenApiDocument;
  readonly #parameter: Spelling;
  readonly #decode: (text: string) => string;

  constructor(document: OpenApiDocument, parameter: Spelling, decode: (text: string) => string) {
    this.#document = document;
    this.#parameter = parameter;
    this.#decode = decode;
  }

  primitive(text: string): Decoded {
    const decoded = this.#decode(text);
    if (!this.#parameter.isJson) return { value: coerced(decoded, typesOf(this.#document, this.#parameter.schema)) };
    try {
      return { value: JSON.parse(decoded) as unknown };
    } catch {
      return { bad: 'is not JSON' };
    }
  }

  items(texts: readonly string[]): Decoded {
    if (texts.length > ITEMS_MAX) return { bad: `has more than ${ITEMS_MAX} items` };
    const types = typesOf(this.#document, this.#document.resolved(this.#parameter.schema)['items']);
    return { value: texts.map((text) => coerced(this.#decode(text), types)) };
  }

  fields(pairs: readonly (readonly [name: string, text: string])[]): Decoded {
    if (pairs.length > ITEMS_MAX) return { bad: `has more than ${ITEMS_MAX} fields` };
    const value: Record<string, unknown> = {};
    for (const [rawName, text] of pairs) {
      const name = this.#decode(rawName);
      if (Object.hasOwn(value, name)) return TWICE;
      const types = typesOf(this.#document, propertyOf(this.#document, this.#parameter.schema, name));
      // Not an assignment: a name may be `__proto__`.
      Object.defineProperty(value, name, {
        value: coerced(this.#decode(text), types),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return { value };
  }

  /** `a,1,b,2`, or `a=1,b=2` where it explodes. */
  listed(parts: readonly string[], how: 'exploded' | 'flat'): Decoded {
    if (this.#parameter.shape === 'array') return this.items(parts);
    if (how === 'exploded') {
      const pairs = parts.map(pairOf);
      return pairs.every((pair) => pair !== undefined) ? this.fields(pairs) : BAD_SPELLING;
    }
    if (parts.length % 2 !== 0) return BAD_SPELLING;
    return this.fields(Array.from({ length: parts.length / 2 }, (_, i) => [parts[2 * i]!, parts[2 * i + 1]!] as const));
  }
}

function pairOf(text: string): readonly [string, string] | undefined {
  const equals = text.indexOf('=');
  return equals < 0 ? undefined : [text.slice(0, equals), text.slice(equals + 1)];
}

/** A text as what its schema says, where it can be read so; the schema judges the rest. */
function coerced(text: string, types: ReadonlySet<string>): unknown {
  const isNumber = types.has('integer') || types.has('number');
  if (isNumber && text.length <= 64 && /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)) {
    const number = Number(text);
    if (Number.isFinite(number)) return number;
  }
  if (types.has('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  if (types.has('null') && (text === 'null' || (text === '' && !types.has('string')))) return null;
  return text;
}

/** A part of a path: what stands in place of `{name}`. */
export function decodePathPart(document: OpenApiDocument, parameter: Parameter, raw: string): Decoded {
  const { style, explode, shape, name } = parameter;
  const decoder = new Decoder(document, parameter, decodeURIComponent);
  return guarded(() => {
    const how = explode ? 'exploded' : 'flat';
    if (style === 'label') {
      if (!raw.startsWith('.')) return BAD_SPELLING;
      const rest = raw.slice(1);
      if (shape === 'primitive') return decoder.primitive(rest);
      return decoder.listed(rest.split(explode ? '.' : ','), how);
    }
    if (style === 'matrix') return decodeMatrix(decoder, parameter, raw);
    if (style !== 'simple') return { bad: `of "${name}" has a style that paths do not have` };
    return shape === 'primitive' ? decoder.primitive(raw) : decoder.listed(raw.split(','), how);
  });
}

/** `;name=a`, `;name=a,b`, `;name=a;name=b`, `;x=1;y=2`. */
function decodeMatrix(decoder: Decoder, { name, explode, shape }: Parameter, raw: string): Decoded {
  if (!raw.startsWith(';')) return BAD_SPELLING;
  const parts = raw.slice(1).split(';');
  if (explode && shape === 'object') return decoder.listed(parts, 'exploded');
  const texts: string[] = [];
  for (const part of parts) {
    const [partName, text] = pairOf(part) ?? [part, ''];
    if (partName !== name) return BAD_SPELLING;
    texts.push(text);
  }
  if (explode && shape === 'array') return decoder.items(texts);
  if (texts.length !== 1) return TWICE;
  return shape === 'primitive' ? decoder.primitive(texts[0]!) : decoder.listed(texts[0]!.split(','), 'flat');
}

export function decodeHeader(document: OpenApiDocument, parameter: Spelling, raw: string | undefined): Decoded {
  if (raw === undefined) return undefined;
  const decoder = new Decoder(document, parameter, (text) => text);
  if (parameter.shape === 'primitive') return decoder.primitive(raw);
  const parts = raw.split(',').map((part) => part.trim());
  return decoder.listed(parts, parameter.explode ? 'exploded' : 'flat');
}

/** Names and values as they came, in order: of a query, a form, or cookies. */
export type RawPairs = readonly (readonly [name: string, value: string])[];

/** At most so many are looked at; a query is bounded by the request line, a form by what may be held. */
const PAIRS_MAX = 10_000;

/** `a=1&b=2` without its `?`; names decoded, values as they came. Undefined when it cannot be read. */
export function pairsOf(text: string): RawPairs | undefined {
  if (text === '') return [];
  const parts = text.split('&');
  if (parts.length > PAIRS_MAX) return undefined;
  try {
    return parts
      .filter((part) => part !== '')
      .map((part) => {
        const equals = part.indexOf('=');
        return equals < 0
          ? ([decodeForm(part), ''] as const)
          : ([decodeForm(part.slice(0, equals)), part.slice(equals + 1)] as const);
      });
  } catch {
    return undefined;
  }
}

/** RFC 6265 section 4.2.1: no percent-encoding is meant, but most write it. */
export function cookiePairsOf(text: string): RawPairs {
  return text.split(';', PAIRS_MAX).flatMap((part) => {
    const pair = pairOf(part.trim());
    return pair === undefined ? [] : [pair];
  });
}

function decodeForm(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

/** A parameter of a query, of cookies, or a property of a form. `seen` gets the names that it takes. */
export function decodeNamed(
  document: OpenApiDocument,
  parameter: Spelling & { readonly name: string },
  { pairs, seen }: { readonly pairs: RawPairs; readonly seen: Set<string> },
): Decoded {
  const { name, style, explode, shape } = parameter;
  const decoder = new Decoder(document, parameter, decodeForm);
  return guarded(() => {
    if (shape === 'object' && style === 'deepObject') return deepObject(decoder, name, { pairs, seen });
    if (shape === 'object' && explode && style === 'form') return spread(document, parameter, { pairs, seen, decoder });
    const texts = pairs.filter(([one]) => one === name).map(([, text]) => text);
    if (texts.length === 0) return undefined;
    seen.add(name);
    if (shape === 'array' && explode) return decoder.items(texts);
    if (texts.length > 1) return TWICE;
    if (shape === 'primitive') return decoder.primitive(texts[0]!);
    const between = style === 'spaceDelimited' ? /%20|\+/ : style === 'pipeDelimited' ? /\||%7C/i : ',';
    return decoder.listed(texts[0]!.split(between), 'flat');
  });
}

interface Reading {
  readonly pairs: RawPairs;
  readonly seen: Set<string>;
}

function deepObject(decoder: Decoder, name: string, { pairs, seen }: Reading): Decoded {
  const own = pairs.filter(([one]) => one.startsWith(`${name}[`) && one.endsWith(']'));
  if (own.length === 0) return undefined;
  for (const [one] of own) seen.add(one);
  // Names are decoded already, and are encoded again for the decoder, which decodes all.
  return decoder.fields(own.map(([one, text]) => [encodeURIComponent(one.slice(name.length + 1, -1)), text] as const));
}

/** Each property is a parameter of its own; what the schema does not name belongs to others. */
function spread(document: OpenApiDocument, { schema }: Spelling, reading: Reading & { decoder: Decoder }): Decoded {
  const { pairs, seen, decoder } = reading;
  const own = pairs.filter(([one]) => isNode(propertyOf(document, schema, one)));
  if (own.length === 0) return undefined;
  for (const [one] of own) seen.add(one);
  return decoder.fields(own.map(([one, text]) => [encodeURIComponent(one), text] as const));
}

function guarded(run: () => Decoded): Decoded {
  try {
    return run();
  } catch (error) {
    if (error instanceof URIError) return BAD_ESCAPE;
    throw error;
  }
}
