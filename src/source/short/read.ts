/** The short form as a file gives it: expanded, and read as manifests. Unchanged resources stay the identical objects. */
import { hashText } from '../../base/canonical.ts';
import type { Position, Problem } from '../../base/problem.ts';
import type { Origin, Resource } from '../../resource/resource.ts';
import { type Interpreted, interpret } from '../../resource/manifest.ts';
import { type Draft, type Places, shortPointer } from './draft.ts';
import { expandShortForm } from './expand.ts';
import type { ReadPem } from './expansion.ts';

/** Finds the parts of a short form in its text. */
export interface Locator {
  readonly file: string;
  locate(pointer: string): Position;
}

export interface ShortDocument extends Interpreted {
  readonly origin: Origin;
  readonly implied?: true;
}

export interface ShortRead {
  readonly documents: readonly ShortDocument[];
  /** Those of all documents, and those of the file. */
  readonly problems: readonly Problem[];
  /** For the next reading of the same file. */
  readonly cache: ShortCache;
}

/** What each resource was made from the last time, by its key. */
export type ShortCache = ReadonlyMap<string, Made>;

interface Made {
  /** Hash of the manifest: a Secret is not kept a second time. */
  readonly hash: string;
  readonly origin: ShortOrigin;
  readonly found: Interpreted;
}

export interface ShortOptions {
  readonly locator: Locator;
  readonly readPem: ReadPem;
  readonly previous?: ShortCache;
}

/** @param value  the short form as parsed, not checked yet */
export function readShortForm(value: unknown, { locator, readPem, previous }: ShortOptions): ShortRead {
  const { drafts, manifests, findings } = expandShortForm(value, readPem);
  const reader = new ShortReader(locator, previous ?? new Map());
  for (const draft of drafts) reader.read(draft);
  if (reader.documents.some(isRefusedPolicy)) reader.refuseAll();
  for (const { manifest, pointer } of manifests) reader.readRaw(manifest, pointer);
  const { documents, cache } = reader;
  const own = findings.map(({ level, code, pointer, message }): Problem => {
    return { level, code, at: locator.locate(pointer), field: pointer, message };
  });
  const problems = [...own, ...documents.flatMap((document) => document.problems)].toSorted(byPlace);
  return { documents, problems, cache };
}

/** Without it, the routes that it is for would be open. */
function isRefusedPolicy({ key, resource }: ShortDocument): boolean {
  return resource === undefined && key !== undefined && key.startsWith('Policy/');
}

function byPlace({ at: a }: Problem, { at: b }: Problem): number {
  return (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0);
}

class ShortReader {
  readonly documents: ShortDocument[] = [];
  readonly cache = new Map<string, Made>();
  readonly #locator: Locator;
  readonly #previous: ShortCache;

  constructor(locator: Locator, previous: ShortCache) {
    this.#locator = locator;
    this.#previous = previous;
  }

  read({ manifest, places, implied, order }: Draft): void {
    const found = this.#interpret(manifest, places, order);
    this.documents.push({ ...found, ...(implied && { implied }) });
  }

  /** Leaves the problems and no resource. */
  refuseAll(): void {
    const refused = this.documents.map(({ origin, key, problems }) => ({ origin, ...(key && { key }), problems }));
    this.documents.splice(0, this.documents.length, ...refused);
  }

  /** A resource that was written out; its problems name its own fields. */
  readRaw(manifest: unknown, pointer: string): void {
    this.documents.push(this.#interpret(manifest, [['', pointer]], undefined));
  }

  #interpret(manifest: unknown, places: Places, order: number | undefined): ShortDocument {
    const hash = hashText(JSON.stringify([manifest, order]));
    const known = this.#previous.get(nameOf(manifest));
    if (known !== undefined && known.hash === hash && known.found.problems.length === 0) {
      known.origin.moveTo(this.#locator, places);
      return this.#keep(manifest, known);
    }
    const origin = new ShortOrigin(this.#locator, places);
    const found = interpret(manifest, origin);
    const resource = found.resource === undefined ? undefined : ordered(found.resource, order);
    return this.#keep(manifest, { hash, origin, found: { ...found, ...(resource && { resource }) } });
  }

  #keep(manifest: unknown, made: Made): ShortDocument {
    this.cache.set(nameOf(manifest), made);
    return { origin: made.origin, ...made.found };
  }
}

/** Kind and name, whatever else may be wrong with it. */
function nameOf(manifest: unknown): string {
  const { kind, metadata } = (manifest ?? {}) as { kind?: unknown; metadata?: { name?: unknown; namespace?: unknown } };
  return JSON.stringify([kind, metadata?.namespace, metadata?.name]);
}

/** Of two that are equal in all else, the one that stands first in the file wins. */
function ordered(resource: Resource, order: number | undefined): Resource {
  if (order === undefined) return resource;
  return { ...resource, metadata: { ...resource.metadata, order } };
}

/** Leads from a field of the resource to the part of the short form that it was made from. */
class ShortOrigin implements Origin {
  #locator: Locator;
  #places: Places;

  constructor(locator: Locator, places: Places) {
    this.#locator = locator;
    this.#places = places;
  }

  get file(): string {
    return this.#locator.file;
  }

  get line(): number {
    return this.locate('').line;
  }

  locate(pointer: string): Position {
    return this.#locator.locate(shortPointer(this.#places, pointer));
  }

  /** The same resource is made from another place now. */
  moveTo(locator: Locator, places: Places): void {
    this.#locator = locator;
    this.#places = places;
  }
}
