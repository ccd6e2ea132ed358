import { type Claims, textsOf } from '../../filter/claims.ts';

/** RFC 8693 section 4.2: words of `scope`; some issuers have a list, some call it `scp`. */
export function scopesOf(claims: Claims): readonly string[] {
  const said = Object.hasOwn(claims, 'scope')
    ? claims['scope']
    : Object.hasOwn(claims, 'scp')
      ? claims['scp']
      : undefined;
  return Object.freeze(textsOf(said).flatMap((text) => text.split(' ').filter((word) => word !== '')));
}
