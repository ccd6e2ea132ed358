import { declareFilter } from '../../filter/declaration.ts';
import { Field } from '../../filter/fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

export const DirectResponseConfig = Type.Object(
  {
    status: Type.Integer({ minimum: 200, maximum: 599, description: 'Status of the answer.' }),
    body: Type.String({ maxLength: 65_536, default: '', description: 'Body of the answer, sent as UTF-8.' }),
    contentType: Type.String({
      minLength: 1,
      maxLength: 256,
      pattern: '^[\\x20-\\x7e]+$',
      expected: 'a media type such as "application/json"',
      default: 'text/plain; charset=utf-8',
      description: 'Content-Type of the answer; not sent without a body.',
    }),
    headers: Type.Array(Field, { maxItems: 64, default: [], description: 'Further header lines of the answer.' }),
  },
  { additionalProperties: false, description: 'Answers without asking an upstream.' },
);
export type DirectResponseConfig = Static<typeof DirectResponseConfig>;

export const directResponse = declareFilter({
  name: 'directResponse',
  phase: 'answer',
  config: DirectResponseConfig,
  composition: 'closest',
  decides: 'no',
  load: async () => (await import('./filter.ts')).code,
});
