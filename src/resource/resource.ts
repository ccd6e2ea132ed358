/**
 * Resource: a manifest that was read, typed and checked, with every default of
 * its schema filled in. Resources are never changed: reading the same text again
 * gives the identical object, and the compiler leans on that.
 */
import type { Position } from '../base/problem.ts';
import type { AcmeIssuerSpec } from './kinds/acme-issuer.ts';
import type { BackendPolicySpec } from './kinds/backend-policy.ts';
import type { BackendTLSPolicySpec } from './kinds/backend-tls-policy.ts';
import type { BackendSpec } from './kinds/backend.ts';
import type { EndpointSliceBody, ServiceSpec } from './kinds/core.ts';
import type { GatewayClassSpec } from './kinds/gateway-class.ts';
import type { GatewaySpec } from './kinds/gateway.ts';
import type { GRPCRouteSpec } from './kinds/grpc-route.ts';
import type { HTTPRouteSpec } from './kinds/http-route.ts';
import type { ListenerSetSpec } from './kinds/listener-set.ts';
import type { MeshSpec } from './kinds/mesh.ts';
import type { PolicySpec } from './kinds/policy.ts';
import type { ReferenceGrantSpec } from './kinds/reference-grant.ts';
import type { PortRouteSpec, TLSRouteSpec } from './kinds/stream-routes.ts';
import type { WorkloadSpec } from './kinds/workload.ts';
import type { SecretData } from './secret-data.ts';

/**
 * Where a resource was written. Belongs to the reader: when text above the
 * document changes, `line` moves while the resource stays the identical object.
 */
export interface Origin {
  readonly file: string;
  /** First line of the document, from 1. */
  readonly line: number;
  /**
   * Place of the field that a JSON pointer names: its key, or its item in a
   * list. Of a field that is not there: of what should hold it. Reads the text
   * of the document again.
   */
  locate(pointer: string): Position;
  /** {@link locate} of several pointers, where that costs less than one by one. */
  locateEach?(pointers: readonly string[]): Position[];
}

export interface ResourceMeta {
  readonly name: string;
  /** Empty for kinds that are not in a namespace; `default` where the manifest says none. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** `metadata.generation`, 1 where the manifest says none. */
  readonly generation: number;
  /** `metadata.creationTimestamp` in milliseconds since the epoch. */
  readonly creationMs: number | undefined;
  /** Position in a short form, from 1: its age where nothing else says one. */
  readonly order?: number;
  readonly uid?: string;
}

interface ResourceBase<K extends string> {
  readonly apiVersion: string;
  readonly kind: K;
  readonly metadata: ResourceMeta;
  readonly origin: Origin;
}

interface WithSpec<K extends string, S> extends ResourceBase<K> {
  readonly spec: S;
}

export type GatewayClass = WithSpec<'GatewayClass', GatewayClassSpec>;
export type Gateway = WithSpec<'Gateway', GatewaySpec>;
export type HTTPRoute = WithSpec<'HTTPRoute', HTTPRouteSpec>;
export type GRPCRoute = WithSpec<'GRPCRoute', GRPCRouteSpec>;
export type ListenerSet = WithSpec<'ListenerSet', ListenerSetSpec>;
export type ReferenceGrant = WithSpec<'ReferenceGrant', ReferenceGrantSpec>;
export type BackendTLSPolicy = WithSpec<'BackendTLSPolicy', BackendTLSPolicySpec>;
export type Service = WithSpec<'Service', ServiceSpec>;
export type Policy = WithSpec<'Policy', PolicySpec>;
export type BackendPolicy = WithSpec<'BackendPolicy', BackendPolicySpec>;
export type Backend = WithSpec<'Backend', BackendSpec>;
export type AcmeIssuer = WithSpec<'AcmeIssuer', AcmeIssuerSpec>;
export type Mesh = WithSpec<'Mesh', MeshSpec>;
export type Workload = WithSpec<'Workload', WorkloadSpec>;
export type Namespace = ResourceBase<'Namespace'>;

export interface EndpointSlice extends ResourceBase<'EndpointSlice'>, Readonly<EndpointSliceBody> {}

export interface Secret extends ResourceBase<'Secret'> {
  /** `kubernetes.io/tls`, `Opaque` and so on. */
  readonly type: string;
  /** `data` decoded, `stringData` merged over it. */
  readonly data: SecretData;
}

export interface ConfigMap extends ResourceBase<'ConfigMap'> {
  readonly data: Readonly<Record<string, string>>;
}

export type TLSRoute = WithSpec<'TLSRoute', TLSRouteSpec>;
export type TCPRoute = WithSpec<'TCPRoute', PortRouteSpec>;
export type UDPRoute = WithSpec<'UDPRoute', PortRouteSpec>;

/** Routes below HTTP. */
export type StreamRoute = TLSRoute | TCPRoute | UDPRoute;

export type Resource =
  | GatewayClass
  | Gateway
  | HTTPRoute
  | GRPCRoute
  | ListenerSet
  | ReferenceGrant
  | BackendTLSPolicy
  | Service
  | EndpointSlice
  | Secret
  | ConfigMap
  | Namespace
  | Policy
  | BackendPolicy
  | Backend
  | AcmeIssuer
  | Mesh
  | Workload
  | TLSRoute
  | TCPRoute
  | UDPRoute;

export type ResourceKind = Resource['kind'];

/** The type of one kind: `ResourceOf<'HTTPRoute'>`. */
export type ResourceOf<K extends ResourceKind> = Extract<Resource, { readonly kind: K }>;

/** `HTTPRoute/shop/web`; always three parts, so `GatewayClass//fourways` where there is no namespace. */
export function resourceKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

export function keyOf({ kind, metadata: { namespace, name } }: Resource): string {
  return resourceKey(kind, namespace, name);
}

/** `shop/tls` of `Secret/shop/tls`, where the kind goes without saying. */
export function withoutKind(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}

/** For messages: `HTTPRoute shop/web`, `GatewayClass fourways`. */
export function describe({ kind, metadata: { namespace, name } }: Resource): string {
  return describeKey(resourceKey(kind, namespace, name));
}

/** {@link describe} of a key. */
export function describeKey(key: string): string {
  const [kind = '', namespace = '', name = ''] = key.split('/');
  return namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}
