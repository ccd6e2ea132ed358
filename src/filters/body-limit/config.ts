import { faultKinds } from '../../base/fault.ts';
import { declareFilter } from '../../filter/declaration.ts';
import { type Static, Type } from '../../schema/schema.ts';

const BYTES_MAX = Number.MAX_SAFE_INTEGER;

export const BodyLimitConfig = Type.Object(
  {
    bytesMax: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: BYTES_MAX,
        description: 'Longest body of a request, in bytes as they come, compressed or not. Default: no limit.',
      }),
    ),
    answerBytesMax: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: BYTES_MAX,
        description: 'Longest body of an answer of the upstream, in bytes as they come. Default: no limit.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Limits how long bodies are.' },
);
export type BodyLimitConfig = Static<typeof BodyLimitConfig>;

export const BODY_LIMIT_FAULTS = faultKinds({
  'body-limit.request': {
    blame: 'client',
    retry: 'never',
    status: 413,
    grpc: 8,
    title: 'The request body is too large',
    advice: 'The body is longer than bytesMax of bodyLimit on the route.',
  },
  'body-limit.answer': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 8,
    title: 'The answer of the upstream is too large',
    advice: 'The body is longer than answerBytesMax of bodyLimit on the route.',
  },
});

export const bodyLimit = declareFilter({
  name: 'bodyLimit',
  phase: 'admit',
  config: BodyLimitConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: BODY_LIMIT_FAULTS,
  events: {
    refused: 'Requests that were refused because of the length that they announced.',
    broken_off: 'Bodies that turned out to be too long while they were sent.',
    answer_refused: 'Answers that were replaced because of the length that they announced.',
  },
  explain: ({ bytesMax, answerBytesMax }) => [
    ...(bytesMax === undefined ? [] : [`requests of at most ${bytesMax} bytes`]),
    ...(answerBytesMax === undefined ? [] : [`answers of at most ${answerBytesMax} bytes`]),
  ],
  check: ({ bytesMax, answerBytesMax }) =>
    bytesMax === undefined && answerBytesMax === undefined
      ? [{ pointer: '', message: 'Limits nothing: give "bytesMax", "answerBytesMax" or both' }]
      : [],
  load: async () => (await import('./filter.ts')).code,
});
