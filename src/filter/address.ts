/** The parts of an address that filters replace: schemas, and the one rule for prefixes. */
import { type Static, Type } from '../schema/schema.ts';

/** A host name without port, as Gateway API's PreciseHostname. */
export const Hostname = Type.String({
  minLength: 1,
  maxLength: 253,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
});

export const PathReplacement = Type.Object(
  {
    kind: Type.Union([Type.Literal('full'), Type.Literal('prefix')], {
      description: '`full`: the whole path becomes the value. `prefix`: the prefix that the rule matched does.',
    }),
    value: Type.String({
      maxLength: 1024,
      pattern: '^[\\x21\\x24-\\x3b\\x3d\\x40-\\x5b\\x5d\\x5f\\x61-\\x7a\\x7e]*$',
      description: 'Path without query, percent-encoded (RFC 3986 section 3.3). May be empty for `prefix`.',
    }),
  },
  { additionalProperties: false },
);
export type PathReplacement = Static<typeof PathReplacement>;
