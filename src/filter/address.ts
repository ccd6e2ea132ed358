/** The parts of an address that filters replace: schemas, and the one rule for prefixes. */
import { type Static, Type } from '../schema/schema.ts';

/** A host name without port, as Gateway API's PreciseHostname. */
export const Hostname = Type.String({
  minLength: 1,
  maxLength: 253,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
  expected: 'a lower-case host name such as "shop.test"',
  description: 'Host name without port.',
});

export const PathReplacement = Type.Object(
  {
    kind: Type.Union([Type.Literal('full'), Type.Literal('prefix')], {
      description: '`full`: the whole path becomes the value. `prefix`: the prefix that the rule matched does.',
    }),
    value: Type.String({
      maxLength: 1024,
      pattern: '^[\\x21\\x24-\\x3b\\x3d\\x40-\\x5b\\x5d\\x5f\\x61-\\x7a\\x7e]*$',
      expected: 'a percent-encoded path without query',
      description: 'Path without query, percent-encoded (RFC 3986 section 3.3). May be empty for `prefix`.',
    }),
  },
  { additionalProperties: false },
);
export type PathReplacement = Static<typeof PathReplacement>;

/**
 * The path after a replacement. With `prefix`, the prefix that the rule matched
 * is replaced by whole segments; slashes at the end of either are ignored, and
 * the result is never empty (Gateway API, HTTPPathModifier.replacePrefixMatch).
 *
 * @param matched  exact path or prefix that the rule matched; undefined for a regular expression, whose path stays
 */
export function replacePath(path: string, matched: string | undefined, { kind, value }: PathReplacement): string {
  const start = value === '' || value.startsWith('/') ? value : `/${value}`;
  if (kind === 'full') return start === '' ? '/' : start;
  const prefix = matched === undefined ? undefined : withoutSlash(matched);
  if (prefix === undefined || !path.startsWith(prefix)) return path;
  return withoutSlash(start) + path.slice(prefix.length) || '/';
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}
