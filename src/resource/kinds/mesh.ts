/** The mesh: who its services are to each other, and what holds between them where nobody says more. */
import { isIP } from 'node:net';
import { duration, namespaceName, objectName, portNumber } from '../fields.ts';
import { parseDuration } from '../../base/duration.ts';
import type { Finding } from '../kind.ts';
import { finding } from '../rules.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

/** SPIFFE-ID section 2.1. */
function trustDomain(said: {
  readonly description: string;
  readonly default?: string;
}): ReturnType<typeof Type.String> {
  return Type.String({
    minLength: 1,
    maxLength: 255,
    pattern: '^[a-z0-9._-]+$',
    expected: 'a trust domain such as "cluster.local"',
    ...said,
  });
}

const mtls = ['strict', 'permissive'] as const;
const authorization = ['allow', 'audit', 'deny'] as const;

/** What holds for a namespace, a service or a port instead; the closest one counts. */
const Override = Type.Object(
  {
    namespace: namespaceName({ description: 'Namespace that it is for.' }),
    service: Type.Optional(objectName({ description: 'Only this Service of the namespace.' })),
    port: Type.Optional(portNumber({ description: 'Only this port of the Service.' })),
    mtls: Type.Optional(Type.Enum([...mtls], { description: 'Instead of `spec.mtls`.' })),
    authorization: Type.Optional(Type.Enum([...authorization], { description: 'Instead of `spec.authorization`.' })),
  },
  strict,
);

const Federated = Type.Object(
  {
    trustDomain: trustDomain({ description: 'Trust domain of the other mesh.' }),
    caCertificates: Type.String({
      minLength: 1,
      maxLength: 65_536,
      description: 'Roots of the other mesh, as PEM. They are trusted for its own trust domain and no other.',
    }),
  },
  strict,
);

/** A Service that a peer has instances of, or all of a namespace. */
const PeerServices = Type.Object(
  {
    namespace: namespaceName({ description: 'Namespace of the Services, the same there as here.' }),
    name: Type.Optional(
      objectName({
        description: 'Only this Service, of the same name and ports there. Default: all of the namespace.',
      }),
    ),
    accounts: Type.Optional(
      Type.Array(objectName({ description: 'An account.' }), {
        minItems: 1,
        maxItems: 16,
        description: 'Accounts that its instances have there. Default: the name of the Service.',
      }),
    ),
  },
  strict,
);

/** Where bytes for the workloads of a peer are passed on. */
const PeerGateway = Type.Object(
  {
    address: Type.String({
      minLength: 1,
      maxLength: 253,
      pattern: '^[A-Za-z0-9:._-]+$',
      expected: 'an IP address or a DNS name',
      description: 'IP address or DNS name.',
    }),
    port: Type.Integer({
      minimum: 1,
      maximum: 65_535,
      default: 15_443,
      description: 'Port of its listener for `*.mesh.internal`.',
    }),
  },
  strict,
);

/** A mesh of another data centre. */
const Peer = Type.Object(
  {
    name: objectName({ description: 'What it is called here.' }),
    trustDomain: Type.Optional(
      trustDomain({
        description: 'Its trust domain, one of `federation`. Default: the same as here, below the same root.',
      }),
    ),
    gateways: Type.Array(PeerGateway, {
      minItems: 1,
      maxItems: 32,
      uniqueBy: ['address', 'port'],
      description: 'Its east-west gateways. Connections go to those that can be reached, in turn.',
    }),
    services: Type.Array(PeerServices, {
      minItems: 1,
      maxItems: 1024,
      description: 'Services that have instances there, too.',
    }),
    mode: Type.Enum(['failover', 'spread'], {
      default: 'failover',
      description:
        'failover: gets what instances here cannot take, all of it where there are none. spread: each of its gateways counts like an instance here, one of another zone.',
    }),
  },
  strict,
);

