import { declareFilter } from '../../filter/declaration.ts';
import { Field, FieldName } from '../../filter/fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const Changes = Type.Object(
  {
    set: Type.Array(Field, {
      maxItems: 64,
      default: [],
      description: 'One line of this name with this value, whatever was there. On requests, `host` sets the authority.',
    }),
    add: Type.Array(Field, {
      maxItems: 64,
      default: [],
      description: 'Appends to what is there, as `old,new` in one line; makes the line when there is none.',
    }),
    remove: Type.Array(FieldName, { maxItems: 64, default: [], description: 'Removes every line of this name.' }),
  },
  { additionalProperties: false },
);
export type Changes = Static<typeof Changes>;

export const HeadersConfig = Type.Object(
  {
    request: Type.Optional(Changes),
    response: Type.Optional(Changes),
  },
  { additionalProperties: false, description: 'Sets, adds and removes header fields of requests and answers.' },
);
export type HeadersConfig = Static<typeof HeadersConfig>;

export const headers = declareFilter({
  name: 'headers',
  phase: 'transform',
  config: HeadersConfig,
  composition: 'adds',
  decides: 'no',
  load: async () => (await import('./filter.ts')).code,
});
