import { faultKinds } from '../../base/fault.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { FieldName } from '../../filter/fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const Body = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 16_384,
    description:
      'JSONata expression whose value is the new body. The body is its input; `$request` has method, host, path, query, clientIp and consumer, `$status` the status of an answer.',
  }),
);

/** A value is a CEL expression about the request. */
const Set = (description: string) =>
  Type.Array(
    Type.Object(
      {
        name: FieldName,
        value: Type.String({ minLength: 1, maxLength: 4096, description: 'CEL expression of a text.' }),
      },
      { additionalProperties: false },
    ),
    { maxItems: 64, default: [], description },
  );

const Remove = Type.Array(FieldName, { maxItems: 64, default: [], description: 'Headers that are taken out.' });

export const TransformConfig = Type.Object(
  {
    request: Type.Optional(
      Type.Object(
        {
          body: Body,
          setHeaders: Set('Headers, with the value of an expression. One without a value is taken out.'),
          removeHeaders: Remove,
        },
        { additionalProperties: false, description: 'What becomes of requests.' },
      ),
    ),
    answer: Type.Optional(
      Type.Object(
        {
          body: Body,
          setHeaders: Set('Headers, with the value of an expression about the request.'),
          removeHeaders: Remove,
        },
        { additionalProperties: false, description: 'What becomes of answers with a status of 200 to 299.' },
      ),
    ),
    onError: Type.Enum(['refuse', 'pass'], {
      default: 'refuse',
      description: 'Of bodies that cannot be transformed: 400 or 502, or they are sent on as they came.',
    }),
    bodyBytesMax: Type.Integer({
      minimum: 1,
      maximum: 16_777_216,
      default: 1_048_576,
      description: 'Longest body, in bytes, before and after.',
    }),
    depthMax: Type.Integer({ minimum: 1, maximum: 500, default: 64, description: 'How deep JSON may be nested.' }),
    timeMs: Type.Integer({
      minimum: 1,
      maximum: 5_000,
      default: 50,
      description: 'Longest time in milliseconds of one expression, during which its worker does nothing else.',
    }),
    stackMax: Type.Integer({
      minimum: 10,
      maximum: 1_000,
      default: 200,
      description: 'How deep an expression may call itself.',
    }),
    itemsMax: Type.Integer({
      minimum: 10,
      maximum: 1_000_000,
      default: 100_000,
      description: 'Longest list that an expression may make.',
    }),
  },
  { additionalProperties: false, description: 'Changes JSON bodies by JSONata, and headers by CEL expressions.' },
);
export type TransformConfig = Static<typeof TransformConfig>;

export const FAULTS = faultKinds({
  'transform.request-failed': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'The request body cannot be transformed',
    advice:
      'It is no JSON that every parser reads alike, or the expression of the policy has no value for it. The log says which.',
  },
  'transform.answer-failed': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 13,
    title: 'The answer of the upstream cannot be transformed',
    advice:
      'It is no JSON that every parser reads alike, or the expression of the policy has no value for it. The log says which.',
  },
});

export const transform = declareFilter({
  name: 'transform',
  phase: 'transform',
  config: TransformConfig,
  composition: 'closest',
  decides: 'no',
  faults: FAULTS,
  events: {
    transformed: 'Bodies that were transformed.',
    failed: 'Bodies that could not be.',
  },
  buffers: ({ request, answer }) => ({ request: request?.body !== undefined, response: answer?.body !== undefined }),
  check: checkBeside(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
