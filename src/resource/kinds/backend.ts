import {
  groupName,
  kindName,
  namespaceName,
  objectName,
  portNumber,
  preciseHostname,
  SecretObjectReference,
  SubjectAltName,
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
          zone: Type.Optional(
            Type.String({ minLength: 1, maxLength: 63, description: 'Zone that the endpoint is in.' }),
          ),
        },
        strict,
      ),
      { minItems: 1, maxItems: 1000, uniqueBy: ['address', 'port'], description: 'Where the upstream is.' },
    ),
    protocol: upstreamProtocol,
    tls: Type.Optional(UpstreamTLS),
  },
  strict,
);
export type BackendSpec = Static<typeof BackendSpec>;
