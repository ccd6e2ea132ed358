/** What makes a kind: where it belongs, its schema, and the rules that a schema cannot say. */
import { type Static, type TSchema, Type } from '../schema/schema.ts';
import { Metadata } from './metadata.ts';

/** A rule of a kind that a manifest breaks. */
export interface Finding {
  /** JSON pointer from the manifest: `/spec/rules/0`. */
  readonly pointer: string;
  readonly code: string;
  readonly message: string;
}

export interface Kind {
  readonly kind: string;
  readonly group: string;
  /** Accepted versions; the first one is what we write. */
  readonly versions: readonly string[];
  readonly scope: 'cluster' | 'namespace';
  /** Schema of the whole manifest. */
  readonly schema: TSchema;
  /** What the schema cannot say. Only called with what the schema accepts. */
  rules(manifest: unknown): readonly Finding[];
  /** The fields of the resource beside apiVersion, kind, metadata and origin. Only called with what `rules` accepts. */
  make(manifest: unknown): object;
  /** Fields of a resource that stands in for a manifest with mistakes, where serving without it would be dangerous. */
  standIn?(manifest: Readonly<Record<string, unknown>>): object | undefined;
}

interface KindOptions<F extends Record<string, TSchema>> {
  readonly kind: string;
  readonly group: string;
  readonly versions: readonly string[];
  readonly scope?: 'cluster' | 'namespace';
  /** Fields beside apiVersion, kind, metadata and status. */
  readonly fields: F;
  /** `others`: Kubernetes' own kinds have fields that are of no use here. */
  readonly allow?: 'others';
  readonly description: string;
  readonly rules?: (manifest: Static<ReturnType<typeof Type.Object<F>>>) => readonly Finding[];
  readonly make?: (manifest: Static<ReturnType<typeof Type.Object<F>>>) => object;
  readonly standIn?: NonNullable<Kind['standIn']>;
}

export function defineKind<F extends Record<string, TSchema>>(options: KindOptions<F>): Kind {
  const { kind, group, versions, scope = 'namespace', fields, allow, description, rules, make, standIn } = options;
  const schema = Type.Object(
    {
      apiVersion: Type.String({ description: apiVersionOf({ group, versions }) }),
      kind: Type.Literal(kind, { description: kind }),
      metadata: Metadata,
      ...fields,
      status: Type.Optional(Type.Unknown({ description: 'Written by a cluster; not read.' })),
    },
    { ...(allow === undefined && { additionalProperties: false }), description },
  );
  const names = Object.keys(fields);
  return {
    kind,
    group,
    versions,
    scope,
    schema,
    ...(standIn !== undefined && { standIn }),
    rules: (manifest) => rules?.(manifest as never) ?? [],
    make(manifest) {
      if (make !== undefined) return make(manifest as never);
      const all = manifest as Readonly<Record<string, unknown>>;
      return Object.fromEntries(names.map((name) => [name, all[name]]));
    },
  };
}

/** `gateway.networking.k8s.io/v1`; `v1` for the core group. */
export function apiVersionOf({ group, versions }: Pick<Kind, 'group' | 'versions'>): string {
  return group === '' ? versions[0]! : `${group}/${versions[0]!}`;
}
