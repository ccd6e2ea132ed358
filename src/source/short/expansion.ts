import { suggestion } from '../../schema/describe.ts';
import { OWN_GROUP } from '../../resource/fields.ts';
import { type Draft, error, Names, type ShortFinding } from './draft.ts';

/** Reads a file that the short form names, relative to it. */
export type ReadPem = (path: string) => { readonly text: string } | { readonly reason: string };

/** What the parts of one expansion share: the drafts made so far, the names taken, the services known. */
export class Expansion {
  readonly drafts: Draft[] = [];
  /** What belongs to no draft. */
  readonly findings: ShortFinding[] = [];
  readonly names = new Names();
  readonly #readPem: ReadPem;
  readonly #services: ReadonlySet<string>;
  readonly #used = new Set<string>();
  readonly #schemes = new Map<string, string>();
  /** Backends that routes name by their address, by that address. */
  readonly #addresses = new Map<string, string>();

  /** @param services  names of all services, of those too that are broken */
  constructor(services: readonly string[], readPem: ReadPem) {
    this.#readPem = readPem;
    this.#services = new Set(services);
    for (const name of services) this.names.reserve('Backend', name);
  }

  add(draft: Draft): void {
    this.drafts.push(draft);
  }

  /** Remembers what the addresses of a Backend begin with. */
  setScheme(backend: string, scheme: string): void {
    this.#schemes.set(backend, scheme);
  }

  /** Undefined: the service is broken. */
  schemeOf(backend: string): string | undefined {
    return this.#schemes.get(backend);
  }

  /** Text of a PEM file, or what is wrong with it. `block` is what must be in it, `CERTIFICATE` or `PRIVATE KEY`. */
  pem(path: string, block: string, pointer: string): string | ShortFinding {
    const read = this.#readPem(path);
    if ('reason' in read) return error(pointer, 'file.unreadable', `Cannot read "${path}": ${read.reason}`);
    if (new RegExp(`-----BEGIN [A-Z0-9 ]*${block}-----`).test(read.text)) return read.text;
    const message = `Expected a PEM file with a ${block.toLowerCase()}, got "${path}" without one`;
    return error(pointer, 'file.content', message);
  }

  /** The Backend that a route means by the name of a service or by an address. */
  target(to: string, pointer: string, makeBackend: MakeBackend): BackendRef | ShortFinding {
    if (to.includes('://')) return this.#address(to, pointer, makeBackend);
    if (this.#services.has(to)) {
      this.#used.add(to);
      return refTo(to);
    }
    const near = suggestion(to, [...this.#services]);
    const hint =
      near !== undefined
        ? `did you mean "${near}"`
        : this.#services.size === 0
          ? 'there is nothing under "services" yet'
          : `expected ${listed([...this.#services])}, or an address such as "http://127.0.0.1:3000"`;
    return error(pointer, 'reference.unknown', `Unknown service "${to}": ${hint}`);
  }

  #address(to: string, pointer: string, makeBackend: MakeBackend): BackendRef | ShortFinding {
    const known = this.#addresses.get(to);
    if (known !== undefined) return refTo(known);
    const made = makeBackend(to, pointer, this);
    if (typeof made !== 'string') return made;
    this.#addresses.set(to, made);
    return refTo(made);
  }

  unusedServices(): string[] {
    return [...this.#services].filter((name) => !this.#used.has(name));
  }
}

/** Adds the Backend of one address. @returns its name */
export type MakeBackend = (address: string, pointer: string, expansion: Expansion) => string | ShortFinding;

export interface BackendRef {
  readonly group: string;
  readonly kind: 'Backend';
  readonly name: string;
}

export function refTo(name: string): BackendRef {
  return { group: OWN_GROUP, kind: 'Backend', name };
}

export function isFinding(found: unknown): found is ShortFinding {
  return typeof found === 'object' && found !== null && 'level' in found;
}

const LISTED_MAX = 8;

export function listed(names: readonly string[]): string {
  const shown = names.slice(0, LISTED_MAX).map((name) => `"${name}"`);
  return shown.length < names.length ? `one of ${shown.join(', ')} …` : `one of ${shown.join(', ')}`;
}
