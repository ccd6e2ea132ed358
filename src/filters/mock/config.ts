import { parseDuration } from '../../base/duration.ts';
import { faultKinds } from '../../base/fault.ts';
import { type ConfigIssue, declareFilter } from '../../filter/declaration.ts';
import { durationField, Field } from '../../filter/fields.ts';
import { openapiBasePath, openapiDocument, openapiFile } from '../../filter/openapi-fields.ts';
import { FILE_EVENTS } from '../../filter/shared-file.ts';
import { type Static, Type } from '../../schema/schema.ts';

/** A service that is slower than this would have been given up. */
const DELAY_MS_MAX = 60_000;

const METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'] as const;

const MockedResponse = Type.Object(
  {
    method: Type.Enum(METHODS, { default: 'GET', description: 'Method. What is said of GET is true of HEAD.' }),
    path: Type.String({
      minLength: 1,
      maxLength: 1024,
      pattern: '^/[^?#\\s]*$',
      expected: 'a path such as "/users/{id}"',
      description: 'Path template: `{name}` stands for a segment, or a part of one.',
    }),
    status: Type.Integer({ minimum: 200, maximum: 599, default: 200, description: 'Status of the answer.' }),
    headers: Type.Array(Field, { maxItems: 64, default: [], description: 'Header lines of the answer.' }),
    body: Type.Optional(Type.String({ maxLength: 65_536, description: 'Body as it is sent, in UTF-8.' })),
    example: Type.Optional(Type.Unknown({ description: 'Instead of `body`: a value that is sent as JSON.' })),
    contentType: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 256,
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[\\x20-\\x7e]*)$",
        expected: 'a media type such as "application/json"',
        description: 'Content-Type. Default: `application/json` of an `example`, `text/plain` of a `body`.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const MockConfig = Type.Object(
  {
    file: openapiFile,
    document: openapiDocument,
    responses: Type.Optional(
      Type.Array(MockedResponse, {
        minItems: 1,
        maxItems: 256,
        description:
          'Instead of a document: answers. Of several of one method and path, the first 2xx is sent, others by `Prefer: code`.',
      }),
    ),
    basePath: openapiBasePath,
    delay: durationField({ default: '0s', description: 'How long each answer waits, at most `1m`.' }),
    unmatched: Type.Union([Type.Literal('pass'), Type.Literal(404)], {
      default: 404,
      description:
        'Requests that the document lacks: `pass` to the upstream, or 404 (405 where only the method is another).',
    }),
  },
  {
    additionalProperties: false,
    description: 'Answers from the examples of an OpenAPI document, without asking an upstream.',
  },
);
export type MockConfig = Static<typeof MockConfig>;

const client = { blame: 'client', retry: 'never', grpc: 12 } as const;
const operator = { blame: 'policy', retry: 'never', grpc: 13 } as const;

export const FAULTS = faultKinds({
  'mock.unknown-path': {
    ...client,
    status: 404,
    title: 'There is no such path in the mocked API',
    advice: 'The document lacks the path. Compare `basePath` and `servers`, or set `unmatched: pass`.',
  },
  'mock.unknown-method': {
    ...client,
    status: 405,
    title: 'The path does not have this method',
    advice: 'The document lacks the method. Allow names what there is.',
  },
  'mock.not-acceptable': {
    ...client,
    status: 406,
    title: 'There is no answer of a type that is accepted',
    advice: 'The document has other types for this answer than Accept of the request takes.',
  },
  'mock.no-answer': {
    ...operator,
    status: 501,
    grpc: 12,
    title: 'The mocked API describes no answer',
    advice: 'The operation has no `responses` in the document: add one.',
  },
  'mock.document-wrong': {
    ...operator,
    status: 500,
    title: 'The description of the mocked API is wrong',
    advice: 'A reference of the operation leads to nothing, out of the document, or in a circle. The log names it.',
  },
});

export const mock = declareFilter({
  name: 'mock',
  phase: 'answer',
  config: MockConfig,
  composition: 'closest',
  decides: 'no',
  faults: FAULTS,
  events: {
    ...FILE_EVENTS,
    answered: 'Requests that were answered from an example or a schema.',
    unmatched: 'Requests that the document lacks, refused or not.',
  },
  explain: ({ file, unmatched }) => [
    `answers from ${file === undefined ? 'what is written in the policy' : 'an OpenAPI document beside the proxy'}; what is not in it: ${unmatched}`,
  ],
  check: checkConfig,
  load: async () => (await import('./filter.ts')).code,
});

function checkConfig({ file, document, responses = [], delay }: MockConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const said = [file, document, responses[0]].filter((one) => one !== undefined).length;
  if (said !== 1) {
    issues.push({ pointer: '', message: `${said} of file, document and responses are set: exactly one should be` });
  }
  if (parseDuration(delay)! > DELAY_MS_MAX) {
    issues.push({ pointer: '/delay', message: `"${delay}" is too long: at most 1m` });
  }
  const seen = new Set<string>();
  responses.forEach(({ method, path, status, body, example }, i) => {
    if (body !== undefined && example !== undefined) {
      issues.push({ pointer: `/responses/${i}`, message: 'Both body and example are set: at most one should be' });
    }
    const key = `${method} ${path.replaceAll(/\{[^{}]*\}/g, '{}')} ${status}`;
    if (seen.has(key)) issues.push({ pointer: `/responses/${i}`, message: `${key} is there twice` });
    seen.add(key);
  });
  return issues;
}
