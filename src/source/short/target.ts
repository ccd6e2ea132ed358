/** `to` and the like of a route in the short form: Backends by the name of a service or by an address. */
import { error, type ShortFinding } from './draft.ts';
import { type BackendRef, type Expansion, isFinding } from './expansion.ts';
import type { Route } from './schema.ts';
import { expandAddress } from './service.ts';

/** A part of a manifest, and where it stands in the short form. */
export type Located<T> = readonly [value: T, pointer: string];

/** What a route carries, and what the addresses of its services may begin with. */
const SCHEMES = {
  http: ['http', 'https'],
  tcp: ['tcp', 'tls', 'http', 'https'],
  udp: ['udp'],
} as const satisfies Record<string, readonly string[]>;
export type Carried = keyof typeof SCHEMES;

/** Finds targets, and keeps what is wrong with them. */
export class Targets {
  readonly findings: ShortFinding[] = [];
  readonly #carried: Carried;
  readonly #expansion: Expansion;

  constructor(carried: Carried, expansion: Expansion) {
    this.#carried = carried;
    this.#expansion = expansion;
  }

  /** backendRefs with weights. @param at  pointer of the route */
  backends({ to = [] }: Pick<Route, 'to'>, at: string): Located<object>[] {
    const list = typeof to === 'string' ? [to] : to;
    return list.flatMap((one, i) => {
      const pointer = typeof to === 'string' ? `${at}/to` : `${at}/to/${i}`;
      const { to: name, weight } = typeof one === 'string' ? { to: one, weight: undefined } : one;
      const ref = this.find(name, typeof one === 'string' ? pointer : `${pointer}/to`);
      return ref === undefined ? [] : [[{ ...ref, ...(weight !== undefined && { weight }) }, pointer] as const];
    });
  }

  find(to: string, pointer: string): BackendRef | undefined {
    const found = this.#expansion.target(to, pointer, expandAddress);
    const wrong = isFinding(found) ? found : this.#wrongScheme(found, to, pointer);
    if (wrong === undefined) return found as BackendRef;
    this.findings.push(wrong);
    return undefined;
  }

  /** Nothing is wrong with the address as such; another route may well use it. */
  #wrongScheme({ name }: BackendRef, to: string, pointer: string): ShortFinding | undefined {
    const scheme = this.#expansion.schemeOf(name);
    const fitting: readonly string[] = SCHEMES[this.#carried];
    if (scheme === undefined || fitting.includes(scheme)) return undefined;
    const [first, second] = fitting;
    const wanted = second === undefined ? `${first}://` : `${first}:// or ${second}://`;
    const got = to.includes('://') ? `"${to}"` : `service "${to}" with ${scheme}://`;
    return error(
      pointer,
      'field.value',
      `Expected an address with ${wanted} for a route of ${said(this.#carried)}, got ${got}`,
    );
  }
}

function said(carried: Carried): string {
  return carried === 'tcp' ? 'TCP or TLS' : carried.toUpperCase();
}
