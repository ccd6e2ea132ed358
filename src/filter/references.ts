/**
 * Schemas of what configurations of filters refer to. A manifest says the name;
 * the compiler looks it up and puts in its place what a filter can use, so their
 * type is that of the filter (env.ts).
 */
import { type TSchema, Type } from '../schema/schema.ts';
import type { LoweredBackend, LoweredFile, LoweredSecret } from './env.ts';
import type { LoweredModule } from './own-program.ts';

interface Said {
  readonly description: string;
}

/** A schema whose value is a `T` for the filter. */
type Reference<T> = TSchema & { readonly '~unsafe': T };

const strict = { additionalProperties: false };

const ObjectName = { minLength: 1, maxLength: 253, expected: 'the name of an object' };

/** `{ name, key }`: a value of a Secret in the namespace of the policy. */
export function secretRef({ description }: Said): Reference<LoweredSecret> {
  return Type.Object(
    {
      name: Type.String({ ...ObjectName, description: 'Secret in the namespace of the policy.' }),
      key: Type.String({ minLength: 1, maxLength: 253, description: 'Key in the Secret.' }),
    },
    { ...strict, refersTo: 'secret', description },
  ) as unknown as Reference<LoweredSecret>;
}

/** `{ name, port }`: a Service, or a Backend of ours. */
export function backendRef({ description }: Said): Reference<LoweredBackend> {
  return Type.Object(
    {
      group: Type.Optional(Type.String({ maxLength: 253, description: 'API group. May be left out.' })),
      kind: Type.Enum(['Service', 'Backend'], { default: 'Service', description: 'Kind.' }),
      name: Type.String({ ...ObjectName, description: 'Name.' }),
      namespace: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 63,
          description: 'Another namespace, where a ReferenceGrant allows it. Default: that of the policy.',
        }),
      ),
      port: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port of a Service. A Backend needs none.' }),
      ),
    },
    { ...strict, refersTo: 'backend', description },
  ) as unknown as Reference<LoweredBackend>;
}

/** A file beside the proxy: an absolute path, or one that is looked up beside the manifest. */
export function fileName({ description }: Said): Reference<LoweredFile> {
  return Type.String({
    minLength: 1,
    maxLength: 4096,
    refersTo: 'file',
    expected: 'the name of a file',
    description,
  }) as unknown as Reference<LoweredFile>;
}

/** A module: a file beside the manifest (`./stamp.ts`), or a package that is looked up from there. */
export function moduleName({ description }: Said): Reference<LoweredModule> {
  return Type.String({
    minLength: 1,
    maxLength: 4096,
    refersTo: 'module',
    expected: 'the name of a file such as "./stamp.ts", or of a package',
    description,
  }) as unknown as Reference<LoweredModule>;
}
