/** How a filter is told of an OpenAPI document. */
import { Type } from '../schema/schema.ts';
import { fileName } from './references.ts';

export const openapiFile = Type.Optional(
  fileName({ description: 'OpenAPI document, 3.0 or 3.1, as JSON or YAML. Read again when it changes.' }),
);

export const openapiDocument = Type.Optional(
  Type.Record(Type.String(), Type.Unknown(), { description: 'The same, written here.' }),
);

export const openapiBasePath = Type.Optional(
  Type.String({
    maxLength: 1024,
    pattern: '^(?:|/[\\x21-\\x22\\x24-\\x3e\\x40-\\x7e]*)$',
    expected: 'a path such as "/v1", or nothing',
    description: 'What paths of requests have before those of the document. Default: the paths of its `servers`.',
  }),
);
