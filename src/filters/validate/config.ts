import { faultKinds } from '../../base/fault.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { openapiBasePath, openapiDocument, openapiFile } from '../../filter/openapi-fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const Mode = ['enforce', 'report', 'off'] as const;

export const ValidateConfig = Type.Object(
  {
    file: openapiFile,
    document: openapiDocument,
    schemas: Type.Optional(
      Type.Object(
        {
          request: Type.Optional(
            Type.Record(Type.String(), Type.Unknown(), { description: 'JSON Schema of every request body.' }),
          ),
          answer: Type.Optional(
            Type.Record(Type.String(), Type.Unknown(), {
              description: 'JSON Schema of every answer body that is JSON.',
            }),
          ),
        },
        {
          additionalProperties: false,
          description: 'Instead of a document: JSON Schemas, 2020-12 or, where `$schema` says so, draft-07.',
        },
      ),
    ),
    basePath: openapiBasePath,
    requests: Type.Enum(Mode, {
      default: 'enforce',
      description: 'What becomes of requests that are not as they should be.',
    }),
    answers: Type.Enum(Mode, {
      default: 'off',
      description: 'The same of answers. `enforce` and `report` hold answers with a schema back until they are whole.',
    }),
    unknownPaths: Type.Enum(['refuse', 'report', 'pass'], {
      default: 'refuse',
      description: 'Requests whose path the document lacks: 404, said in the drift report, or nothing.',
    }),
    unknownMethods: Type.Enum(['refuse', 'report', 'pass'], {
      default: 'refuse',
      description: 'Requests whose path has another method: 405 with Allow, said in the drift report, or nothing.',
    }),
    unknownQuery: Type.Enum(['refuse', 'report', 'pass'], {
      default: 'report',
      description: 'Query parameters that the operation lacks.',
    }),
    uncheckedPatterns: Type.Enum(['refuse', 'pass'], {
      default: 'refuse',
      description:
        'Patterns of the document that cannot be checked in bounded time (back references, counts of thousands, what is no pattern): the ' +
        'operations that need them fail like others whose description is wrong, or every text matches them.',
    }),
    bodyBytesMax: Type.Integer({
      minimum: 1,
      maximum: 67_108_864,
      default: 1_048_576,
      description:
        'Longest body, in bytes, that is looked at. Beyond, `enforce` refuses it, and `report` lets it pass unseen.',
    }),
    depthMax: Type.Integer({
      minimum: 1,
      maximum: 1_000,
      default: 64,
      description: 'How deep JSON may be nested.',
    }),
    errorsMax: Type.Integer({ minimum: 1, maximum: 100, default: 10, description: 'Mistakes that an answer names.' }),
    driftMax: Type.Integer({
      minimum: 0,
      maximum: 10_000,
      default: 500,
      description: 'Different things that are kept of what was seen and is not in the document.',
    }),
  },
  {
    additionalProperties: false,
    description: 'Holds requests and answers to an OpenAPI document or to JSON Schemas.',
  },
);
export type ValidateConfig = Static<typeof ValidateConfig>;
export type UncheckedPatterns = ValidateConfig['uncheckedPatterns'];

const client = { blame: 'client', retry: 'never', grpc: 3 } as const;

export const FAULTS = faultKinds({
  'validate.request-invalid': {
    ...client,
    status: 400,
    title: 'The request is not as the API describes it',
    advice:
      'Parameters or body break the document. The answer names them in `errors`; values are neither told nor logged.',
  },
  'validate.malformed': {
    ...client,
    status: 400,
    title: 'The request body cannot be read',
    advice:
      'It is no JSON that every parser reads alike (UTF-8, no mark, no key twice, bounded depth), or no valid form.',
  },
  'validate.unsupported-type': {
    ...client,
    status: 415,
    grpc: 12,
    title: 'The type of the request body is not accepted',
    advice: 'The operation lacks this Content-Type, or its charset is not UTF-8. Accept names what there is.',
  },
  'validate.coded': {
    ...client,
    status: 415,
    grpc: 12,
    title: 'The request body is compressed',
    advice: 'What is compressed cannot be looked at: add filter `decompress` to the route.',
  },
  'validate.unknown-path': {
    ...client,
    status: 404,
    grpc: 12,
    title: 'There is no such path in the API',
    advice: 'The document lacks the path. Compare `basePath` and `servers`, or set `unknownPaths`.',
  },
  'validate.unknown-method': {
    ...client,
    status: 405,
    grpc: 12,
    title: 'The path does not have this method',
    advice: 'The document lacks the method. Allow names what there is.',
  },
  'validate.document-wrong': {
    blame: 'policy',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'The description of the API is wrong',
    advice: 'A schema or a reference that the operation needs is not valid. The log names it by its JSON pointer.',
  },
  'validate.answer-invalid': {
    blame: 'upstream',
    retry: 'never',
    status: 502,
    grpc: 13,
    title: 'The answer of the upstream is not as the API describes it',
    advice: 'The log names the operation and the rule. Mend the service or the document, or set `answers: report`.',
  },
});

export const validate = declareFilter({
  name: 'validate',
  phase: 'transform',
  config: ValidateConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: FAULTS,
  events: {
    request_invalid: 'Requests that were not as they should be, refused or not.',
    answer_invalid: 'Answers that were not as they should be, replaced or not.',
    document_wrong: 'Requests of operations whose description is wrong, refused or not.',
    drift_path: 'Requests for a path that the document lacks.',
    drift_method: 'Requests with a method that the path lacks.',
    drift_query: 'Query parameters that the operation lacks.',
    drift_field: 'Fields of bodies that the schema does not name.',
    drift_status: 'Answers with a status that the operation lacks.',
    drift_type: 'Bodies of a type that the operation lacks.',
    unchecked_pattern: 'Patterns of documents that cannot be checked, with `uncheckedPatterns: pass`.',
  },
  buffers: ({ requests, answers }) => ({ request: requests !== 'off', response: answers !== 'off' }),
  explain: ({ requests, answers, file }) => [
    `requests: ${requests}, answers: ${answers}, by ${file === undefined ? 'what is written in the policy' : 'an OpenAPI document beside the proxy'}`,
  ],
  check: checkBeside(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
