/**
 * Finds where the parts of an exported object literal stand in the text of a
 * TypeScript or JavaScript module, so that a problem can point at
 * `fourways.config.ts:12:9` although the running value knows no lines.
 *
 * This reads brackets, strings and comments, not the language. Where a part is
 * computed (a call, a spread, a variable) the search ends and the nearest place
 * around it is the answer: a place may be coarse, never wrong by more than that.
 */

/** Offset of each part by its JSON pointer; `''` is the object itself. */
export type Places = ReadonlyMap<string, number>;

/** More than any configuration has; a generated file of another shape ends here. */
const PLACES_MAX = 200_000;

/** Places of the parts of what the module exports by default; empty when that is no literal. */
export function literalPlaces(text: string): Places {
  const scan = new Scan(text);
  const start = scan.findExport();
  if (start !== undefined) scan.value(start, '');
  return scan.places;
}

/** The offset of the part, or of the nearest part around it that is known; 0 when none is. */
export function placeOf(places: Places, pointer: string): number {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
    const place = places.get(at);
    if (place !== undefined) return place;
    if (at === '') return 0;
  }
}

/** Offset at which each line begins. */
export function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** Line and column of an offset, from 1. */
export function positionAt(
  starts: readonly number[],
  offset: number,
): { readonly line: number; readonly column: number } {
  let line = 0;
  let end = starts.length;
  while (end - line > 1) {
    const middle = (line + end) >> 1;
    if (starts[middle]! <= offset) line = middle;
    else end = middle;
  }
  return { line: line + 1, column: offset - starts[line]! + 1 };
}

// All that is not ASCII counts as a letter: in a program that runs it is one. `\p{ID_Start}` would load the tables of
// Unicode, 6 MB in every process.
const NAME = /[A-Za-z$_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const KEY = /(?:'([^'\\\n]*)'|"([^"\\\n]*)"|(\d+)|([A-Za-z$_\u0080-\uffff][\w$\u0080-\uffff]*))\s*/y;

class Scan {
  readonly places = new Map<string, number>();
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Start of the literal behind `export default`, through one call (`defineConfig(`) or one variable. */
  findExport(): number | undefined {
    const found = /^export\s+default\s+|^module\.exports\s*=\s*/m.exec(this.#text);
    return found === null ? undefined : this.#literalFrom(found.index + found[0].length);
  }

  #literalFrom(start: number): number | undefined {
    const at = this.#skipSpace(start);
    if (this.#text[at] === '{') return at;
    const name = this.#match(NAME, at)?.[0];
    if (name === undefined) return undefined;
    const next = this.#skipSpace(at + name.length);
    if (this.#text[next] === '(') return this.#literalFrom(next + 1);
    const declared = new RegExp(`^(?:export\\s+)?(?:const|let|var)\\s+${RegExp.escape(name)}\\b[^=]*=`, 'm').exec(
      this.#text,
    );
    const literal = declared === null ? start : declared.index + declared[0].length;
    // Only ever towards the beginning: a name that stands for itself would go round for ever.
    return literal < start ? this.#literalFrom(literal) : undefined;
  }

  /** Notes the places inside the value that starts here. @returns the offset behind the value */
  value(start: number, pointer: string): number {
    const at = this.#skipSpace(start);
    if (!this.places.has(pointer)) this.places.set(pointer, at);
    if (this.places.size < PLACES_MAX) {
      if (this.#text[at] === '{') return this.#behind(this.#record(at + 1, pointer));
      if (this.#text[at] === '[') return this.#behind(this.#list(at + 1, pointer));
    }
    return this.#behind(at);
  }

  #record(start: number, pointer: string): number {
    let at = this.#skipSpace(start);
    while (at < this.#text.length && this.#text[at] !== '}') {
      const key = this.#match(KEY, at);
      const name = key === null ? undefined : (key[1] ?? key[2] ?? key[3] ?? key[4]);
      const colon = key === null ? at : this.#skipSpace(at + key[0].length);
      if (name !== undefined && this.#text[colon] === ':') {
        const inner = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        this.places.set(inner, at);
        at = this.value(colon + 1, inner);
      } else {
        // A shorthand has its place too; a spread, a method and a computed name have none.
        if (name !== undefined && /[,}]/.test(this.#text[colon] ?? '')) this.places.set(`${pointer}/${name}`, at);
        at = this.#behind(at);
      }
      if (this.#text[at] === ',') at = this.#skipSpace(at + 1);
    }
    return at + 1;
  }

  #list(start: number, pointer: string): number {
    let at = this.#skipSpace(start);
    let counted = true;
    for (let index = 0; at < this.#text.length && this.#text[at] !== ']'; index++) {
      // Behind a spread nobody knows the index.
      if (this.#text.startsWith('...', at)) counted = false;
      at = counted ? this.value(at, `${pointer}/${index}`) : this.#behind(at);
      if (this.#text[at] === ',') at = this.#skipSpace(at + 1);
    }
    return at + 1;
  }

  /** The offset of the comma or bracket that ends the expression which goes on here. */
  #behind(start: number): number {
    let depth = 0;
    let before = ':';
    let at = this.#skipSpace(start);
    while (at < this.#text.length) {
      const char = this.#text[at]!;
      if (depth === 0 && ',}])'.includes(char)) return at;
      if ('{[('.includes(char)) depth++;
      else if ('}])'.includes(char)) depth--;
      at = this.#skipSpace(this.#behindToken(at, before));
      before = char;
    }
    return at;
  }

  /** A slash begins a regular expression where no operand stands before it. */
  #behindToken(at: number, before: string): number {
    const char = this.#text[at]!;
    if (char === "'" || char === '"' || char === '`') return this.#behindString(at);
    if (char !== '/' || !'([{,;:=!&|?+-*%<>~^'.includes(before)) return at + 1;
    return at + (this.#match(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])*\/?/y, at)?.[0].length ?? 1);
  }

  #behindString(start: number): number {
    const quote = this.#text[start]!;
    for (let at = start + 1; at < this.#text.length; at++) {
      const char = this.#text[at];
      if (char === '\\') at++;
      else if (char === quote) return at + 1;
      else if (quote === '`' && char === '$' && this.#text[at + 1] === '{') at = this.#behind(at + 2);
      else if (char === '\n' && quote !== '`') return at;
    }
    return this.#text.length;
  }

  /** Over white space and comments. */
  #skipSpace(start: number): number {
    return start + (this.#match(/(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)*/y, start)?.[0].length ?? 0);
  }

  #match(pattern: RegExp, at: number): RegExpExecArray | null {
    pattern.lastIndex = at;
    return pattern.exec(this.#text);
  }
}
