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
    return this.locateEach([pointer])[0]!;
  }

  /** {@link locate} of several pointers, for one reading of the text. */
  locateEach(pointers: readonly string[]): Position[] {
    const paths = pointers.map((pointer) => {
      const tokens = pointer.split('/').slice(1);
      return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
    });
    const places = locatePlainYaml(this.#text, paths);
    return (places === NOT_PLAIN ? locateYaml(this.#text, paths) : places).map((place) => this.at(place));
  }

  /** A place in the text, as a place in the file. */
  at({ line, column }: Place): Position {
    return { file: this.file, line: this.#line + line, column: column + 1 + (line === 0 ? this.#column : 0) };
  }
}
