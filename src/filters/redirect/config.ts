import { declareFilter } from '../../filter/declaration.ts';
import { Hostname, PathReplacement } from '../../filter/address.ts';
import { type Static, Type } from '../../schema/schema.ts';

export const RedirectConfig = Type.Object(
  {
    scheme: Type.Optional(
      Type.Union([Type.Literal('http'), Type.Literal('https')], {
        description: 'Scheme of the new address. Left out: that of the request.',
      }),
    ),
    hostname: Type.Optional(Hostname),
    port: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 65_535,
        description:
          'Port of the new address. Left out: the default port of `scheme` when that is given, else the port of the listener. A default port is not written.',
      }),
    ),
    path: Type.Optional(PathReplacement),
    statusCode: Type.Union(
      [Type.Literal(301), Type.Literal(302), Type.Literal(303), Type.Literal(307), Type.Literal(308)],
      { default: 302, description: 'Status of the answer. 307 and 308 keep the method, 303 makes it GET.' },
    ),
  },
  { additionalProperties: false, description: 'Answers with a redirect. The query is kept.' },
);
export type RedirectConfig = Static<typeof RedirectConfig>;

export const redirect = declareFilter({
  name: 'redirect',
  phase: 'answer',
  config: RedirectConfig,
  composition: 'closest',
  decides: 'no',
  load: async () => (await import('./filter.ts')).code,
});
