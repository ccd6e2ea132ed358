import type { Position } from '../../base/problem.ts';
import { DocumentOrigin } from '../../resource/origin.ts';
import { itemRangesOfPlainYaml, NOT_PLAIN } from '../../resource/plain-yaml.ts';
import { splitItems } from '../../resource/split.ts';
import { itemRangesOfYaml } from '../../resource/yaml.ts';
import type { Locator } from './read.ts';

const EMPTY_ITEM = /^[ \t]*-[ \t]*(?:#.*)?$/m;

/**
 * Finds parts of a short form in its YAML (or JSON). Routes are cut out once and
 * searched alone: looking through the whole file for each of 3,000 routes would
 * take a minute.
 */
export class YamlLocator implements Locator {
  readonly file: string;
  readonly #text: string;
  readonly #whole: DocumentOrigin;
  readonly #found = new Map<string, Position>();
  #routes: readonly DocumentOrigin[] | undefined;

  constructor(file: string, text: string) {
    this.file = file;
    this.#text = text;
    this.#whole = new DocumentOrigin(file, { text, line: 1, column: 0 });
  }

  locate(pointer: string): Position {
    const known = this.#found.get(pointer);
    if (known !== undefined) return known;
    const position = this.#locate(pointer);
    this.#found.set(pointer, position);
    return position;
  }

  #locate(pointer: string): Position {
    const item = /^\/routes\/(\d+)(.*)$/.exec(pointer);
    const route = item === null ? undefined : this.#routeOrigins()[Number(item[1])];
    return route === undefined ? this.#whole.locate(pointer) : route.locate(item![2]!);
  }

  #routeOrigins(): readonly DocumentOrigin[] {
    if (this.#routes === undefined) {
      // The plain reader leaves items without a value out, and then the count is wrong.
      const plain = EMPTY_ITEM.test(this.#text) ? NOT_PLAIN : itemRangesOfPlainYaml(this.#text, ['routes']);
      const ranges = plain === NOT_PLAIN ? itemRangesOfYaml(this.#text, ['routes']) : plain;
      const pieces = splitItems({ text: this.#text, line: 1, column: 0 }, ranges);
      this.#routes = pieces.map((piece) => new DocumentOrigin(this.file, piece));
    }
    return this.#routes;
  }
}
