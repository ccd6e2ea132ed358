/**
 * Kinds of Kubernetes itself. Only the fields that are read here are listed;
 * others are allowed, because these objects are written for Kubernetes first.
 */
import { type Static, Type } from '../../schema/schema.ts';

const transport = Type.Enum(['TCP', 'UDP', 'SCTP'], { default: 'TCP', description: 'Transport of the port.' });

export const ServiceSpec = Type.Object({
  type: Type.Enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'], {
    default: 'ClusterIP',
    description: 'ExternalName: the Service stands for the DNS name in externalName.',
  }),
  clusterIP: Type.Optional(Type.String({ description: 'Virtual address, or None for a headless Service.' })),
  externalName: Type.Optional(Type.String({ description: 'DNS name, for type ExternalName.' })),
  selector: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Labels of its pods.' })),
  ports: Type.Array(
    Type.Object({
      name: Type.Optional(Type.String({ description: 'Name of the port; needed with several ports.' })),
      protocol: transport,
      appProtocol: Type.Optional(
        Type.String({ description: 'What is spoken: kubernetes.io/h2c, kubernetes.io/ws, http, https.' }),
      ),
      port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port of the Service.' }),
      targetPort: Type.Optional(
        Type.Union([Type.Integer({ minimum: 1, maximum: 65_535 }), Type.String({ minLength: 1, maxLength: 63 })], {
          expected: 'a port number or the name of a port',
          description: 'Port of the endpoints, by number or name. Default: `port`.',
        }),
      ),
    }),
    { default: [], maxItems: 1000, description: 'Ports of the Service.' },
  ),
});
export type ServiceSpec = Static<typeof ServiceSpec>;

export const EndpointSliceFields = {
  addressType: Type.Enum(['IPv4', 'IPv6', 'FQDN'], { description: 'What the addresses are.' }),
  endpoints: Type.Array(
    Type.Object({
      addresses: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
        minItems: 1,
        maxItems: 100,
        description: 'Addresses of one endpoint; the first one is used.',
      }),
      conditions: Type.Object(
        {
          ready: Type.Optional(Type.Boolean({ description: 'Absent counts as true.' })),
          serving: Type.Optional(Type.Boolean({ description: 'As ready, also while terminating.' })),
          terminating: Type.Optional(Type.Boolean({ description: 'Being shut down.' })),
        },
        { default: {} },
      ),
      hostname: Type.Optional(Type.String({ description: 'Host name of the endpoint.' })),
      nodeName: Type.Optional(Type.String({ description: 'Node that it runs on.' })),
      zone: Type.Optional(Type.String({ description: 'Zone that it runs in.' })),
      hints: Type.Optional(
        Type.Object(
          {
            forZones: Type.Array(Type.Object({ name: Type.String({ description: 'Name of the zone.' }) }), {
              maxItems: 8,
              default: [],
              description: 'Zones that this endpoint should be used from.',
            }),
          },
          { description: 'Counts instead of `zone` when every endpoint of the slices has them.' },
        ),
      ),
    }),
    { default: [], maxItems: 1000, description: 'Endpoints.' },
  ),
  ports: Type.Array(
    Type.Object({
      name: Type.String({ default: '', description: 'Name of the Service port that this is for.' }),
      protocol: transport,
      port: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port of the endpoints. Absent: any.' }),
      ),
      appProtocol: Type.Optional(Type.String({ description: 'What is spoken.' })),
    }),
    { default: [], maxItems: 100, description: 'Ports of all endpoints of the slice.' },
  ),
};
const EndpointSliceBody = Type.Object(EndpointSliceFields);
export type EndpointSliceBody = Static<typeof EndpointSliceBody>;