const SpiffeId = Type.String({
  minLength: 1,
  maxLength: 2048,
  pattern: '^spiffe://[a-z0-9._-]+/[-A-Za-z0-9._/]+$',
  expected: 'a SPIFFE ID such as "spiffe://cluster.local/ns/shop/sa/web"',
});

/** What gateways tell services of the user that they have verified. */
const UserContext = Type.Object(
  {
    from: Type.Optional(
      Type.Array(SpiffeId, {
        maxItems: 64,
        description:
          'Identities that may say who the user is; an empty list is nobody. Default: all that serve a Gateway: `spiffe://TRUST-DOMAIN/ns/fourways/sa/gateway`, and for each Gateway the account of its name and those that it names.',
      }),
    ),
    claims: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        maxItems: 64,
        uniqueItems: true,
        description:
          'Claims that are passed on; rules of `authorize` at Services see no others. Default: all that say something of the user.',
      }),
    ),
    lifetime: duration({
      default: '60s',
      description: 'How long services may use it, 10s to 10m. They get one of which a quarter at least is left.',
    }),
  },
  { ...strict, description: 'What gateways tell services of the user that they have verified.' },
);

/** How workloads reach what is not of the mesh. */
const Egress = Type.Object(
  {
    gateway: Type.Object(
      {
        name: objectName({ description: 'Name of the Gateway.' }),
        namespace: namespaceName({ description: 'Namespace of the Gateway.' }),
      },
      {
        ...strict,
        description:
          'Gateway that hosts outside are reached through: those that its routes name, and no others. Its listeners, of protocol HTTP and TLS (Passthrough), take mTLS of workloads and nothing else.',
      },
    ),
    addresses: Type.Optional(
      Type.Array(
        Type.String({
          minLength: 1,
          maxLength: 253,
          pattern: '^[A-Za-z0-9:._-]+$',
          expected: 'an IP address or a DNS name',
        }),
        {
          minItems: 1,
          maxItems: 32,
          uniqueItems: true,
          description: 'Where sidecars find it, at the ports of its listeners. Default: the addresses that it binds.',
        },
      ),
    ),
  },
  { ...strict, description: 'How workloads reach hosts that are not of the mesh. Default: not at all.' },
);

export const MeshSpec = Type.Object(
  {
    trustDomain: trustDomain({
      default: 'cluster.local',
      description: 'First part of every identity: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.',
    }),
    mtls: Type.Enum([...mtls], {
      default: 'strict',
      description:
        'strict: workloads take mTLS and nothing else, and what has no sidecar is not spoken to. permissive: they also take clear text, under the number of the port itself.',
    }),
    authorization: Type.Enum([...authorization], {
      default: 'allow',
      description:
        'Of requests and connections to a Service that no Policy with `authorize` speaks of. allow: they pass. deny: they are refused. audit: they pass, and log and metrics say that they would be refused; policies in mode `audit` count here as if they were enforced.',
    }),
    defaultProtocol: Type.Enum(['learn', 'http', 'tcp'], {
      default: 'learn',
      description:
        'What a port of a Service speaks when neither its appProtocol nor its name says it. learn: the first sidecar of the Service finds it out, once; where there is none it is HTTP.',
    }),
    leafLifetime: duration({
      default: '24h',
      description: 'How long the certificate of a workload is good for. It is renewed at half of it.',
    }),
    overrides: Type.Array(Override, {
      maxItems: 1024,
      default: [],
      description: 'What holds for a namespace, a Service or one of its ports instead. The closest one counts.',
    }),
    federation: Type.Array(Federated, {
      maxItems: 64,
      default: [],
      uniqueBy: ['trustDomain'],
      description: 'Other meshes whose workloads may connect.',
    }),
    peers: Type.Array(Peer, {
      maxItems: 16,
      default: [],
      uniqueBy: ['name'],
      description: 'Meshes of other data centres that have instances of Services of this one.',
    }),
    denied: Type.Array(SpiffeId, {
      maxItems: 1024,
      default: [],
      description: 'Identities that every workload turns away, however good their certificates are.',
    }),
    userContext: Type.Optional(UserContext),
    egress: Type.Optional(Egress),
  },
  strict,
);
export type MeshSpec = Static<typeof MeshSpec>;

