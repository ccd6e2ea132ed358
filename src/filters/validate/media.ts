/** Bodies by their Content-Type: which entry of `content` is meant, and what it demands. */
import type { ValidateFunction } from 'ajv';
import { type JsonBounds, readJson } from '../../base/strict-json.ts';
import type { Headers } from '../../http/headers.ts';
import { entriesOf, isNode, type Node, type OpenApiDocument } from '../../openapi/document.ts';
import { decodeNamed, pairsOf, spellingOf } from '../../openapi/parameter.ts';
import { partNames } from './multipart.ts';
import { type Issue, issuesOf, type Validators } from './validators.ts';

export const FORM_TYPE = 'application/x-www-form-urlencoded';
export const MULTIPART_TYPE = 'multipart/form-data';

/** RFC 9110 sections 8.3.1 and 5.6.6. */
const MEDIA_TYPE = /^[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(?=;|$)/;
const PARAMETER = /;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[^"\\]|\\.)*"))?[ \t]*/y;

/**
 * `type/subtype` in lower case, and the charset. Undefined for what is no media type, and for what readers take for different ones:
 * a charset that is there twice, several types.
 */
export function typeOf(contentType: string): { readonly type: string; readonly charset: string } | undefined {
  const found = MEDIA_TYPE.exec(contentType);
  if (found === null) return undefined;
  let charset: string | undefined;
  PARAMETER.lastIndex = found[0].length;
  while (PARAMETER.lastIndex < contentType.length) {
    const parameter = PARAMETER.exec(contentType);
    if (parameter === null) return undefined;
    const [, name, value = ''] = parameter;
    if (name?.toLowerCase() !== 'charset') continue;
    if (charset !== undefined) return undefined;
    charset = value.replace(/^"(.*)"$/, '$1').toLowerCase();
  }
  return { type: found[1]!.toLowerCase(), charset: charset ?? '' };
}

/** Of several lines it is no type: services take the first, or the last. */
export function typeIn(headers: Headers): ReturnType<typeof typeOf> {
  return typeOf(headers.combined('content-type') ?? '');
}

/** RFC 8259 section 8.1: JSON is UTF-8, whatever else is said. */
export function isUtf8(charset: string): boolean {
  return charset === '' || charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii';
}

export function isJsonType(type: string): boolean {
  return /^[^/]+\/(?:[^/]*\+)?json$/.test(type);
}

/** The entry that fits best: the type itself, then `type/*`, then `*` and a slash and `*` (OpenAPI 3.1.1 section 4.8.17). */
export function mediaOf(content: unknown, type: string): Node | undefined {
  const entries = entriesOf(content);
  const main = `${type.split('/', 1)[0]}/*`;
  for (const wanted of [type, main, '*/*']) {
    const found = entries.find(([range]) => range.split(';', 1)[0]!.trim().toLowerCase() === wanted);
    if (found !== undefined) return found[1];
  }
  return undefined;
}

/** What came of a body. `malformed`: it is none of its type. */
export type BodyCheck =
  | { readonly kind: 'checked'; readonly issues: readonly Issue[]; readonly value: unknown }
  | { readonly kind: 'malformed'; readonly why: string };

const FINE: BodyCheck = { kind: 'checked', issues: [], value: undefined };

/** A body as it came, and the bounds of the rule. */
export interface SentBody extends JsonBounds {
  readonly contentType: string;
  readonly body: Buffer;
}

export type CheckBody = (sent: SentBody) => BodyCheck;

export interface MediaContext {
  readonly document: OpenApiDocument;
  readonly validators: Validators;
  /** Whether bodies of a type are looked at in this direction. */
  readonly reads: (type: string) => boolean;
}

/** Looks at bodies of this type; undefined where nothing is to be looked at, so that they stream. */
export function bodyCheckOf(type: string, media: Node, context: MediaContext): CheckBody | undefined {
  const { schema } = media;
  if (!isNode(schema) && schema !== false) return undefined;
  if (isJsonType(type)) return jsonCheck(context.validators.of(schema));
  if (!isNode(schema)) return undefined;
  if (type === FORM_TYPE) return formCheck(schema, media, context);
  if (type === MULTIPART_TYPE) return multipartCheck(schema, context.document);
  return undefined;
}

export function jsonCheck(validate: ValidateFunction): CheckBody {
  return ({ body, depthMax }) => {
    const read = readJson(body, { depthMax });
    if (!read.ok) return { kind: 'malformed', why: read.refused };
    if (validate(read.value) === true) return { kind: 'checked', issues: [], value: read.value };
    return { kind: 'checked', issues: issuesOf(validate.errors, { in: 'body' }), value: read.value };
  };
}

function formCheck(schema: Node, media: Node, { document, validators }: MediaContext): CheckBody {
  const properties = entriesOf(document.resolved(schema)['properties']);
  const validate = validators.of(schema);
  return ({ body }) => {
    const pairs = pairsOf(body.toString('latin1'));
    if (pairs === undefined) return { kind: 'malformed', why: 'It is no form' };
    const seen = new Set<string>();
    // A null prototype: a field may be called `__proto__`.
    const value = Object.create(null) as Record<string, unknown>;
    for (const [name, property] of properties) {
      const encoding = isNode(media['encoding']) ? media['encoding'][name] : undefined;
      const spelling = spellingOf(document, { ...(isNode(encoding) && encoding), schema: property }, 'form');
      const decoded = decodeNamed(document, { name, ...spelling }, { pairs, seen });
      if (decoded === undefined) continue;
      if ('bad' in decoded) return { kind: 'checked', issues: [{ in: 'body', name, message: decoded.bad }], value };
      value[name] = decoded.value;
    }
    for (const [name] of pairs) if (!seen.has(name)) value[name] = '';
    if (validate(value) === true) return { kind: 'checked', issues: [], value };
    return { kind: 'checked', issues: issuesOf(validate.errors, { in: 'body' }), value };
  };
}

function multipartCheck(schema: Node, document: OpenApiDocument): CheckBody {
  const node = document.resolved(schema);
  const required = Array.isArray(node['required']) ? (node['required'] as unknown[]).map(String) : [];
  const known = new Set(entriesOf(node['properties']).map(([name]) => name));
  const isClosed = node['additionalProperties'] === false;
  return ({ contentType, body }) => {
    const names = partNames(contentType, body);
    if (names === undefined) return { kind: 'malformed', why: 'It is no multipart form' };
    const issues: Issue[] = required
      .filter((name) => !names.includes(name))
      .map((name) => ({ in: 'body', name, message: 'must have a part of this name' }));
    if (isClosed && names.some((name) => !known.has(name))) {
      issues.push({ in: 'body', message: 'must NOT have parts of other names' });
    }
    return issues.length === 0 ? FINE : { kind: 'checked', issues, value: undefined };
  };
}
