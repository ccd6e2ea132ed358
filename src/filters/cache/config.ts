import { faultKinds } from '../../base/fault.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { durationField, FieldName } from '../../filter/fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const KiB = 1024;
const MiB = 1024 * KiB;

/** Name of a parameter; a star at its end stands for the rest. */
const Parameter = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[A-Za-z0-9_.~\\[\\]-]+\\*?$',
  expected: 'the name of a parameter, such as "page" or "utm_*"',
});

const Expression = (description: string) => Type.String({ minLength: 1, maxLength: 4096, description });

const Query = Type.Object(
  {
    ignore: Type.Array(Parameter, {
      maxItems: 64,
      default: [],
      description: 'Parameters that change nothing, such as `utm_*`. The upstream does not get them.',
    }),
    allow: Type.Optional(
      Type.Array(Parameter, {
        maxItems: 64,
        description: 'The only parameters that count. The upstream gets no others.',
      }),
    ),
    sort: Type.Boolean({ default: false, description: 'Whether the order of parameters means nothing.' }),
  },
  {
    ...strict,
    default: {},
    description: 'Which parameters of the query choose an answer. Left out: all, as they come.',
  },
);

const Key = Type.Object(
  {
    query: Query,
    headers: Type.Array(FieldName, {
      maxItems: 16,
      default: [],
      description: 'Request headers that choose an answer, beside those that the answer names in `Vary`.',
    }),
    expression: Type.Optional(
      Expression('CEL expression whose text is part of the key. Where it has no value, the request is not cached.'),
    ),
  },
  { ...strict, default: {}, description: 'What chooses an answer beside method, scheme, host, path and query.' },
);

const Default = Type.Object(
  {
    statuses: Type.Array(Type.Integer({ minimum: 200, maximum: 599 }), {
      minItems: 1,
      maxItems: 64,
      default: [200],
      description: 'Statuses that it holds for.',
    }),
    lifetime: durationField({ description: 'How long such an answer is fresh.' }),
  },
  strict,
);

