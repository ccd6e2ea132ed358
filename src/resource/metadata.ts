import { type Static, Type } from '../schema/schema.ts';
import { namespaceName, sectionName } from './fields.ts';

function ignored(what: string): ReturnType<typeof Type.Optional<ReturnType<typeof Type.Unknown>>> {
  return Type.Optional(Type.Unknown({ description: `${what}; not read.` }));
}

/** ObjectMeta of Kubernetes: a closed set, so that a misspelt `labels` is found. */
export const Metadata = Type.Object(
  {
    name: sectionName({ description: 'Name, unique for its kind and namespace.' }),
    namespace: Type.Optional(namespaceName({ description: 'Namespace. Default: `default`.' })),
    labels: Type.Record(Type.String(), Type.String(), { default: {}, description: 'Labels, for selectors.' }),
    annotations: Type.Record(Type.String(), Type.String(), { default: {}, description: 'Annotations.' }),
    generation: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      default: 1,
      description: 'Counts changes of the spec; comes back as observedGeneration.',
    }),
    creationTimestamp: Type.Optional(
      Type.String({
        maxLength: 40,
        pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})$',
        expected: 'a time such as "2026-11-01T12:00:00Z"',
        description: 'When it was made: of two routes with the same match the older one wins.',
      }),
    ),
    uid: Type.Optional(Type.String({ maxLength: 128, description: 'Identity that a cluster gave it.' })),
    resourceVersion: ignored('Version in a cluster'),
    generateName: ignored('Prefix of a name'),
    finalizers: ignored('Finalizers'),
    ownerReferences: ignored('Owners'),
    managedFields: ignored('Who wrote which field'),
    selfLink: ignored('Path in a cluster'),
    deletionTimestamp: ignored('When it is deleted'),
    deletionGracePeriodSeconds: ignored('Time until it is deleted'),
  },
  { additionalProperties: false, description: 'Name, namespace and labels.' },
);
export type Metadata = Static<typeof Metadata>;
