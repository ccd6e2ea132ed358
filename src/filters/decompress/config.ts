import { faultKinds } from '../../base/fault.ts';
import { declareFilter } from '../../filter/declaration.ts';
import { type Static, Type } from '../../schema/schema.ts';

export const DecompressConfig = Type.Object(
  {
    codings: Type.Array(Type.Enum(['gzip', 'br', 'zstd', 'deflate']), {
      minItems: 1,
      maxItems: 4,
      default: ['gzip', 'br', 'zstd', 'deflate'],
      description: 'What is read. A request in another coding is answered with 415, and Accept-Encoding names these.',
    }),
    bytesMax: Type.Integer({
      minimum: 1024,
      maximum: 4_294_967_296,
      default: 10_485_760,
      description: 'Longest body, in bytes, after it was decompressed. Beyond: 413.',
    }),
    ratioMax: Type.Integer({
      minimum: 2,
      maximum: 100_000,
      default: 100,
      description:
        'How many times longer than what came a body may become, once it is longer than 1 MiB. Beyond: 413. Text comes to 5 to 20.',
    }),
    codingsMax: Type.Integer({
      minimum: 1,
      maximum: 4,
      default: 1,
      description: 'Codings that may lie one inside the other. Beyond: 415.',
    }),
    answers: Type.Boolean({
      default: false,
      description:
        'Decompresses answers too, for filters that read their bodies and for clients that read no coding. For that the policy stands on the Service.',
    }),
    bodiesMax: Type.Integer({
      minimum: 1,
      maximum: 100_000,
      default: 256,
      description:
        'Bodies that one worker decompresses at a time, all rules together; one may take up to 16 MB (`br`). Beyond: 503.',
    }),
  },
  {
    additionalProperties: false,
    description:
      'Decompresses bodies of requests while they stream, within bounds, so that filters and services can read them.',
  },
);
export type DecompressConfig = Static<typeof DecompressConfig>;

export const FAULTS = faultKinds({
  'decompress.unknown-coding': {
    blame: 'client',
    retry: 'never',
    status: 415,
    grpc: 12,
    title: 'The coding of the request body is not accepted',
    advice: 'Content-Encoding names a coding that `codings` lacks, or more of them than `codingsMax`.',
  },
  'decompress.malformed': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'The request body cannot be decompressed',
    advice: 'The body is not what Content-Encoding says, is cut short, or has bytes behind its end.',
  },
  'decompress.too-large': {
    blame: 'client',
    retry: 'never',
    status: 413,
    grpc: 8,
    title: 'The request body is too large',
    advice: 'After decompression it is longer than `bytesMax`, or `ratioMax` times longer than what came: a bomb.',
  },
  'decompress.answer-malformed': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 13,
    title: 'The answer of the upstream cannot be decompressed',
    advice: 'The body is not what its Content-Encoding says, or is cut short.',
  },
  'decompress.answer-too-large': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 8,
    title: 'The answer of the upstream is too large',
    advice: 'After decompression it is longer than `bytesMax`, or `ratioMax` times longer than what came.',
  },
  'decompress.busy': {
    blame: 'gateway',
    retry: 'never',
    status: 503,
    grpc: 8,
    title: 'Too many bodies are being decompressed',
    advice: 'One worker decompresses `bodiesMax` bodies at a time.',
  },
});

export const decompress = declareFilter({
  name: 'decompress',
  phase: 'transform',
  config: DecompressConfig,
  composition: 'closest',
  decides: 'no',
  faults: FAULTS,
  events: {
    request: 'Requests whose bodies were decompressed.',
    answer: 'Answers whose bodies were decompressed.',
    refused: 'Bodies that were refused: coding, bounds or contents.',
  },
  explain: ({ codings, bytesMax, ratioMax, answers }) => [
    `request bodies${answers ? ' and answers' : ''} in ${codings.join(', ')} are decompressed, to at most ${bytesMax} bytes and ${ratioMax} times their length`,
  ],
  load: async () => (await import('./filter.ts')).code,
});
