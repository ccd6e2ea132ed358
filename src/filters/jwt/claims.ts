/** Claims by name or path, and what a policy asks of them. */
import type { JsonObject } from './strict-json.ts';

export type ClaimReader = (claims: JsonObject) => unknown;

/**
 * `a.b.c`: the claim of that whole name, else the way inside. Only members of
 * the token itself are seen, never what every object inherits.
 */
export function claimReader(path: string): ClaimReader {
  const steps = path.split('.');
  return (claims) => {
    if (Object.hasOwn(claims, path)) return claims[path];
    let at: unknown = claims;
    for (const step of steps) {
      if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, step)) return undefined;
      at = (at as JsonObject)[step];
    }
    return at;
  };
}

/** Texts of a claim that is one, or a list of them; others are left out. */
export function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** RFC 8693 section 4.2: words of `scope`; some issuers have a list, some call it `scp`. */
export function scopesOf(claims: JsonObject): readonly string[] {
  const said = Object.hasOwn(claims, 'scope')
    ? claims['scope']
    : Object.hasOwn(claims, 'scp')
      ? claims['scp']
      : undefined;
  return Object.freeze(textsOf(said).flatMap((text) => text.split(' ').filter((word) => word !== '')));
}
