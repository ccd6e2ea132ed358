import { faultKinds } from '../../base/fault.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { durationField, FieldName } from '../../filter/fields.ts';
import { backendRef } from '../../filter/references.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

/** A path that may be put before another one, or stand for it: no query, nothing that would end a request line. */
const Path = Type.String({
  minLength: 1,
  maxLength: 1024,
  pattern: '^/[\\x21\\x24-\\x3b\\x3d\\x40-\\x5b\\x5d\\x5f\\x61-\\x7a\\x7e]*$',
  expected: 'a percent-encoded path without query, such as "/verify"',
  description: 'Path without query.',
});

const Http = Type.Object(
  {
    path: Type.Optional(
      Type.Object(
        {
          kind: Type.Enum(['fixed', 'prefix'], {
            default: 'fixed',
            description:
              '`fixed`: every question goes to this path. `prefix`: to this path with that of the request behind it.',
          }),
          value: Path,
        },
        {
          ...strict,
          description: 'Where the authorizer is asked. Left out: at the path and query of the request.',
        },
      ),
    ),
    method: Type.Enum(['GET', 'original'], {
      default: 'GET',
      description: 'Method of the question. `original`: that of the request.',
    }),
    authority: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        pattern: '^[A-Za-z0-9.:\\[\\]-]+$',
        expected: 'a host name, with or without port',
        description: 'Host of the question. Left out: that of the request, as the client named it.',
      }),
    ),
    requestHeaders: Type.Array(Type.Union([Type.Literal('*'), FieldName]), {
      maxItems: 64,
      default: ['accept', 'authorization', 'cookie', 'origin', 'referer', 'user-agent', 'x-requested-with'],
      description:
        'Headers of the request that the authorizer sees; `*` for all. X-Forwarded-Method, -Proto, -Host, -Uri, -For, X-Original-URL and X-Request-Id are always sent.',
    }),
    answerHeaders: Type.Array(FieldName, {
      maxItems: 64,
      default: [],
      description: 'Headers of an allowing answer that are added to the answer for the client, such as `set-cookie`.',
    }),
    refusalHeaders: Type.Array(FieldName, {
      maxItems: 64,
      default: ['cache-control', 'content-type', 'location', 'retry-after', 'set-cookie', 'www-authenticate'],
      description: 'Headers of a refusing answer that the client gets.',
    }),
  },
  { ...strict, description: 'The authorizer is asked by a request: 2xx allows, 3xx and 4xx go to the client.' },
);
export type HttpConfig = Static<typeof Http>;

const Grpc = Type.Object(
  {
    authority: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        pattern: '^[A-Za-z0-9.:\\[\\]-]+$',
        description: 'Its `:authority`.',
      }),
    ),
    requestHeaders: Type.Array(Type.Union([Type.Literal('*'), FieldName]), {
      maxItems: 64,
      default: ['*'],
      description: 'Headers of the request that the authorizer sees; `*` for all.',
    }),
    contextExtensions: Type.Record(
      Type.String({ minLength: 1, maxLength: 128, pattern: '^[\\x21-\\x7e]{1,128}$' }),
      Type.String({ maxLength: 1024 }),
      { maxProperties: 64, default: {}, description: 'Sent with every question as `context_extensions`.' },
    ),
    certificate: Type.Enum(['omit', 'send'], {
      default: 'omit',
      description: 'Whether the certificate of the client is sent, as URL-encoded PEM. Its names always are.',
    }),
  },
  {
    ...strict,
    description:
      'The authorizer speaks `envoy.service.auth.v3.Authorization` over gRPC. Its Service needs `appProtocol: kubernetes.io/h2c`, or `protocol: http2` in its BackendPolicy.',
  },
);
export type GrpcConfig = Static<typeof Grpc>;

const Cache = Type.Object(
  {
    key: Type.String({
      minLength: 1,
      maxLength: 2048,
      description:
        'Expression (CEL) whose text names all that the verdict hangs on: who asks, and for what. Where it cannot be evaluated, the authorizer is asked.',
    }),
    ttl: durationField({ default: '5s', description: 'How long a verdict holds, at most 1h.' }),
    entriesMax: Type.Integer({ minimum: 1, maximum: 100_000, default: 10_000, description: 'In each worker.' }),
  },
  { ...strict, description: 'Keeps verdicts. Left out: the authorizer is asked for each request.' },
);

