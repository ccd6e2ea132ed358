import type { Position } from '../base/problem.ts';
import { locatePlainYaml, NOT_PLAIN, type Place } from './plain-yaml.ts';
import type { Origin } from './resource.ts';
import { linesBeforeContent, type Piece } from './split.ts';
import { locateYaml } from './yaml.ts';

/**
 * Keeps the text of one document and where it stands; no tree. Locating reads
 * the text again: 20 µs for a small route, when somebody asks.
 */
export class DocumentOrigin implements Origin {
  readonly file: string;
  readonly #text: string;
  #line: number;
  #column: number;

  constructor(file: string, { text, line, column }: Piece) {
    this.file = file;
    this.#text = text;
    this.#line = line;
    this.#column = column;
  }

  get line(): number {
    return this.#line + linesBeforeContent(this.#text);
  }

  /** The same text stands somewhere else in the file now. Only the reader calls this. */
  moveTo({ line, column }: Piece): void {
    this.#line = line;
    this.#column = column;
  }

  locate(pointer: string): Position {
    const path = pointer.split('/').slice(1);
    return this.at(
      place(
        this.#text,
        path.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~')),
      ),
    );
  }

  /** A place in the text, as a place in the file. */
  at({ line, column }: Place): Position {
    return { file: this.file, line: this.#line + line, column: column + 1 + (line === 0 ? this.#column : 0) };
  }
}

function place(text: string, path: readonly string[]): Place {
  const found = locatePlainYaml(text, path);
  return found === NOT_PLAIN ? locateYaml(text, path) : found;
}
