/** What of the head of an answer is kept (RFC 9111 sections 3.1 and 3.2). */
import type { Headers } from '../../http/headers.ts';
import type { Lines } from './stored.ts';

export interface LineRules {
  /** Not for clients: fields that are meant for us, tags. Lower case. */
  readonly hidden: ReadonlySet<string>;
  /** Fields that hold tags. Lower case. */
  readonly tags: readonly string[];
  readonly setCookie: 'refuse' | 'strip';
}

/**
 * Of one hop, or of the client that asked: never kept. What Connection names and what frames the message the codec has
 * set apart before. Age is counted here; Warning has no meaning any more (RFC 9111 section 5.5).
 */
const NEVER: ReadonlySet<string> = new Set([
  'age',
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'warning',
]);

/** They speak of the content that is stored, which a 304 does not bring (RFC 9111 section 3.2). */
const OF_CONTENT: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-md5',
  'content-range',
  'content-digest',
  'repr-digest',
  'etag',
]);

export interface KeptLines {
  readonly lines: Lines;
  readonly hidden: Lines;
}

export function keptLines(headers: Headers, rules: LineRules): KeptLines {
  const lines: string[] = [];
  const hidden: string[] = [];
  headers.forEach((name, value) => {
    const lowerName = name.toLowerCase();
    if (NEVER.has(lowerName) || !isLine(value)) return;
    if (rules.setCookie === 'strip' && (lowerName === 'set-cookie' || lowerName === 'set-cookie2')) return;
    (rules.hidden.has(lowerName) ? hidden : lines).push(name, value);
  });
  return { lines, hidden };
}

/** The codec has checked it; what is sent to many is checked twice, so that no defect there can split an answer. */
function isLine(value: string): boolean {
  return !/[\r\n\0]/.test(value);
}

/** RFC 9111 section 3.2: what the 304 says takes the place of what is stored. */
export function freshened(stored: Headers, answer: Headers): Headers {
  const seen = new Set<string>();
  answer.forEach((name, value) => {
    const lowerName = name.toLowerCase();
    if (NEVER.has(lowerName) || OF_CONTENT.has(lowerName)) return;
    if (!seen.has(lowerName)) {
      seen.add(lowerName);
      stored.delete(lowerName);
    }
    stored.add(name, value);
  });
  return stored;
}

/** Tags of one answer. Beyond, the rest is not looked at. */
const TAGS_MAX = 128;
const TAG_CHARS_MAX = 256;

/** Of all fields that hold them; between them are spaces or commas. */
export function tagsOf(headers: Headers, fields: readonly string[]): readonly string[] {
  const tags = new Set<string>();
  for (const field of fields) {
    const value = headers.combined(field);
    if (value === undefined) continue;
    for (const tag of value.split(/[\s,]+/, TAGS_MAX + 1)) {
      if (tag !== '' && tag.length <= TAG_CHARS_MAX && tags.size < TAGS_MAX) tags.add(tag);
    }
  }
  return [...tags];
}
