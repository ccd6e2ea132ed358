/** The mesh as the passes see it: what its Mesh says, or what holds where there is none. */
import { durationOr } from '../base/duration.ts';
import { OWN_IDENTITY, type PlanSecretRef, type TlsPolicy } from '../ir/plan.ts';
import type { MeshSpec } from '../resource/kinds/mesh.ts';
import { describe, keyOf, type Mesh, resourceKey, type Workload } from '../resource/resource.ts';
import { readCaBundle } from './certificate.ts';
import { error, type Finding, warning } from './finding.ts';
import type { Reason } from './listener.ts';
import { byAge, type Look } from './tables.ts';

/** Another mesh whose workloads may connect. */
export interface Federated {
  readonly trustDomain: string;
  /** PEM bundle. */
  readonly cas: readonly string[];
}

export interface MeshView {
  /** The one that counts; undefined where there is none. */
  readonly mesh: Mesh | undefined;
  readonly spec: MeshSpec;
  /** How long certificates of workloads are good for. */
  readonly leafMs: number;
  readonly federation: readonly Federated[];
  /** Whoever may serve a Gateway: `ns/shop/sa/edge`. Sorted, each once. */
  readonly gateways: readonly string[];
  /** PEM bundles of our own trust domain; empty in a process that has no identity. */
  readonly roots: readonly string[];
  /** Identities that nothing is done for: by the Mesh, and by the authority. */
  readonly denied: ReadonlySet<string>;
  /** Meshes beside the one that counts. */
  readonly losers: readonly { readonly mesh: Mesh; readonly reason: Reason }[];
  /** Why not all that the Mesh names is good. */
  readonly unresolved: Reason | undefined;
  readonly findings: readonly Finding[];
}

/** What a process knows of its own trust domain besides the resources; the same arrays as long as they are the same. */
export interface OwnTrust {
  /** PEM bundles; empty in a process that has no identity. */
  readonly roots: readonly string[];
  /** Identities that the authority has denied. */
  readonly denied: readonly string[];
}

/** Key of the one entry of `tables.meshes`. */
export const MESH = 'mesh';

/** What holds where there is no Mesh. */
const IMPLIED: MeshSpec = {
  trustDomain: 'cluster.local',
  mtls: 'strict',
  authorization: 'allow',
  defaultProtocol: 'learn',
  leafLifetime: '24h',
  overrides: [],
  federation: [],
  peers: [],
  denied: [],
};

const LEAF_MS = 24 * 3_600_000;
const LEAF_MS_LEAST = 10 * 60_000;

/** Between proxies nobody has to be compatible with older clients. */
export const MESH_TLS: TlsPolicy = { versionMin: 'TLSv1.3', versionMax: 'TLSv1.3', ciphers: '', curves: '' };

/** The key pair that a proxy has of its own: it never comes with a plan. */
export const SELF: PlanSecretRef = { secret: OWN_IDENTITY, hash: '' };

/** @param gateways  as {@link MeshView.gateways} */
export function readMesh(meshes: readonly Mesh[], { roots, denied }: OwnTrust, gateways: readonly string[]): MeshView {
  const [mesh, ...others] = meshes.length < 2 ? meshes : meshes.toSorted(byAge);
  const spec = mesh?.spec ?? IMPLIED;
  const findings: Finding[] = [];
  const losers = others.map((other) => {
    const message = `${describe(mesh!)} comes first and there is one mesh: it counts, this one does not`;
    findings.push(error('mesh.conflict', other, { field: '/metadata/name', message, related: [keyOf(mesh!)] }));
    return { mesh: other, reason: { reason: 'Conflicted', message } };
  });
  const leafMs = durationOr(spec.leafLifetime, LEAF_MS);
  if (mesh !== undefined && leafMs < LEAF_MS_LEAST) {
    const message = `Certificates of "${spec.leafLifetime}" end while the control plane is away for half as long: from 10m on there is time for it to come back`;
    findings.push(warning('mesh.leaf-lifetime', mesh, { field: '/spec/leafLifetime', message }));
  }
  let unresolved: Reason | undefined;
  const federation = spec.federation.flatMap(({ trustDomain, caCertificates }, i): Federated[] => {
    const bundle = readCaBundle(caCertificates);
    if (!('flaw' in bundle)) return [{ trustDomain, cas: [bundle.pem] }];
    const message = `Roots of trust domain "${trustDomain}": ${bundle.flaw}: its workloads cannot connect`;
    findings.push(error('certificate.invalid', mesh!, { field: `/spec/federation/${i}/caCertificates`, message }));
    unresolved ??= { reason: 'InvalidCACertificate', message };
    return [];
  });
  return {
    mesh,
    spec,
    leafMs,
    federation,
    gateways,
    roots,
    denied: new Set([...spec.denied, ...denied]),
    losers,
    unresolved,
    findings,
  };
}

export function meshOf(look: Look): MeshView {
  return look('meshes', MESH)!;
}

/** Key of the Gateway that hosts outside are reached through; undefined where none are. */
export function egressGateway({ spec: { egress } }: MeshView): string | undefined {
  return egress && resourceKey('Gateway', egress.gateway.namespace, egress.gateway.name);
}

/** Whether the process that all of this is for has an identity of a mesh. */
export function isMember(look: Look): boolean {
  return meshOf(look).roots.length > 0;
}

export interface MeshPlace {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
}

export type PlaceSettings = Pick<MeshSpec, 'mtls' | 'authorization'>;

/** What the closest override says, else the mesh. */
export function settingsAt({ spec }: MeshView, { namespace, service, port }: MeshPlace): PlaceSettings {
  const { mtls, authorization, overrides } = spec;
  const near = overrides
    .filter(
      (one) =>
        one.namespace === namespace &&
        (one.service ?? service) === service &&
        (one.port === undefined || one.port === port),
    )
    .toSorted((a, b) => closeness(b) - closeness(a));
  return {
    mtls: near.find((one) => one.mtls !== undefined)?.mtls ?? mtls,
    authorization: near.find((one) => one.authorization !== undefined)?.authorization ?? authorization,
  };
}

function closeness({ service, port }: MeshSpec['overrides'][number]): number {
  return port !== undefined ? 2 : service !== undefined ? 1 : 0;
}

/** `spiffe://cluster.local/ns/shop/sa/orders`. */
export function identityOf({ spec: { trustDomain } }: MeshView, { metadata, spec }: Workload): string {
  return `spiffe://${trustDomain}/ns/${metadata.namespace}/sa/${spec.account ?? spec.service}`;
}

/** Server name by which a sidecar knows which port is meant: no name of DNS, and it resolves nowhere. */
export function serverNameOf({ namespace, service, port }: MeshPlace): string {
  return `${port}.${service}.${namespace}.${MESH_DOMAIN}`;
}

const MESH_DOMAIN = 'mesh.internal';

/** All that {@link serverNameOf} gives. */
export const MESH_HOSTS = `*.${MESH_DOMAIN}`;
