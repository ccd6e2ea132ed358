/**
 * JSON of tokens: an object whose members have different names, at every level
 * (RFC 7515 section 4 lets a reader refuse what two readers could take
 * differently), and not nested deeply.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

/** What signs tokens nests less; what reads them later does so recursively. */
const DEPTH_MAX = 32;

/** Undefined for anything else. Frozen at every level: it is shared by requests. */
export function parseStrictObject(text: string): JsonObject | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !isStrict(text)) return undefined;
  return freezeDeep(value as JsonObject);
}

/** @param text  valid JSON: only braces, brackets, commas and strings need be looked at */
function isStrict(text: string): boolean {
  // For each open brace the names so far, for each open bracket undefined.
  const open: (Set<string> | undefined)[] = [];
  let nameNext = false;
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) {
      const end = stringEnd(text, at);
      const names = open.at(-1);
      if (nameNext && names !== undefined) {
        const name = JSON.parse(text.slice(at, end)) as string;
        if (names.has(name)) return false;
        names.add(name);
      }
      nameNext = false;
      at = end - 1;
    } else if (c === BRACE_OPEN || c === BRACKET_OPEN) {
      if (open.length >= DEPTH_MAX) return false;
      nameNext = c === BRACE_OPEN;
      open.push(nameNext ? new Set() : undefined);
    } else if (c === BRACE_CLOSE || c === BRACKET_CLOSE) {
      open.pop();
      nameNext = false;
    } else if (c === COMMA) nameNext = open.at(-1) !== undefined;
  }
  return true;
}

/** Offset behind the closing quote. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at + 1;
}

function freezeDeep<T extends object>(value: T): T {
  for (const inner of Object.values(value))
    if (typeof inner === 'object' && inner !== null) freezeDeep(inner as object);
  return Object.freeze(value);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BRACKET_OPEN = 0x5b;
const BACKSLASH = 0x5c;
const BRACKET_CLOSE = 0x5d;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
