import { groupName, kindName, namespaceName, objectName } from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

export const GatewayClassSpec = Type.Object(
  {
    controllerName: Type.String({
      minLength: 1,
      maxLength: 253,
      pattern: "^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+$",
      expected: 'a controller such as "fourways.io/gateway-controller"',
      description: 'Who serves Gateways of this class. Ours: `fourways.io/gateway-controller`.',
    }),
    parametersRef: Type.Optional(
      Type.Object(
        {
          group: groupName({ description: 'API group of the object.' }),
          kind: kindName({ description: 'Kind of the object.' }),
          name: objectName({ description: 'Name of the object.' }),
          namespace: Type.Optional(namespaceName({ description: 'Namespace of the object.' })),
        },
        { additionalProperties: false },
      ),
    ),
    description: Type.Optional(Type.String({ maxLength: 64, description: 'For people.' })),
  },
  { additionalProperties: false },
);
export type GatewayClassSpec = Static<typeof GatewayClassSpec>;
