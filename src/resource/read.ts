/**
 * Reads the text of a manifest file. Each document, and each item of a list, is
 * parsed alone and remembered by its text: reading a file again after an edit
 * parses what was edited, and gives the identical resources for the rest.
 */
import { MANIFEST_FILE_BYTES_MAX } from '../base/limits.ts';
import type { Problem } from '../base/problem.ts';
import { findJsonMistake } from './json.ts';
import { interpret } from './manifest.ts';
import { DocumentOrigin } from './origin.ts';
import { itemRangesOfPlainYaml, NOT_PLAIN, placeOf, type Range, readPlainYaml } from './plain-yaml.ts';
import { type Origin, type Resource, resourceKey } from './resource.ts';
import { detached, type Piece, splitDocuments, splitItems } from './split.ts';
import { itemRangesOfYaml, readYaml } from './yaml.ts';

/** One document of a file, or one item of a list in it. */
export interface ReadDocument {
  readonly origin: Origin;
  /** Key of the resource, also of one that could not be made, where it can be told. */
  readonly key?: string;
  /** Absent when problems stopped it, or when its kind is of no use here. */
  readonly resource?: Resource;
  /** `Deployment (apps/v1)`: of no use here, and no mistake. */
  readonly ignored?: string;
  /** Counts where no version without mistakes is known (manifest.ts). */
  readonly standIn?: Resource;
  readonly problems: readonly Problem[];
}

export interface ReadResult {
  readonly documents: readonly ReadDocument[];
  /** Those of all documents, in their order. */
  readonly problems: readonly Problem[];
  /** How often each kind of no use was seen: `Deployment (apps/v1)`. */
  readonly ignored: ReadonlyMap<string, number>;
  /** For the next reading of the same file. */
  readonly cache: ReadCache;
}

/** What was read before, by text. Belongs to one file; the reader moves its origins. */
export class ReadCache {
  readonly #entries = new Map<string, Entry>();

  add(entry: Entry): void {
    entry.twin = this.#entries.get(entry.text);
    this.#entries.set(entry.text, entry);
  }

  /** Takes one entry out: of a text that stands in the file twice, each is used once. */
  take(text: string): Entry | undefined {
    const entry = this.#entries.get(text);
    if (entry?.twin !== undefined) this.#entries.set(text, entry.twin);
    else if (entry !== undefined) this.#entries.delete(text);
    return entry;
  }
}

/** A piece and what it gave: one document, or the pieces of a list. */
interface Entry {
  readonly text: string;
  readonly origin: DocumentOrigin;
  line: number;
  column: number;
  found: ReadDocument | { readonly items: readonly Range[] };
  /** The same text again. */
  twin: Entry | undefined;
}

/** Lists inside lists have no meaning. */
type Level = 'document' | 'item';

interface Understandable {
  readonly text: string;
  readonly origin: DocumentOrigin;
  readonly level: Level;
}

/** @param previous  cache of the last reading of this file; it is used up */
export function readManifests(text: string, file: string, previous = new ReadCache()): ReadResult {
  // UTF-16 units are at most the bytes of the file.
  if (text.length > MANIFEST_FILE_BYTES_MAX) {
    const message = `Cannot read file: expected at most ${MANIFEST_FILE_BYTES_MAX} bytes, got more`;
    const problem: Problem = { level: 'error', code: 'file.too-large', at: { file, line: 1, column: 1 }, message };
    return { documents: [], problems: [problem], ignored: new Map(), cache: new ReadCache() };
  }
  const reader = new Reader(file, previous);
  const clean = text.startsWith('\ufeff') ? text.slice(1) : text;
  if (file.endsWith('.json')) reader.readJson(clean);
  else for (const piece of splitDocuments(clean)) reader.read(piece, 'document');
  return reader.result();
}

class Reader {
  readonly #file: string;
  readonly #previous: ReadCache;
  readonly #cache = new ReadCache();
  readonly #documents: ReadDocument[] = [];

  constructor(file: string, previous: ReadCache) {
    this.#file = file;
    this.#previous = previous;
  }

