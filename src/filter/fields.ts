/** Header fields as filters' configurations name them. */
import { Type } from '../schema/schema.ts';

/**
 * Names that a configuration may not touch: they frame the message or speak of
 * one connection only (RFC 9110 section 7.6.1, RFC 9112 section 6), and the
 * codec writes its own. Lower case.
 */
export const FORBIDDEN_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Any case of each forbidden name, as a pattern: JSON Schema has no flag for it. */
const FORBIDDEN = [...FORBIDDEN_FIELDS]
  .map((name) => name.replace(/[a-z]/g, (c) => `[${c}${c.toUpperCase()}]`))
  .join('|');

/** RFC 9110 section 5.1: a token; and none of {@link FORBIDDEN_FIELDS}. */
export const FieldName = Type.String({
  minLength: 1,
  maxLength: 256,
  pattern: `^(?!(?:${FORBIDDEN})$)[!#$%&'*+.^_\`|~0-9A-Za-z-]+$`,
  expected: 'a header name that is not one of framing or of the connection',
  description:
    'Name of the field, in any case. Fields of framing and of the connection (Connection, Content-Length, Transfer-Encoding and the like) are refused: the proxy writes its own.',
});

/** Longest value, as upstreams bound their heads. */
const VALUE_BYTES_MAX = 4096;

/** RFC 9110 section 5.5, as latin1 characters. */
export const FieldValue = Type.String({
  maxLength: VALUE_BYTES_MAX,
  pattern: '^(?:[\\x21-\\x7e\\x80-\\xff](?:[\\t\\x20-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?)?$',
  expected: 'a header value: visible characters with spaces inside only',
  description: 'Value of the field. Control characters, and spaces at either end, are refused.',
});

/**
 * A text that comes from elsewhere as a value (RFC 9110 section 5.5): visible
 * characters with spaces inside; others than those of ASCII as the bytes of UTF-8.
 * Undefined when it is none.
 */
export function fieldValueOf(text: string): string | undefined {
  if (text.length > VALUE_BYTES_MAX || !text.isWellFormed()) return undefined;
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  if (bytes.length > VALUE_BYTES_MAX) return undefined;
  return /^[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/.test(bytes) ? bytes : undefined;
}

export const Field = Type.Object({ name: FieldName, value: FieldValue }, { additionalProperties: false });

/** A duration of Gateway API (GEP-2257) for a filter, which reads it with `parseDuration` of base/duration.ts. */
export function durationField(said: { readonly description: string; readonly default?: string }): typeof Duration {
  return { ...Duration, ...said };
}

const Duration = Type.String({
  pattern: '^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$',
  expected: 'a duration such as "10s", "1m30s" or "500ms"',
});

/** What a challenge calls the place that credentials are for (RFC 9110 section 11.5): a quoted text that needs no escapes. */
export function realmField(description: string): ReturnType<typeof Type.String> {
  return Type.String({
    minLength: 1,
    maxLength: 128,
    pattern: '^[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]+$',
    expected: 'visible ASCII without quotation marks and backslashes',
    default: 'api',
    description,
  });
}