/** Below, renewing is all that a proxy does; above, a stolen key is good for too long. Short ones get a warning (compile/mesh.ts). */
const LEAF_MS_MIN = 10_000;
const LEAF_MS_MAX = 90 * 24 * 3_600_000;

export function meshRules({ spec }: { readonly spec: MeshSpec }): Finding[] {
  const findings: Finding[] = [];
  const leafMs = parseDuration(spec.leafLifetime) ?? 0;
  if (leafMs < LEAF_MS_MIN || leafMs > LEAF_MS_MAX) {
    findings.push(finding('/spec/leafLifetime', `Expected from 10s to 2160h, got "${spec.leafLifetime}"`));
  }
  findings.push(...userRules(spec), ...peerRules(spec));
  const places = new Map<string, number>();
  spec.overrides.forEach(({ namespace, service, port, ...rest }, i) => {
    const at = `/spec/overrides/${i}`;
    if (port !== undefined && service === undefined) {
      findings.push(finding(`${at}/port`, 'Missing field "service": a port is one of a Service'));
    }
    if (rest.mtls === undefined && rest.authorization === undefined) {
      findings.push(finding(at, 'Override without effect: set mtls or authorization'));
    }
    const key = [namespace, service, port].join(' ');
    const same = places.get(key);
    if (same === undefined) places.set(key, i);
    else findings.push(finding(at, `Duplicate override: item ${same} is for the same`));
  });
  spec.federation.forEach(({ trustDomain: domain }, i) => {
    if (domain !== spec.trustDomain) return;
    const message = `Expected another trust domain than that of the mesh, got "${domain}"`;
    findings.push(finding(`/spec/federation/${i}/trustDomain`, message));
  });
  return findings;
}

function peerRules({ peers, trustDomain: own, federation }: MeshSpec): Finding[] {
  const domains = new Set([own, ...federation.map(({ trustDomain: domain }) => domain)]);
  return peers.flatMap(({ trustDomain: domain = own, gateways }, i) => {
    const findings = gateways.flatMap(({ address }, j) => {
      if (!address.includes(':') || isIP(address) === 6) return [];
      const message = `Expected an IP address or a DNS name, got "${address}": the number of a port stands in "port"`;
      return [finding(`/spec/peers/${i}/gateways/${j}/address`, message)];
    });
    if (domains.has(domain)) return findings;
    const message = `Trust domain "${domain}" is neither that of the mesh nor federated: nothing vouches for its workloads`;
    return [...findings, finding(`/spec/peers/${i}/trustDomain`, message)];
  });
}

/** Below, no request of some length is done in time; above, one that leaked is of use for too long. */
const USER_MS_MIN = 10_000;
const USER_MS_MAX = 600_000;

function userRules({ userContext, trustDomain: own, federation }: MeshSpec): Finding[] {
  if (userContext === undefined) return [];
  const findings: Finding[] = [];
  const { from = [], lifetime } = userContext;
  const ms = parseDuration(lifetime) ?? 0;
  if (ms < USER_MS_MIN || ms > USER_MS_MAX) {
    findings.push(finding('/spec/userContext/lifetime', `Expected from 10s to 10m, got "${lifetime}"`));
  }
  const domains = new Set([own, ...federation.map(({ trustDomain: domain }) => domain)]);
  from.forEach((id, i) => {
    const domain = id.split('/')[2] ?? '';
    if (domains.has(domain)) return;
    const message = `Trust domain "${domain}" is neither that of the mesh nor federated: nothing vouches for it`;
    findings.push(finding(`/spec/userContext/from/${i}`, message));
  });
  return findings;
}
