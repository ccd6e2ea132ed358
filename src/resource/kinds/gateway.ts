import {
  annotations,
  GATEWAY_GROUP,
  groupName,
  hostname,
  kindName,
  labels,
  LabelSelector,
  LocalObjectReference,
  objectName,
  ObjectReference,
  portNumber,
  sectionName,
  SecretObjectReference,
} from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const ListenerTLSConfig = Type.Object(
  {
    mode: Type.Enum(['Terminate', 'Passthrough'], {
      default: 'Terminate',
      description: 'Whether TLS ends here or is passed on unread.',
    }),
    certificateRefs: Type.Array(SecretObjectReference, {
      maxItems: 64,
      default: [],
      description: 'Secrets of type kubernetes.io/tls. Several: one per key type or host name.',
    }),
    options: Type.Optional(annotations({ description: 'Options of implementations.' })),
  },
  strict,
);

const RouteNamespaces = Type.Object(
  {
    from: Type.Enum(['All', 'Selector', 'Same'], {
      default: 'Same',
      description: 'Namespaces whose routes may attach.',
    }),
    selector: Type.Optional(LabelSelector),
  },
  strict,
);

const AllowedRoutes = Type.Object(
  {
    namespaces: { ...RouteNamespaces, default: { from: 'Same' } },
    kinds: Type.Array(
      Type.Object(
        {
          group: groupName({ default: GATEWAY_GROUP, description: 'API group of the route.' }),
          kind: kindName({ description: 'Kind of the route, such as HTTPRoute.' }),
        },
        strict,
      ),
      {
        maxItems: 8,
        default: [],
        description: 'Kinds of routes that may attach. Empty: all that the protocol can carry.',
      },
    ),
  },
  strict,
);
export type AllowedRoutes = Static<typeof AllowedRoutes>;

export const Listener = Type.Object(
  {
    name: sectionName({ description: 'Name of the listener, unique in its Gateway or ListenerSet.' }),
    hostname: Type.Optional(hostname({ description: 'Host that the listener serves. Absent: every host.' })),
    port: portNumber({ description: 'Port. Several listeners may share one.' }),
    protocol: Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$|^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]+$',
      expected: 'a protocol such as "HTTP" or "HTTPS"',
      description: 'HTTP, HTTPS, TLS, TCP or UDP.',
    }),
    tls: Type.Optional(ListenerTLSConfig),
    allowedRoutes: { ...AllowedRoutes, default: { namespaces: { from: 'Same' } } },
  },
  strict,
);
export type Listener = Static<typeof Listener>;

export const listeners = Type.Array(Listener, {
  minItems: 1,
  maxItems: 64,
  uniqueBy: ['name'],
  description: 'Ports and host names that are served.',
});

const GatewaySpecAddress = Type.Object(
  {
    type: Type.String({
      minLength: 1,
      maxLength: 253,
      pattern:
        "^(?:Hostname|IPAddress|NamedAddress|[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+)$",
      expected: '"IPAddress", "Hostname", "NamedAddress" or a name such as "example.com/type"',
      default: 'IPAddress',
      description: 'What `value` is.',
    }),
    value: Type.Optional(Type.String({ maxLength: 253, description: 'Address to bind. Absent or empty: any.' })),
  },
  strict,
);

const FrontendTLSValidation = Type.Object(
  {
    caCertificateRefs: Type.Array(ObjectReference, {
      minItems: 1,
      maxItems: 16,
      description: 'ConfigMaps (or Secrets) with `ca.crt`: a client certificate must be signed by one of them.',
    }),
    mode: Type.Enum(['AllowValidOnly', 'AllowInsecureFallback'], {
      default: 'AllowValidOnly',
      description: 'Whether a client without a valid certificate is refused or let through.',
    }),
  },
  strict,
);

const TLSConfig = Type.Object({ validation: Type.Optional(FrontendTLSValidation) }, strict);

const GatewayTLSConfig = Type.Object(
  {
    backend: Type.Optional(Type.Object({ clientCertificateRef: Type.Optional(SecretObjectReference) }, strict)),
    frontend: Type.Optional(
      Type.Object(
        {
          default: TLSConfig,
          perPort: Type.Array(
            Type.Object({ port: portNumber({ description: 'Port that this is for.' }), tls: TLSConfig }, strict),
            {
              maxItems: 64,
              uniqueBy: ['port'],
              default: [],
              description: 'Instead of `default`, for single ports.',
            },
          ),
        },
        strict,
      ),
    ),
  },
  { ...strict, description: 'Client certificates: of clients (frontend) and ours for backends (backend).' },
);

const GatewayInfrastructure = Type.Object(
  {
    labels: Type.Optional(labels({ description: 'Labels for what a platform makes for this Gateway.' })),
    annotations: Type.Optional(annotations({ description: 'Annotations for what a platform makes for this Gateway.' })),
    parametersRef: Type.Optional(LocalObjectReference),
  },
  strict,
);

const AllowedListeners = Type.Object(
  {
    namespaces: Type.Object(
      {
        from: Type.Enum(['All', 'Selector', 'Same', 'None'], {
          default: 'None',
          description: 'Namespaces whose ListenerSets may attach.',
        }),
        selector: Type.Optional(LabelSelector),
      },
      { ...strict, default: { from: 'None' } },
    ),
  },
  strict,
);

export const GatewaySpec = Type.Object(
  {
    gatewayClassName: objectName({ description: 'Name of a GatewayClass.' }),
    listeners,
    addresses: Type.Array(GatewaySpecAddress, {
      maxItems: 16,
      default: [],
      description: 'Addresses to bind. Empty: those of `--bind`.',
    }),
    infrastructure: Type.Optional(GatewayInfrastructure),
    allowedListeners: { ...AllowedListeners, default: {} },
    tls: Type.Optional(GatewayTLSConfig),
    defaultScope: Type.Optional(
      Type.Enum(['All', 'None'], {
        description: 'Which routes with useDefaultGateways attach here without naming it.',
      }),
    ),
  },
  strict,
);
export type GatewaySpec = Static<typeof GatewaySpec>;
