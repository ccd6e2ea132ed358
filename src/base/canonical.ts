import { createHash } from 'node:crypto';

/** JSON with sorted keys and no white space: equal values give equal bytes (RFC 8785 without its number rules). */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return canonicalArray(value);
  const record = value as Record<string, unknown>;
  // Plans are hashed part by part, thousands at a start: one string that grows, and no list in between.
  let text = '';
  for (const key of Object.keys(record).toSorted()) {
    const item = record[key];
    if (item === undefined) continue;
    text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${canonicalJson(item)}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

function canonicalArray(items: readonly unknown[]): string {
  let text = '';
  for (const item of items) text += `${text === '' ? '[' : ','}${canonicalJson(item ?? null)}`;
  return text === '' ? '[]' : `${text}]`;
}

/** SHA-256 of the canonical JSON, as 64 hex digits. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** SHA-256 of a text, as 64 hex digits. */
export function hashText(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
