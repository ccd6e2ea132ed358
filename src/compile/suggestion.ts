/** "Did you mean" for references to what does not exist. */
import { nearest } from '../base/problem.ts';
import { describeKey, resourceKey } from '../resource/resource.ts';
import type { Absent } from './finding.ts';

/** A search walks all names, so a broken folder gets its first hints and no more. */
const SEARCHES_MAX = 20;

/** Remembers what it found: a reference that stays broken is searched for once. */
export class Suggestions {
  #before: ReadonlyMap<string, string | undefined> = new Map();
  #now = new Map<string, string | undefined>();
  #countBefore = 0;
  #searches = 0;
  #objects: ReadonlyMap<string, unknown> = new Map();

  /** Begins a compile over these objects, by {@link resourceKey}. */
  begin(objects: ReadonlyMap<string, unknown>): void {
    this.#before = this.#now;
    this.#countBefore = this.#objects.size;
    this.#now = new Map();
    this.#objects = objects;
    this.#searches = 0;
  }

  /** `: did you mean Service shop/web`, or nothing. */
  hint(absent: Absent): string {
    const key = resourceKey(absent.kind, absent.namespace, absent.name);
    if (!this.#now.has(key)) {
      // A new object may be what was meant, and one that went may have been the hint.
      const isKnown = this.#countBefore === this.#objects.size && this.#before.has(key);
      if (isKnown) this.#now.set(key, this.#before.get(key));
      else if (this.#searches++ < SEARCHES_MAX) this.#now.set(key, nearestTo(absent, this.#objects.keys()));
    }
    const near = this.#now.get(key);
    return near === undefined ? '' : `: did you mean ${describeKey(near)}`;
  }
}

/** A near name in the same namespace, else the same name in another one. */
function nearestTo({ kind, namespace, name }: Absent, keys: Iterable<string>): string | undefined {
  const inside: string[] = [];
  let elsewhere: string | undefined;
  for (const key of keys) {
    const [otherKind, otherNamespace, otherName] = key.split('/') as [string, string, string];
    if (otherKind !== kind) continue;
    if (otherNamespace === namespace) inside.push(otherName);
    else if (otherName === name) elsewhere ??= key;
  }
  const near = nearest(name, inside);
  return near === undefined ? elsewhere : resourceKey(kind, namespace, near);
}
