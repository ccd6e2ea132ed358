import {
  groupName,
  kindName,
  namespaceName,
  objectName,
  portNumber,
  preciseHostname,
  SecretObjectReference,
  SubjectAltName,
  zoneName,
} from '../fields.ts';
import { tlsPolicyFields } from './tls-policy-fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

export const CACertificateReference = Type.Object(
  {
    group: groupName({ default: '', description: 'API group of the object; "" for ConfigMap and Secret.' }),
    kind: kindName({ default: 'ConfigMap', description: 'ConfigMap or Secret.' }),
    name: objectName({ description: 'Name of the object.' }),
    namespace: Type.Optional(
      namespaceName({ description: 'Namespace of the object. Another one needs a ReferenceGrant there.' }),
    ),
  },
  strict,
);

/** TLS to an upstream, as Backend and BackendPolicy say it. */
export const UpstreamTLS = Type.Object(
  {
    serverName: Type.Optional(
      preciseHostname({
        description: 'SNI, and the name that the certificate must carry unless subjectAltNames are given.',
      }),
    ),
    caCertificateRefs: Type.Array(CACertificateReference, {
      maxItems: 8,
      default: [],
      description: 'ConfigMaps or Secrets with `ca.crt`: the certificate must be signed by one of them.',
    }),
    wellKnownCACertificates: Type.Optional(
      Type.Enum(['System'], { description: 'The roots of the operating system. Default without caCertificateRefs.' }),
    ),
    subjectAltNames: Type.Array(SubjectAltName, {
      maxItems: 5,
      default: [],
      description: 'The certificate must carry one of these instead of `serverName`.',
    }),
    clientCertificateRef: Type.Optional(SecretObjectReference),
    ...tlsPolicyFields,
  },
  { ...strict, description: 'Reach the endpoints with TLS.' },
);
export type UpstreamTLS = Static<typeof UpstreamTLS>;

export const upstreamProtocol = Type.Optional(
  Type.Enum(['http1', 'h2', 'h2c', 'auto', 'websocket'], {
    description:
      'What the endpoints speak. h2 and h2c: HTTP/2, by ALPN where they are reached with TLS. auto: with TLS what ALPN agrees on. websocket: as http1. Default: http1.',
  }),
);

/** Endpoints that DNS knows, with their ports or without. */
const DnsEndpoints = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 253,
      expected: 'a DNS name',
      description: 'Name that is asked for, `_http._tcp.orders.example` with type SRV.',
    }),
    type: Type.Optional(
      Type.Enum(['SRV', 'A', 'AAAA'], {
        description:
          'Records that are asked for. SRV: they say port, weight and priority of each instance; those of a greater priority are used when too few of the others are well. Default: A and AAAA.',
      }),
    ),
    port: Type.Optional(portNumber({ description: 'Port of the endpoints; with SRV the records say it.' })),
    zone: Type.Optional(zoneName({ description: 'Zone that the endpoints are in.' })),
  },
  { ...strict, description: 'Where the upstream is, as DNS says: asked for in the background, again and again.' },
);

/** Instances that a catalog of Consul knows. */
const ConsulEndpoints = Type.Object(
  {
    address: Type.String({
      minLength: 1,
      maxLength: 2048,
      pattern: '^https?://[^/?#@]+$',
      expected: 'http:// or https:// with a host and a port',
      description: 'An agent of Consul: `http://127.0.0.1:8500`.',
    }),
    service: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the service there.' }),
    datacenter: Type.Optional(
      Type.String({ minLength: 1, maxLength: 253, description: 'Datacenter. Default: that of the agent.' }),
    ),
    namespace: Type.Optional(
      Type.String({ minLength: 1, maxLength: 253, description: 'Namespace of Consul, where its edition has them.' }),
    ),
    tags: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
      maxItems: 16,
      default: [],
      description: 'Only instances with all of these tags.',
    }),
    tokenRef: Type.Optional(
      Type.Object(
        {
          name: objectName({ description: 'Secret in the namespace of the Backend.' }),
          key: Type.String({ minLength: 1, maxLength: 253, default: 'token', description: 'Key in the Secret.' }),
        },
        { ...strict, description: 'ACL token that the agent is asked with. It needs service:read and node:read.' },
      ),
    ),
    caCertificateRefs: Type.Array(
      Type.Object(
        {
          kind: Type.Enum(['ConfigMap', 'Secret'], { default: 'ConfigMap', description: 'ConfigMap or Secret.' }),
          name: objectName({ description: 'Name of the object, in the namespace of the Backend.' }),
        },
        strict,
      ),
      {
        maxItems: 8,
        default: [],
        description:
          'With https: ConfigMaps or Secrets with `ca.crt`, one of which must have signed the certificate of the agent. Default: the roots of the system.',
      },
    ),
  },
  {
    ...strict,
    description:
      'Where the upstream is, as the catalog of Consul says: instances whose checks pass, with their weights. Asked by the control plane, not by each proxy.',
  },
);
export type ConsulEndpoints = Static<typeof ConsulEndpoints>;

export const BackendSpec = Type.Object(
  {
    endpoints: Type.Array(
      Type.Object(
        {
          address: Type.String({
            minLength: 1,
            maxLength: 253,
            expected: 'an IP address or a DNS name',
            description: 'IP address, or a DNS name that is resolved in the background.',
          }),
          port: portNumber({ description: 'Port of the endpoint.' }),
          weight: Type.Integer({
            minimum: 0,
            maximum: 1_000_000,
            default: 1,
            description: 'Share of the requests, relative to the other endpoints.',
          }),
          zone: Type.Optional(zoneName({ description: 'Zone that the endpoint is in: `eu/a`, or `a`.' })),
        },
        strict,
      ),
      { default: [], maxItems: 1000, uniqueBy: ['address', 'port'], description: 'Where the upstream is.' },
    ),
    dns: Type.Optional(DnsEndpoints),
    consul: Type.Optional(ConsulEndpoints),
    protocol: upstreamProtocol,
    tls: Type.Optional(UpstreamTLS),
  },
  strict,
);
export type BackendSpec = Static<typeof BackendSpec>;