  result(): ReadResult {
    const documents = this.#documents;
    const problems: Problem[] = [];
    const ignored = new Map<string, number>();
    for (const document of documents) {
      if (document.problems.length > 0) problems.push(...document.problems);
      if (document.ignored !== undefined) ignored.set(document.ignored, (ignored.get(document.ignored) ?? 0) + 1);
    }
    return { documents, problems, ignored, cache: this.#cache };
  }

  /** JSON by its own grammar: comments and bare words are mistakes, though YAML would take them. */
  readJson(text: string): void {
    if (text.trim() === '') return;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      const origin = new DocumentOrigin(this.#file, { text, line: 1, column: 0 });
      const { offset, expected, got } = findJsonMistake(text);
      const message = `Cannot read JSON: expected ${expected}, got ${got}`;
      const problem: Problem = { level: 'error', code: 'json.syntax', at: origin.at(placeOf(text, offset)), message };
      this.#documents.push({ origin, problems: [problem] });
      return;
    }
    // Inside a JSON string these are escaped, so they are white space here.
    const piece: Piece = { text: text.replaceAll(/[\t\r]/g, ' '), line: 1, column: 0 };
    const path = listPath(value);
    const ranges = path === undefined ? NOT_PLAIN : itemRangesOfPlainYaml(piece.text, path);
    if (ranges === NOT_PLAIN) this.read(piece, 'document');
    else for (const item of splitItems(piece, ranges)) this.read(item, 'item');
  }

  read(piece: Piece, level: Level): void {
    const entry = this.#recall(piece) ?? this.#parse(piece, level);
    this.#cache.add(entry);
    const { found } = entry;
    if ('items' in found) for (const item of splitItems(piece, found.items)) this.read(item, 'item');
    else this.#documents.push(found);
  }

  /** What this text gave the last time, moved to where it stands now. */
  #recall({ text, line, column }: Piece): Entry | undefined {
    const entry = this.#previous.take(text);
    if (entry === undefined) return undefined;
    if (entry.line === line && entry.column === column) return entry;
    entry.origin.moveTo({ text, line, column });
    const { found } = entry;
    if ('problems' in found && found.problems.length > 0) entry.found = moved(found, entry, { line, column });
    entry.line = line;
    entry.column = column;
    return entry;
  }

  #parse(piece: Piece, level: Level): Entry {
    const text = detached(piece.text);
    const { line, column } = piece;
    const origin = new DocumentOrigin(this.#file, { text, line, column });
    return { text, origin, line, column, found: this.#tryToUnderstand({ text, origin, level }), twin: undefined };
  }

  /** Text can be made to fill the stack of any parser or regular expression; that is a problem of the text. */
  #tryToUnderstand(piece: Understandable): Entry['found'] {
    try {
      return this.#understand(piece);
    } catch (thrown) {
      if (!(thrown instanceof RangeError) || !thrown.message.includes('call stack')) throw thrown;
      const { origin } = piece;
      const message = 'Cannot read document: a value is too long, or values are nested too deeply';
      const problem: Problem = {
        level: 'error',
        code: 'document.too-large',
        at: origin.at({ line: 0, column: 0 }),
        message,
      };
      return { origin, problems: [problem] };
    }
  }

  #understand({ text, origin, level }: Understandable): Entry['found'] {
    const plain = readPlainYaml(text);
    const { value, mistakes } = plain === NOT_PLAIN ? readYaml(text) : { value: plain, mistakes: [] };
    if (mistakes.length > 0) {
      const key = guessKey(text);
      const problems = mistakes.map(({ place, code, message }): Problem => {
        return { level: 'error', code, at: origin.at(place), message };
      });
      return { origin, problems, ...(key !== undefined && { key }) };
    }
    const path = listPath(value);
    if (path === undefined || level === 'item') return { origin, ...interpret(value, origin) };
    const ranges = itemRangesOfPlainYaml(text, path);
    return { items: ranges === NOT_PLAIN ? itemRangesOfYaml(text, path) : ranges };
  }
}

/** Where a value has its items when it is a list of manifests: `kind: List` (or `HTTPRouteList`), or a JSON array. */
function listPath(value: unknown): string[] | undefined {
  if (Array.isArray(value)) return [];
  const { kind, items } = (value ?? {}) as { kind?: unknown; items?: unknown };
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? ['items'] : undefined;
}

/** The document of an entry, with the places of its problems moved. */
function moved(document: ReadDocument, { line, column }: Entry, to: Omit<Piece, 'text'>): ReadDocument {
  const problems = document.problems.map((problem): Problem => {
    if (problem.at === undefined) return problem;
    const onFirst = problem.at.line === line;
    const at = {
      ...problem.at,
      line: problem.at.line - line + to.line,
      column: problem.at.column + (onFirst ? to.column - column : 0),
    };
    return { ...problem, at };
  });
  return { ...document, problems };
}

/**
 * Key of a document that cannot be parsed, by its usual shape: so that the last
 * good resource of that name can go on while its text is broken.
 */
function guessKey(whole: string): string | undefined {
  const text = whole.slice(0, 4096);
  const kind = /^kind:[ \t]+["']?([A-Za-z]+)["']?[ \t]*(?:#.*)?$/m.exec(text)?.[1];
  const metadata = /^metadata:[ \t]*(\{.*\}|(?:\r?\n[ \t]+.*)*)/m.exec(text)?.[1] ?? '';
  const name = /[\s{,]name:[ \t]+["']?([-a-z0-9.]+)/.exec(metadata)?.[1];
  const namespace = /[\s{,]namespace:[ \t]+["']?([-a-z0-9.]+)/.exec(metadata)?.[1];
  return kind === undefined || name === undefined ? undefined : resourceKey(kind, namespace ?? 'default', name);
}
