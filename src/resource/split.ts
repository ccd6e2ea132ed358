/** Cuts text into pieces that are read, cached and located one by one. */

import type { Range } from './plain-yaml.ts';

/** One piece of a file: a YAML document, or an item of a list. */
export interface Piece {
  readonly text: string;
  /** Line of the file, from 1, on which the text begins. */
  readonly line: number;
  /** Characters before the text on that line. */
  readonly column: number;
}

/** A marker line: `---` or `...` at the start of a line (YAML 1.2.2 section 9.1.2). `-----BEGIN` is none. */
const MARKER = /^(?:---|\.\.\.)(?=[ \t\r\n]|$)/gm;

/** A marker line with nothing behind it. */
const BARE_MARKER = /^---[ \t]*\r?\n/;

/**
 * The documents of a YAML file. A `---` line with nothing behind it is no part
 * of a piece, so that the first document, which may do without, stays the same
 * text when another one is put before it. Documents without content are left out.
 */
export function splitDocuments(text: string): Piece[] {
  const pieces: Piece[] = [];
  let start = 0;
  let line = 1;
  const take = (end: number): void => {
    const piece = text.slice(start, end);
    if (contentOf(piece) !== undefined) {
      const marker = BARE_MARKER.exec(piece)?.[0].length ?? 0;
      pieces.push({ text: piece.slice(marker), line: line + Math.sign(marker), column: 0 });
    }
    line += countLines(piece);
    start = end;
  };
  for (const { index } of text.matchAll(MARKER)) if (index > start) take(index);
  take(text.length);
  return pieces;
}

/**
 * Pieces of a list. An item of several lines by indentation gets spaces before
 * it, so that its first line stands in the column that it has in the file.
 *
 * @param ranges  offsets of the items in the text of `piece`
 */
export function splitItems(piece: Piece, ranges: readonly Range[]): Piece[] {
  const { text } = piece;
  let line = piece.line;
  let counted = 0;
  let lineStart = -piece.column;
  return ranges.map(([start, end]) => {
    const between = text.slice(counted, start);
    line += countLines(between);
    if (between.includes('\n')) lineStart = counted + between.lastIndexOf('\n') + 1;
    counted = start;
    const item = text.slice(start, end).trimEnd();
    const column = start - lineStart;
    const isFlow = item.startsWith('{') || item.startsWith('[');
    if (isFlow || !item.includes('\n')) return { text: item, line, column };
    return { text: `${' '.repeat(column)}${item}\n`, line, column: 0 };
  });
}

/**
 * A copy that shares no memory with the file it was cut from: V8 keeps the whole
 * file alive as long as any slice of it.
 */
export function detached(text: string): string {
  // One byte per character where that will do: a two-byte string would stay one.
  const encoding = /^[\0-\xff]*$/.test(text) ? 'latin1' : 'utf16le';
  return Buffer.from(text, encoding).toString(encoding);
}

/** Lines of the text before its first content. */
export function linesBeforeContent(text: string): number {
  return contentOf(text)?.lines ?? 0;
}

/** A line without content: white space, a comment, a directive, or a marker with nothing behind it. */
const IDLE = /^(?:[ \t]*(?:#.*)?\r?|%.*|---[ \t]*(?:#.*)?\r?|\.\.\..*)$/;

/** How many lines stand before the first one with content; undefined when there is none. */
function contentOf(text: string): { readonly lines: number } | undefined {
  let lines = 0;
  for (let start = 0; start < text.length; lines++) {
    const end = text.indexOf('\n', start);
    const stop = end === -1 ? text.length : end;
    if (!IDLE.test(text.slice(start, stop))) return { lines };
    start = stop + 1;
  }
  return undefined;
}

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}
