/** Backends of routes: what a backendRef stands for, and how that is reached. */
import type { LearnedSpeech, PlanCluster, UpstreamProtocol } from '../ir/plan.ts';
import { OWN_GROUP } from '../resource/fields.ts';
import type { BackendSpec } from '../resource/kinds/backend.ts';
import { type Backend, describe, keyOf, type Resource, type Service } from '../resource/resource.ts';
import { type Broken, isGranted, missing, notGranted, type Reference, wrongKind } from './reference.ts';
import { type Look, lookUp, targetKey } from './tables.ts';

export type ServicePort = Service['spec']['ports'][number] & {
  /** What its application was found to speak (control/learned-ports.ts). Counts only where nobody has said it. */
  readonly learned?: LearnedSpeech;
};

/** A port of a Service, or a Backend. */
export type BackendTarget =
  | { readonly kind: 'Service'; readonly resource: Service; readonly port: ServicePort }
  | { readonly kind: 'Backend'; readonly resource: Backend };

export type Transport = 'plain' | 'tls';

export interface Spoken {
  readonly protocol: UpstreamProtocol;
  readonly transport: Transport;
}

export interface BackendReference extends Reference {
  readonly port?: number;
}

export type FoundBackend =
  | { readonly target: BackendTarget; readonly broken?: undefined }
  | { readonly broken: Broken };

/** How routes below HTTP reach a backend. */
export type StreamProtocol = NonNullable<PlanCluster['stream']>;

interface FindWork {
  readonly look: Look;
  /** Of a route below HTTP: what is spoken on top of it is none of its business. */
  readonly transport?: 'tcp' | 'udp';
  /** `free`: for sidecars, which may send to any Service of the mesh (GEP-1294). */
  readonly grants?: 'free';
}

/** What stands at the end of a backendRef of `from`. */
export function findBackend(from: Resource, to: BackendReference, { look, transport, grants }: FindWork): FoundBackend {
  const isService = to.group === '' && to.kind === 'Service';
  if (!isService && !(to.group === OWN_GROUP && to.kind === 'Backend')) {
    return { broken: wrongKind(to, 'InvalidKind', `a Service, or a Backend of group "${OWN_GROUP}"`) };
  }
  if (grants !== 'free' && !isGranted(from, to, look)) return { broken: notGranted(from, to) };
  const resource = lookUp(look, isService ? 'Service' : 'Backend', to);
  if (resource === undefined) return { broken: missing(to, 'BackendNotFound') };
  return resource.kind === 'Backend'
    ? { target: { kind: 'Backend', resource } }
    : findPort(resource, to.port, transport);
}

function findPort(resource: Service, number: number | undefined, transport: FindWork['transport']): FoundBackend {
  const protocol = transport === 'udp' ? 'UDP' : 'TCP';
  const port = resource.spec.ports.find((candidate) => candidate.port === number && candidate.protocol === protocol);
  if (port === undefined) {
    const allOfIt = resource.spec.ports.every((candidate) => candidate.protocol === protocol);
    const numbers = resource.spec.ports
      // All with their protocol, or none: "TCP 80, 53" would leave open what 53 is.
      .map((candidate) => (allOfIt ? '' : `${candidate.protocol} `) + String(candidate.port))
      .join(', ');
    const asked =
      number === undefined
        ? 'no port is named'
        : `it has no ${transport === undefined ? '' : `${protocol} `}port ${number}`;
    const has = numbers === '' ? 'it has no ports' : `its ports are ${numbers}`;
    const message = `${describe(resource)} cannot be used: ${asked}, ${has}`;
    return { broken: { reason: 'BackendNotFound', code: 'reference.missing', message, related: [keyOf(resource)] } };
  }
  if (transport === undefined && spokenBy(port.appProtocol) === undefined) {
    const message = `${describe(resource)} speaks "${port.appProtocol}" on port ${port.port}, which is not supported`;
    return { broken: { reason: 'UnsupportedProtocol', code: 'reference.kind', message, related: [keyOf(resource)] } };
  }
  return { target: { kind: 'Service', resource, port } };
}

const PLAIN: Spoken = { protocol: 'http1', transport: 'plain' };

const SECURE: Spoken = { protocol: 'http1', transport: 'tls' };
const H2_PLAIN: Spoken = { protocol: 'h2', transport: 'plain' };
const H2_SECURE: Spoken = { protocol: 'h2', transport: 'tls' };

/**
 * GEP-1911, the names of the IANA, and what else people write. Those without a prefix are no more than hints. A
 * WebSocket begins with a request of HTTP/1.1 (RFC 6455 section 4.1), so nothing else is meant by its names.
 */
const SPOKEN: Readonly<Record<string, Spoken>> = {
  http: PLAIN,
  https: SECURE,
  h2: H2_SECURE,
  h2c: H2_PLAIN,
  http2: H2_PLAIN,
  grpc: H2_PLAIN,
  grpcs: H2_SECURE,
  ws: PLAIN,
  wss: SECURE,
  'kubernetes.io/h2c': H2_PLAIN,
  'kubernetes.io/ws': PLAIN,
  'kubernetes.io/wss': SECURE,
};

/** What manifests call it, as the plan has it. With TLS `h2c` is `h2`: the frames are the same. */
export const UPSTREAM_PROTOCOLS: Readonly<Record<NonNullable<BackendSpec['protocol']>, UpstreamProtocol>> = {
  http1: 'http1',
  websocket: 'http1',
  h2c: 'h2',
  h2: 'h2',
  auto: 'auto',
};

/** Undefined for a protocol with a prefix that we do not know: somebody meant it. */
export function spokenBy(appProtocol: string | undefined): Spoken | undefined {
  if (appProtocol === undefined) return PLAIN;
  return SPOKEN[appProtocol.toLowerCase()] ?? (appProtocol.includes('/') ? undefined : PLAIN);
}

/** What makes clusters of one backend different ones. */
export interface ClusterVariant {
  /** Key of the Gateway whose client certificate is shown. */
  readonly certificateOf: string | undefined;
  /** What a route needs to be spoken, whatever the backend says of itself; left out where that is the same. */
  readonly protocol?: 'h2' | undefined;
  /** For a route below HTTP. `mesh`: from a sidecar to a sidecar, by an east-west gateway. */
  readonly stream?: StreamProtocol | 'mesh' | undefined;
}

/** `Service/shop/web/80` or `Backend/shop/legacy`, and what is said of it (see PlanCluster). */
export function clusterKey(target: BackendTarget, { certificateOf, protocol, stream }: ClusterVariant): string {
  const key = target.kind === 'Service' ? `${keyOf(target.resource)}/${target.port.port}` : keyOf(target.resource);
  const spoken = stream !== undefined ? `${key}/${stream}` : protocol === undefined ? key : `${key}+${protocol}`;
  return certificateOf === undefined ? spoken : `${spoken}@${certificateOf}`;
}

/** Keys under which policies may name this backend, the closest first. */
export function backendTargetKeys({ kind, resource, ...rest }: BackendTarget): string[] {
  const { namespace, name } = resource.metadata;
  const whole = targetKey(kind, namespace, { name });
  const section = 'port' in rest ? (rest.port as ServicePort).name : undefined;
  return section === undefined ? [whole] : [targetKey(kind, namespace, { name, sectionName: section }), whole];
}
