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