export const CacheConfig = Type.Object(
  {
    memoryBytesMax: Type.Integer({
      minimum: 64 * KiB,
      maximum: 16 * 1024 * MiB,
      default: 64 * MiB,
      description: 'Memory for answers, of all routes of this policy together, in each worker.',
    }),
    objectBytesMax: Type.Integer({
      minimum: 0,
      maximum: 256 * MiB,
      default: MiB,
      description: 'Longest body that is kept.',
    }),
    variantsMax: Type.Integer({
      minimum: 1,
      maximum: 1024,
      default: 32,
      description: 'Answers of one key that `Vary` tells apart. Beyond, the oldest goes.',
    }),
    lifetimeMax: durationField({ default: '8760h', description: 'Ceiling for what origins say.' }),
    defaults: Type.Array(Default, {
      maxItems: 16,
      default: [],
      description: 'Lifetimes where the origin says nothing. Left out: then nothing is kept.',
    }),
    heuristic: Type.Object(
      {
        percent: Type.Integer({
          minimum: 0,
          maximum: 100,
          default: 10,
          description: 'Share of the time since `Last-Modified`.',
        }),
        lifetimeMax: durationField({ default: '0s', description: 'Ceiling for it; `0s` means no guesses.' }),
      },
      {
        ...strict,
        default: {},
        description: 'A guess where neither origin nor `defaults` say anything (RFC 9111 section 4.2.2).',
      },
    ),
    targets: Type.Array(FieldName, {
      maxItems: 8,
      default: ['fourways-cache-control', 'cdn-cache-control'],
      description:
        'Fields by which origins speak to this cache before all others (RFC 9213), in the order in which they count.',
    }),
    key: Key,
    perIdentity: Type.Boolean({
      default: false,
      description:
        'Whether whoever is authenticated has answers of his own. Otherwise what he gets is only kept where the origin says `public`, `s-maxage` or `must-revalidate`, and then for all.',
    }),
    bypass: Type.Optional(
      Expression('CEL expression: requests for which it is true are neither answered from the store nor kept.'),
    ),
    requestDirectives: Type.Enum(['honour', 'ignore'], {
      default: 'ignore',
      description: 'Whether clients may ask for fresher answers than the store has (`Cache-Control` of requests).',
    }),
    unkeyedHeaders: Type.Enum(['bypass', 'forward'], {
      default: 'bypass',
      description:
        'Requests with headers such as `X-Original-URL`, which make some origins answer something else, and which are not in the key: not cached, or cached as all others.',
    }),
    setCookie: Type.Enum(['refuse', 'strip'], {
      default: 'refuse',
      description: 'Answers that set cookies: not kept, or kept without the cookies.',
    }),
    matchingType: Type.Boolean({
      default: true,
      description: 'Whether what looks like a file, such as `.css`, is only kept when its type fits the name.',
    }),
    staleWhileRevalidate: durationField({
      default: '0s',
      description:
        'How long a stale answer is given while a fresh one is fetched, where the origin does not say (RFC 5861).',
    }),
    staleIfError: durationField({
      default: '0s',
      description:
        'How long a stale answer is given when the upstream fails, where the origin does not say (RFC 5861).',
    }),
    collapse: Type.Object(
      {
        wait: durationField({
          default: '10s',
          description: 'How long a request waits for the answer to the same request of somebody else; `0s`: never.',
        }),
        passFor: durationField({
          default: '10s',
          description: 'How long requests do not wait after an answer that could not be kept.',
        }),
      },
      { ...strict, default: {}, description: 'One request to the upstream for many at a time.' },
    ),
    refreshTimeout: durationField({ default: '30s', description: 'For requests of the cache itself.' }),
    tags: Type.Object(
      {
        headers: Type.Array(FieldName, {
          maxItems: 4,
          default: ['cache-tag', 'surrogate-key'],
          description: 'Fields of answers that name tags, by which they can be purged.',
        }),
        toClients: Type.Enum(['remove', 'keep'], {
          default: 'remove',
          description: 'Whether clients see these fields.',
        }),
      },
      { ...strict, default: {}, description: 'Names for answers that belong together.' },
    ),
    cacheStatus: Type.Enum(['add', 'omit'], {
      default: 'add',
      description: 'Whether answers say what the cache did, in `Cache-Status` (RFC 9211).',
    }),
    redis: Type.Optional(
      Type.Object(
        {
          wait: durationField({
            default: '20ms',
            description: 'How long a request waits for Redis before it asks the upstream.',
          }),
          objectBytesMax: Type.Integer({
            minimum: 0,
            maximum: 16 * MiB,
            default: 256 * KiB,
            description: 'Longest body that is kept there.',
          }),
        },
        {
          ...strict,
          description: 'Answers are kept in Redis too, for all proxies. While it is away, memory alone counts.',
        },
      ),
    ),
  },
  { ...strict, description: 'Keeps answers and gives them again (RFC 9111).' },
);
export type CacheConfig = Static<typeof CacheConfig>;

export const CACHE_FAULTS = faultKinds({
  'cache.only-if-cached': {
    blame: 'client',
    retry: 'never',
    status: 504,
    grpc: 14,
    title: 'Nothing is stored that answers the request',
    advice: 'The client asked with "only-if-cached" and would not have the upstream asked (RFC 9111 section 5.2.1.7).',
  },
});

export const cache = declareFilter({
  name: 'cache',
  phase: 'answer',
  config: CacheConfig,
  composition: 'closest',
  decides: 'no',
  faults: CACHE_FAULTS,
  events: {
    hit: 'Requests that were answered from the store.',
    collapsed: 'Of these, those that waited for the request of somebody else.',
    stale: 'Of these, those that got a stale answer.',
    miss: 'Requests that the upstream was asked for, for want of an answer in the store.',
    bypass: 'Requests that the cache had no part in.',
    revalidated: 'Stale answers that the upstream confirmed.',
    refreshed: 'Answers that were fetched anew while a stale one was given.',
    stored: 'Answers that were kept.',
    refused: 'Answers that could have been kept for all they say, and were too large, cut, or in want of room.',
    evicted: 'Answers that were forgotten for want of room.',
    invalidated: 'Answers that were forgotten because a request changed what they are about.',
    redis_hit: 'Answers that were found in Redis.',
    redis_failed: 'Times that Redis did not answer in time, or not well.',
  },
  explain: (config) => [
    `keeps answers up to ${config.objectBytesMax} bytes, ${config.memoryBytesMax} bytes in each worker`,
    config.perIdentity ? 'answers for whoever is authenticated are his own' : 'answers are for all, or not kept',
    ...(config.bypass === undefined ? [] : [`not where ${config.bypass}`]),
  ],
  check: checkBeside(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
