import type { Position } from '../../base/problem.ts';
import { lineStarts, literalPlaces, placeOf, type Places, positionAt } from '../literal-places.ts';
import type { Locator } from './read.ts';

/** Finds parts of a configuration in the program that exports it, as near as its text tells. */
export class ModuleLocator implements Locator {
  readonly file: string;
  readonly #places: Places;
  readonly #starts: readonly number[];

  constructor(file: string, text: string) {
    this.file = file;
    this.#places = literalPlaces(text);
    this.#starts = lineStarts(text);
  }

  locate(pointer: string): Position {
    return { file: this.file, ...positionAt(this.#starts, placeOf(this.#places, pointer)) };
  }
}
