import { declareFilter } from '../../filter/declaration.ts';
import { type Static, Type } from '../../schema/schema.ts';

/** A type, `text/*`, `application/*+json` or `*` for every one. */
const MediaTypes = Type.Array(
  Type.String({
    minLength: 1,
    maxLength: 128,
    pattern: '^(?:\\*|[a-z0-9!#$&^_.+-]+/(?:\\*(?:\\+[a-z0-9!#$&^_.-]+)?|[a-z0-9!#$&^_.+-]+))$',
    expected: 'a media type in lower case, such as "text/css", "text/*", "application/*+json" or "*"',
  }),
  {
    minItems: 1,
    maxItems: 64,
    default: [
      'text/*',
      'application/json',
      'application/*+json',
      'application/x-ndjson',
      'application/javascript',
      'application/xml',
      'application/*+xml',
      'application/wasm',
      'image/svg+xml',
      'font/ttf',
      'font/otf',
    ],
    description:
      'Types of answers that are compressed: `text/css`, `text/*`, `application/*+json`, or `*`. Pictures, films and archives are compressed already. `text/event-stream` must be named itself.',
  },
);

export const CompressConfig = Type.Object(
  {
    codings: Type.Array(Type.Enum(['zstd', 'br', 'gzip']), {
      minItems: 1,
      maxItems: 3,
      default: ['zstd', 'br', 'gzip'],
      description: 'What may be written. Of codings that a client likes equally, the first one here is taken.',
    }),
    types: MediaTypes,
    bytesMin: Type.Integer({
      minimum: 0,
      maximum: 1_048_576,
      default: 1024,
      description:
        'Answers that are shorter, in bytes, stay as they are: they fit one packet anyway. Holds where the length is known beforehand.',
    }),
    levels: Type.Object(
      {
        gzip: Type.Integer({ minimum: 1, maximum: 9, default: 5, description: 'From fast to small.' }),
        br: Type.Integer({ minimum: 0, maximum: 11, default: 4, description: 'From fast to small.' }),
        zstd: Type.Integer({ minimum: 1, maximum: 19, default: 3, description: 'From fast to small.' }),
      },
      { additionalProperties: false, default: {}, description: 'How hard each coding tries.' },
    ),
    flushMs: Type.Integer({
      minimum: 0,
      maximum: 10_000,
      default: 20,
      description:
        'Longest time in milliseconds that a piece of an answer of unknown length waits here for company. 0: each piece leaves at once, as events of `text/event-stream` always do.',
    }),
    leaveOut: Type.Array(Type.Enum(['cross-site-cookies', 'cookies', 'set-cookie', 'identity']), {
      maxItems: 4,
      default: ['cross-site-cookies'],
      description:
        'Answers that stay as they are because of BREACH: to requests with cookies that a page of another site made (`cross-site-cookies`, by Sec-Fetch-Site), to all with cookies, those that set cookies, those to a known identity.',
    }),
    bodiesMax: Type.Integer({
      minimum: 1,
      maximum: 100_000,
      default: 256,
      description:
        'Answers that one worker compresses at a time, all rules together; one takes up to 2 MB. Further ones are sent as they are.',
    }),
  },
  {
    additionalProperties: false,
    description:
      'Compresses answers while they stream: zstd, br or gzip, as the client likes (RFC 9110 section 12.5.3).',
  },
);
export type CompressConfig = Static<typeof CompressConfig>;

export const compress = declareFilter({
  name: 'compress',
  phase: 'transform',
  config: CompressConfig,
  composition: 'closest',
  decides: 'no',
  events: {
    compressed: 'Answers that were compressed.',
    busy: 'Answers that were sent as they are because `bodiesMax` others were being compressed.',
    bytes_in: 'Bytes of answers before they were compressed.',
    bytes_out: 'The same afterwards.',
  },
  explain: ({ codings, types, bytesMin }) => [
    `answers of ${types.join(', ')} from ${bytesMin} bytes on leave as ${codings.join(', ')}, as the client likes`,
  ],
  load: async () => (await import('./filter.ts')).code,
});
