/** Finds where JSON text breaks the grammar (RFC 8259): `JSON.parse` says it of some mistakes only. */

export interface JsonMistake {
  readonly offset: number;
  readonly expected: string;
  readonly got: string;
}

const SPACE = /[ \t\r\n]*/y;
const TOKEN =
  /[{}[\],:]|"(?:[^"\\\0-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.+-])|(?:true|false|null)(?!\w)/y;

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
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    const next: State | undefined = token === undefined ? undefined : after(state, token, open);
    if (next === undefined) return { offset: at, expected: expectedIn(state, open.at(-1)), got: gotAt(text, at) };
    state = next;
    at += token!.length;
  }
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

function gotAt(text: string, at: number): string {
  if (at >= text.length) return 'the end of the file';
  const word = /[\w.+-]{1,20}|./suy;
  word.lastIndex = at;
  return JSON.stringify(word.exec(text)![0]);
}
