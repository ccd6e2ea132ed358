import { groupName, kindName, namespaceName, objectName } from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

export const ReferenceGrantSpec = Type.Object(
  {
    from: Type.Array(
      Type.Object(
        {
          group: groupName({ description: 'API group of the objects that refer.' }),
          kind: kindName({ description: 'Kind of the objects that refer, such as HTTPRoute.' }),
          namespace: namespaceName({ description: 'Namespace of the objects that refer.' }),
        },
        strict,
      ),
      { minItems: 1, maxItems: 16, description: 'Who may refer.' },
    ),
    to: Type.Array(
      Type.Object(
        {
          group: groupName({ description: 'API group of the objects referred to; "" for Service and Secret.' }),
          kind: kindName({ description: 'Kind of the objects referred to.' }),
          name: Type.Optional(objectName({ description: 'Only this object. Absent: all of this namespace.' })),
        },
        strict,
      ),
      { minItems: 1, maxItems: 16, description: 'What may be referred to, in the namespace of the grant.' },
    ),
  },
  strict,
);
export type ReferenceGrantSpec = Static<typeof ReferenceGrantSpec>;
