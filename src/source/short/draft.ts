/** What the short form expands to, before it is read like any other manifest. */
import type { Finding } from '../../resource/kind.ts';

/** Anything the short form says wrong or doubtful; the pointer leads into the short form. */
export interface ShortFinding extends Finding {
  readonly level: 'error' | 'warning';
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly [field: string]: unknown;
}

/** From a pointer into a manifest to the pointer into the short form that it was made from. */
export type Places = readonly (readonly [manifest: string, short: string])[];

export interface Draft {
  readonly manifest: Manifest;
  readonly places: Places;
  /** Nobody wrote it: it gives way to a manifest of the same kind and name. */
  readonly implied?: true;
  /** Position among its kind, from 1, where the order of the file decides. */
  readonly order?: number;
}

/** The place in the short form of a pointer into the manifest: that of the longest part of it that is known. */
export function shortPointer(places: Places, pointer: string): string {
  let best: Places[number] | undefined;
  for (const place of places) {
    const [from] = place;
    const fits = pointer === from || pointer.startsWith(`${from}/`);
    if (fits && (best === undefined || from.length > best[0].length)) best = place;
  }
  return best?.[1] ?? '';
}

export function error(pointer: string, code: string, message: string): ShortFinding {
  return { level: 'error', pointer, code, message };
}

/** RFC 6901 section 3. */
export function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

const NAME_CHARS_MAX = 63;

/** Hands out names, each once for its kind: `users`, then `users-2`. */
export class Names {
  readonly #taken = new Map<string, Set<string>>();

  /** Takes a name that somebody wrote. @returns whether it was free */
  reserve(kind: string, name: string): boolean {
    const taken = this.#taken.get(kind) ?? new Set();
    this.#taken.set(kind, taken);
    const free = !taken.has(name);
    taken.add(name);
    return free;
  }

  /** A free name like `wanted`. */
  take(kind: string, wanted: string): string {
    let name = wanted.slice(0, NAME_CHARS_MAX);
    for (let count = 2; !this.reserve(kind, name); count++) {
      name = `${wanted.slice(0, NAME_CHARS_MAX - String(count).length - 1)}-${count}`;
    }
    return name;
  }
}

/** Text as a name: `/Users/v1` is `users-v1`; `fallback` where no letter or digit is left. */
export function nameFrom(text: string, fallback: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, NAME_CHARS_MAX)
    .replaceAll(/^-+|-+$/g, '');
  return name === '' ? fallback : name;
}