export const ExtAuthConfig = Type.Object(
  {
    backend: backendRef({ description: 'The authorizer.' }),
    http: Type.Optional(Http),
    grpc: Type.Optional(Grpc),
    upstreamHeaders: Type.Array(FieldName, {
      maxItems: 64,
      default: [],
      description:
        'Headers that the authorizer vouches for: taken out of every request. Over HTTP, those of an allowing answer are set instead; over gRPC, the authorizer may also set others.',
    }),
    withBody: Type.Optional(
      Type.Object(
        {
          bytesMax: Type.Integer({
            minimum: 1,
            maximum: 16 * 1024 * 1024,
            default: 64 * 1024,
            description: 'How much of the body of the request is sent.',
          }),
          beyond: Type.Enum(['refuse', 'part'], {
            default: 'refuse',
            description:
              'Of a longer body. `refuse`: 413. `part`: its beginning is sent, and `x-envoy-auth-partial-body: true` says so.',
          }),
          as: Type.Enum(['bytes', 'text'], {
            default: 'text',
            description: 'Over gRPC: whether it stands in `raw_body` or, as UTF-8, in `body`.',
          }),
        },
        { ...strict, description: 'The authorizer sees the body too. It is held back until the verdict.' },
      ),
    ),
    timeout: durationField({ default: '1s', description: 'How long a verdict may take, at most 1m.' }),
    answerBytesMax: Type.Integer({
      minimum: 0,
      maximum: 1024 * 1024,
      default: 64 * 1024,
      description: 'The longest answer of the authorizer. A longer one refuses.',
    }),
    whenAway: Type.Enum(['allow', 'refuse'], {
      default: 'refuse',
      description:
        'Without an answer, in time, or with 5xx. `allow` lets requests through; an answer that cannot be read still refuses.',
    }),
    awayStatus: Type.Integer({
      minimum: 400,
      maximum: 599,
      default: 503,
      description: 'Status of requests that are refused because the authorizer is away.',
    }),
    cache: Type.Optional(Cache),
  },
  { ...strict, description: 'Asks an authorizer of your own whether a request may pass.' },
);
export type ExtAuthConfig = Static<typeof ExtAuthConfig>;

export const FAULTS = faultKinds({
  'extAuth.refused': {
    blame: 'policy',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'The request is not allowed',
    advice: 'The external authorizer said no, without an answer of its own. Its log says why.',
  },
  'extAuth.away': {
    blame: 'dependency',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'The request could not be authorised',
    advice:
      'The external authorizer did not answer within its timeout, cannot be reached, or answered 5xx. whenAway of the filter says what becomes of requests.',
  },
  'extAuth.answer-invalid': {
    blame: 'dependency',
    retry: 'never',
    status: 502,
    grpc: 13,
    title: 'The request could not be authorised',
    advice:
      'The answer of the external authorizer is longer than answerBytesMax, or is not what its protocol has. Over gRPC: is it envoy.service.auth.v3?',
  },
});

export const extAuth = declareFilter({
  name: 'extAuth',
  phase: 'authorise',
  config: ExtAuthConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: FAULTS,
  events: {
    allowed: 'Requests that the authorizer allowed.',
    refused: 'Requests that the authorizer refused.',
    away: 'Questions that the authorizer did not answer.',
    invalid: 'Answers of the authorizer that could not be read, or were too long.',
    let_through: 'Requests that passed because the authorizer was away (`whenAway: allow`).',
    cache_hit: 'Verdicts that were known.',
    header_dropped: 'Headers of the authorizer that may not be set, or whose value is not valid.',
  },
  buffers: ({ withBody }) => ({ request: withBody !== undefined, response: false }),
  explain: ({ http, whenAway, withBody, timeout }) => [
    `asks an authorizer over ${http === undefined ? 'gRPC' : 'HTTP'}, for at most ${timeout}`,
    ...(withBody === undefined ? [] : [`with the first ${withBody.bytesMax} bytes of the body`]),
    `when it is away, requests are ${whenAway === 'allow' ? 'let through' : 'refused'}`,
  ],
  check: checkBeside<ExtAuthConfig>(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
