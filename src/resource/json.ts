/** Finds where JSON text breaks the grammar (RFC 8259): `JSON.parse` says it of some mistakes only. */

export interface JsonMistake {
  readonly offset: number;
  readonly expected: string;
  readonly got: string;
}

const SPACE = /[ \t\r\n]*/y;
const TOKEN = /[{}[\],:]|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.+-])|(?:true|false|null)(?!\w)/y;

/**
 * Offset behind the string in double quotes that begins at `start`, or -1 when
 * it breaks the grammar. A loop, because a regular expression that repeats a
 * choice fills the stack on strings of a megabyte, which Secrets have.
 */
export function jsonStringEnd(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const code = text.charCodeAt(at);
    if (code === DOUBLE_QUOTE) return at + 1;
    if (code === BACKSLASH) {
      at++;
      if (text[at] === 'u' && HEX.test(text.slice(at + 1, at + 5))) at += 4;
      else if (!ESCAPES.has(text[at] ?? '')) return -1;
    } else if (!(code >= 0x20)) return -1; // Also NaN: the text ends inside the string.
  }
}

const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX = /^[0-9a-fA-F]{4}$/;
const ESCAPES: ReadonlySet<string> = new Set('"\\/bfnrt');

/** What may come next. */
type State = 'value' | 'value or ]' | 'name' | 'name or }' | 'colon' | 'comma' | 'end';

/** @param text  something that `JSON.parse` refuses */
export function findJsonMistake(text: string): JsonMistake {
  const open: ('{' | '[')[] = [];
  let state: State = 'value';
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    SPACE.test(text);
    at = SPACE.lastIndex;
    const token = tokenAt(text, at);
    const next: State | undefined = token === undefined ? undefined : after(state, token, open);
    if (next === undefined) return { offset: at, expected: expectedIn(state, open.at(-1)), got: gotAt(text, at) };
    state = next;
    at += token!.length;
  }
}

function tokenAt(text: string, at: number): string | undefined {
  if (text[at] === '"') {
    const end = jsonStringEnd(text, at);
    return end === -1 ? undefined : text.slice(at, end);
  }
  TOKEN.lastIndex = at;
  return TOKEN.exec(text)?.[0];
}

/** The state after a token, or undefined when it may not stand here. Keeps `open`, the collections around. */
function after(state: State, token: string, open: ('{' | '[')[]): State | undefined {
  const closes = state === 'comma' || state === 'name or }' || state === 'value or ]';
  if (token === '}' || token === ']') {
    const isOwn = open.at(-1) === (token === '}' ? '{' : '[') && closes;
    if (!isOwn) return undefined;
    open.pop();
    return open.length === 0 ? 'end' : 'comma';
  }
  switch (state) {
    case 'value':
    case 'value or ]':
      if (token === ',' || token === ':') return undefined;
      if (token === '{' || token === '[') {
        open.push(token);
        return token === '{' ? 'name or }' : 'value or ]';
      }
      return open.length === 0 ? 'end' : 'comma';
    case 'name':
    case 'name or }':
      return token.startsWith('"') ? 'colon' : undefined;
    case 'colon':
      return token === ':' ? 'value' : undefined;
    case 'comma':
      return token !== ',' ? undefined : open.at(-1) === '{' ? 'name' : 'value';
    case 'end':
      return undefined;
  }
}

function expectedIn(state: State, collection: '{' | '[' | undefined): string {
  switch (state) {
    case 'value':
    case 'value or ]':
      return 'a value';
    case 'name':
    case 'name or }':
      return 'a name in double quotes';
    case 'colon':
      return '":"';
    case 'comma':
      return collection === '{' ? '"," or "}"' : '"," or "]"';
    case 'end':
      return 'the end of the file';
  }
}

/** One character only: what stands here without quotes may be a secret. */
function gotAt(text: string, at: number): string {
  return at >= text.length ? 'the end of the file' : JSON.stringify(String.fromCodePoint(text.codePointAt(at)!));
}
