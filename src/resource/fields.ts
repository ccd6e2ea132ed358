/** Fields that several kinds share, with the bounds and defaults of the Gateway API CRDs (v1.6, experimental channel). */
import { type Static, Type } from '../schema/schema.ts';

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';
export const OWN_GROUP = 'fourways.io';

/** Groups of the kinds that a policy may target; `group` may be left out of a targetRef of ours. */
export const TARGET_GROUPS: Readonly<Record<string, string>> = {
  Gateway: GATEWAY_GROUP,
  ListenerSet: GATEWAY_GROUP,
  HTTPRoute: GATEWAY_GROUP,
  GRPCRoute: GATEWAY_GROUP,
  TCPRoute: GATEWAY_GROUP,
  TLSRoute: GATEWAY_GROUP,
  Service: '',
  Backend: OWN_GROUP,
};

const LABEL = '[a-z0-9](?:[-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(?:\\.${LABEL})*`;

/** Host name in lower case, or `*.` and one. */
export const HOSTNAME_PATTERN = `^(?:\\*\\.)?${SUBDOMAIN}$`;

type StringSchema = ReturnType<typeof Type.String>;

interface Said {
  readonly description: string;
  readonly default?: string;
}

/** Name of an object. Loose, as in references of the Gateway API: the object itself is checked strictly. */
export function objectName(said: Said): StringSchema {
  return Type.String({ minLength: 1, maxLength: 253, expected: 'the name of an object', ...said });
}

export function groupName(said: Said): StringSchema {
  return Type.String({
    maxLength: 253,
    pattern: `^$|^${SUBDOMAIN}$`,
    expected: `an API group such as "${GATEWAY_GROUP}", or "" for the core group`,
    ...said,
  });
}

export function kindName(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 63,
    pattern: '^[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$',
    expected: 'a kind such as "Service"',
    ...said,
  });
}

export function namespaceName(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 63,
    pattern: `^${LABEL}$`,
    expected: 'a namespace: lower-case letters, digits and "-"',
    ...said,
  });
}

/** `eu/a`, the region before the slash, or a name alone. */
export function zoneName(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 63,
    pattern: '^[A-Za-z0-9][-A-Za-z0-9_.]*(?:/[A-Za-z0-9][-A-Za-z0-9_.]*)?$',
    expected: 'a zone such as "eu/a" or "eu-west-1a"',
    ...said,
  });
}

/** Name of a listener, a rule or a port of a Service. */
export function sectionName(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 253,
    pattern: `^${SUBDOMAIN}$`,
    expected: 'a name of lower-case letters, digits, "-" and "."',
    ...said,
  });
}

export function hostname(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 253,
    pattern: HOSTNAME_PATTERN,
    expected: 'a lower-case host name such as "shop.test" or "*.shop.test"',
    ...said,
  });
}

/** Host name without a wildcard. */
export function preciseHostname(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 253,
    pattern: `^${SUBDOMAIN}$`,
    expected: 'a lower-case host name such as "shop.test"',
    ...said,
  });
}

export function portNumber(said: { readonly description: string }): ReturnType<typeof Type.Integer> {
  return Type.Integer({ minimum: 1, maximum: 65_535, ...said });
}

/** GEP-2257. */
export function duration(said: Said): StringSchema {
  return Type.String({
    pattern: '^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$',
    expected: 'a duration such as "10s", "1m30s" or "500ms"',
    ...said,
  });
}

const SIZE = { expected: 'a size such as 8192, "8Ki" or "1Mi"' };

const Size = Type.Union(
  [
    Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, ...SIZE }),
    Type.String({ pattern: '^[0-9]{1,9}(?:Ki|Mi|Gi)?$', ...SIZE }),
  ],
  SIZE,
);

/** Bytes: a whole number, or one with `Ki`, `Mi`, `Gi`. See size.ts. */
export function size(said: { readonly description: string }): typeof Size {
  return { ...Size, ...said };
}

/** RFC 9110 section 5.1: a token. */
export function headerName(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 256,
    pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$",
    expected: 'a header name',
    ...said,
  });
}

/** As in the CRD, written so that a regular expression engine reads it in linear time. */
export function headerValue(said: Said): StringSchema {
  return Type.String({
    minLength: 1,
    maxLength: 4096,
    pattern: '^[!-~]+(?:[\\t ][!-~]+)*$',
    expected: 'a header value: visible ASCII with single spaces inside',
    ...said,
  });
}

/** Path as a URI may carry it (RFC 3986 section 3.3), percent-encoded. */
export const PATH_CHARACTERS = "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$";

/** `prefix/name` of a label or annotation. */
const QualifiedName = Type.String({
  pattern: `^(?:${SUBDOMAIN}/)?(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$`,
});

const Annotations = Type.Record(QualifiedName, Type.String({ maxLength: 4096 }), {
  maxProperties: 16,
  expected: 'a key such as "example.com/option"',
});

/** Options of an implementation: `tls.options` and the like. */
export function annotations(said: { readonly description: string }): typeof Annotations {
  return { ...Annotations, ...said };
}

const LabelValue = Type.String({
  maxLength: 63,
  pattern: '^(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$',
  expected: 'a label value: letters, digits, "-", "_" and "."',
});

