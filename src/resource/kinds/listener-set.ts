import { GATEWAY_GROUP, groupName, kindName, namespaceName, objectName } from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';
import { listeners } from './gateway.ts';

export const ListenerSetSpec = Type.Object(
  {
    parentRef: Type.Object(
      {
        group: groupName({ default: GATEWAY_GROUP, description: 'API group of the parent.' }),
        kind: kindName({ default: 'Gateway', description: 'Kind of the parent.' }),
        name: objectName({ description: 'Name of the Gateway.' }),
        namespace: Type.Optional(
          namespaceName({ description: 'Namespace of the Gateway. Default: that of the ListenerSet.' }),
        ),
      },
      {
        additionalProperties: false,
        description: 'The Gateway that these listeners are added to; it must allow them.',
      },
    ),
    listeners,
  },
  { additionalProperties: false },
);
export type ListenerSetSpec = Static<typeof ListenerSetSpec>;
