import { isDefinedFilter } from '../filter/own-registry.ts';
import type { ModuleFailure } from '../source/module.ts';

const DEPTH_MAX = 64;
const VALUES_MAX = 1_000_000;

/**
 * Makes a value plain, as JSON would carry it, so that it can leave the process
 * and be read like a manifest. A `URL` becomes its text and a regular expression
 * its source; a function, a class instance or a loop is refused with its place,
 * where JSON would drop it without a word.
 *
 * A filter that `defineFilter` has made becomes the name of its module, `module`:
 * whoever runs it imports that file and finds it by its own name. A list under
 * `own` stands for `{ use: [...] }`.
 *
 * @param module  absolute path of the file that defines them
 */
export function plainValue(
  value: unknown,
  module: string,
): { readonly kind: 'value'; readonly value: unknown } | ModuleFailure {
  const copy = new PlainCopy(module);
  try {
    return { kind: 'value', value: copy.of(value, '') };
  } catch (error) {
    if (error instanceof Refusal) {
      return { kind: 'failed', code: 'module.value', reason: error.message, field: error.field };
    }
    throw error;
  }
}

class Refusal extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

class PlainCopy {
  /** Objects that the one at hand lies in: meeting one again is a loop. */
  readonly #inside = new Set<object>();
  readonly #module: string;
  #count = 0;

  constructor(module: string) {
    this.#module = module;
  }

  of(value: unknown, field: string): unknown {
    if (++this.#count > VALUES_MAX) throw new Refusal(field, `it has more than ${VALUES_MAX} values`);
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number') {
      if (Number.isFinite(value)) return value;
      throw new Refusal(field, `it has ${value} where a number should be`);
    }
    if (typeof value !== 'object') {
      throw new Refusal(field, `it has a ${typeof value}: only plain values can be taken from a configuration`);
    }
    return this.#object(value, field);
  }

  #object(value: object, field: string): unknown {
    if (value instanceof URL) return value.href;
    if (value instanceof RegExp) {
      if (value.flags === '') return value.source;
      throw new Refusal(
        field,
        `it has a regular expression with the flags "${value.flags}": they cannot be taken over`,
      );
    }
    if (value instanceof Date) return value.toISOString();
    if (isDefinedFilter(value)) return { module: this.#module, filter: value.name, phase: value.phase };
    if (this.#inside.has(value)) throw new Refusal(field, 'it contains itself');
    if (this.#inside.size >= DEPTH_MAX) throw new Refusal(field, `it is nested deeper than ${DEPTH_MAX} levels`);
    this.#inside.add(value);
    const copy = Array.isArray(value) ? this.#list(value, field) : this.#record(value, field);
    this.#inside.delete(value);
    return copy;
  }

  #list(value: readonly unknown[], field: string): unknown[] {
    return Array.from(value, (item, index) => this.of(item ?? null, `${field}/${index}`));
  }

  #record(value: object, field: string): Record<string, unknown> {
    const parent: unknown = Object.getPrototypeOf(value);
    // Another realm has another Object.prototype, so ask what it is like instead of which one it is.
    if (parent !== null && Object.getPrototypeOf(parent) !== null) {
      throw new Refusal(
        field,
        `it has a ${value.constructor.name}: only plain values can be taken from a configuration`,
      );
    }
    const copy: Record<string, unknown> = {};
    for (const [name, written] of Object.entries(ofDefinedFilter(value, this.#module))) {
      if (written === undefined) continue;
      const item: unknown = name === 'own' && Array.isArray(written) ? { use: written } : written;
      // A plain assignment to "__proto__" would set the prototype of the copy.
      const plain = this.of(item, `${field}/${escapePointer(name)}`);
      Object.defineProperty(copy, name, { value: plain, enumerable: true, writable: true, configurable: true });
    }
    return copy;
  }
}

/** `{ module: myFilter, options: {…} }`: what is said beside the filter, with its own phase where none is. */
function ofDefinedFilter(value: object, module: string): object {
  const said = value as { readonly module?: unknown };
  if (!isDefinedFilter(said.module)) return value;
  return { phase: said.module.phase, ...value, module, filter: said.module.name };
}

/** RFC 6901 section 3. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