const Labels = Type.Record(QualifiedName, LabelValue, {
  maxProperties: 8,
  expected: 'a label key such as "example.com/team"',
});

export function labels(said: { readonly description: string }): typeof Labels {
  return { ...Labels, ...said };
}

export const ParentReference = Type.Object(
  {
    group: groupName({ default: GATEWAY_GROUP, description: 'API group of the parent; "" for a Service.' }),
    kind: kindName({
      default: 'Gateway',
      description: 'Kind of the parent: Gateway, ListenerSet, or Service in the mesh.',
    }),
    namespace: Type.Optional(
      namespaceName({ description: 'Namespace of the parent. Default: the namespace of the route.' }),
    ),
    name: objectName({ description: 'Name of the parent.' }),
    sectionName: Type.Optional(sectionName({ description: 'Only this listener of the parent.' })),
    port: Type.Optional(portNumber({ description: 'Only listeners of the parent on this port.' })),
  },
  {
    additionalProperties: false,
    description: 'A Gateway, ListenerSet or Service that a route wants to be attached to.',
  },
);
export type ParentReference = Static<typeof ParentReference>;

export const parentRefs = Type.Array(ParentReference, {
  maxItems: 32,
  default: [],
  description: 'Where the route attaches.',
});

export const useDefaultGateways = Type.Optional(
  Type.Enum(['All', 'None'], {
    description: 'Attach also to Gateways whose defaultScope allows it, without naming them.',
  }),
);

/** The fields of BackendObjectReference, for objects that add their own. */
export const backendObjectFields = {
  group: groupName({ default: '', description: 'API group of the backend; "" for a Service.' }),
  kind: kindName({ default: 'Service', description: 'Kind of the backend: Service or Backend.' }),
  name: objectName({ description: 'Name of the backend.' }),
  namespace: Type.Optional(
    namespaceName({
      description: 'Namespace of the backend. Another one than that of the route needs a ReferenceGrant there.',
    }),
  ),
  port: Type.Optional(portNumber({ description: 'Port of the Service (not of its endpoints). Needed for a Service.' })),
};

export const BackendObjectReference = Type.Object(backendObjectFields, { additionalProperties: false });
export type BackendObjectReference = Static<typeof BackendObjectReference>;

export const LocalObjectReference = Type.Object(
  {
    group: groupName({ description: 'API group of the object; "" for the core group.' }),
    kind: kindName({ description: 'Kind of the object.' }),
    name: objectName({ description: 'Name of the object, in the same namespace.' }),
  },
  { additionalProperties: false },
);
export type LocalObjectReference = Static<typeof LocalObjectReference>;

export const ObjectReference = Type.Object(
  {
    group: groupName({ description: 'API group of the object; "" for the core group.' }),
    kind: kindName({ description: 'Kind of the object.' }),
    name: objectName({ description: 'Name of the object.' }),
    namespace: Type.Optional(
      namespaceName({ description: 'Namespace of the object. Another one needs a ReferenceGrant there.' }),
    ),
  },
  { additionalProperties: false },
);
export type ObjectReference = Static<typeof ObjectReference>;

export const SecretObjectReference = Type.Object(
  {
    group: groupName({ default: '', description: 'API group of the object; "" for a Secret.' }),
    kind: kindName({ default: 'Secret', description: 'Kind of the object: Secret.' }),
    name: objectName({ description: 'Name of the Secret.' }),
    namespace: Type.Optional(
      namespaceName({ description: 'Namespace of the Secret. Another one needs a ReferenceGrant there.' }),
    ),
  },
  { additionalProperties: false },
);
export type SecretObjectReference = Static<typeof SecretObjectReference>;

export const LabelSelector = Type.Object(
  {
    matchLabels: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'Labels that must all be there, as written.',
    }),
    matchExpressions: Type.Array(
      Type.Object(
        {
          key: Type.String({ description: 'Name of the label.' }),
          operator: Type.Enum(['In', 'NotIn', 'Exists', 'DoesNotExist'], { description: 'How the label is compared.' }),
          values: Type.Array(Type.String(), { default: [], description: 'Values for In and NotIn.' }),
        },
        { additionalProperties: false },
      ),
      { default: [], description: 'Conditions that must all hold.' },
    ),
  },
  { additionalProperties: false, description: 'Selects objects by label; empty selects all.' },
);
export type LabelSelector = Static<typeof LabelSelector>;

export const SubjectAltName = Type.Union([
  Type.Object(
    {
      type: Type.Literal('Hostname', { description: 'The certificate carries a DNS name.' }),
      hostname: hostname({ description: 'DNS name that the certificate must carry.' }),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      type: Type.Literal('URI', { description: 'The certificate carries a URI.' }),
      uri: Type.String({
        minLength: 1,
        maxLength: 253,
        pattern: '^[^:/?#]+://[^/?#]*[^?#]*(?:\\?[^#]*)?(?:#.*)?$',
        expected: 'an absolute URI such as "spiffe://shop.test/ns/web/sa/api"',
        description: 'URI that the certificate must carry, for example a SPIFFE ID.',
      }),
    },
    { additionalProperties: false },
  ),
]);
export type SubjectAltName = Static<typeof SubjectAltName>;
