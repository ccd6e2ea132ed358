import { declareFilter } from '../../filter/declaration.ts';
import { Hostname, PathReplacement } from '../../filter/address.ts';
import { type Static, Type } from '../../schema/schema.ts';

export const RewriteConfig = Type.Object(
  {
    hostname: Type.Optional(Hostname),
    path: Type.Optional(PathReplacement),
  },
  { additionalProperties: false, description: 'Changes host and path of the request before it goes upstream.' },
);
export type RewriteConfig = Static<typeof RewriteConfig>;

export const rewrite = declareFilter({
  name: 'rewrite',
  phase: 'transform',
  config: RewriteConfig,
  composition: 'closest',
  decides: 'no',
  load: async () => (await import('./filter.ts')).code,
});
