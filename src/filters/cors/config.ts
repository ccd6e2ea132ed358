import { declareFilter } from '../../filter/declaration.ts';
import { type Static, Type } from '../../schema/schema.ts';

/** A header name or a method: a token (RFC 9110 section 5.6.2), or `*`, which is one. */
const Token = Type.String({
  minLength: 1,
  maxLength: 256,
  pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
  expected: 'a name of letters, digits and "-", or "*"',
});

export const CorsConfig = Type.Object(
  {
    allowOrigins: Type.Array(
      Type.String({
        minLength: 1,
        maxLength: 253,
        pattern: '^(\\*|[A-Za-z][A-Za-z0-9+.-]*://(\\*|(\\*\\.)?[^*:/?#@\\s]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?)$',
        expected: 'an origin such as "https://shop.test", "https://*.shop.test" or "*"',
      }),
      {
        maxItems: 64,
        default: [],
        description:
          'Origins that may read answers: `https://shop.test`, `https://*.shop.test` (any number of labels), or `*`. Empty allows none.',
      },
    ),
    allowCredentials: Type.Boolean({
      default: false,
      description: 'Whether answers to requests with cookies or credentials may be read.',
    }),
    allowMethods: Type.Array(Token, {
      maxItems: 16,
      default: [],
      description: 'Methods besides GET, HEAD and POST, which are always allowed; or `*`.',
    }),
    allowHeaders: Type.Array(Token, {
      maxItems: 64,
      default: [],
      description: 'Request headers that scripts may set; or `*`.',
    }),
    exposeHeaders: Type.Array(Token, {
      maxItems: 64,
      default: [],
      description: 'Response headers that scripts may read; or `*`.',
    }),
    maxAge: Type.Integer({
      minimum: 1,
      maximum: 2_147_483_647,
      default: 5,
      description: 'Seconds that a browser may keep the answer to a preflight.',
    }),
  },
  { additionalProperties: false, description: 'Lets scripts of other origins call this route (Fetch standard, CORS).' },
);
export type CorsConfig = Static<typeof CorsConfig>;

export const cors = declareFilter({
  name: 'cors',
  phase: 'admit',
  config: CorsConfig,
  composition: 'closest',
  decides: 'no',
  events: {
    preflight: 'Preflights that were answered.',
    origin_refused: 'Requests of an origin that is not allowed.',
  },
  load: async () => (await import('./filter.ts')).code,
});
