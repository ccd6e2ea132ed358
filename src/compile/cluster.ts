/** Clusters: how a backend is reached, from its endpoints, its policies and the Gateway that sends. */
import { isIP } from 'node:net';
import type {
  PlanCluster,
  PlanClusterHttp2,
  PlanClusterSettings,
  PlanClusterTls,
  UpstreamProtocol,
} from '../ir/plan.ts';
import { durationOr } from '../base/duration.ts';
import type { HealthCheck } from '../resource/kinds/backend-policy.ts';
import type { UpstreamTLS } from '../resource/kinds/backend.ts';
import { type Backend, type BackendPolicy, describe, keyOf } from '../resource/resource.ts';
import { sizeOr } from '../resource/size.ts';
import {
  backendTargetKeys,
  type BackendTarget,
  type ClusterVariant,
  type ServicePort,
  spokenBy,
  type StreamProtocol,
  UPSTREAM_PROTOCOLS,
} from './backend.ts';
import { backendEndpoints, consulFindings } from './backend-endpoints.ts';
import { readUpstreamTls, type TrustView } from './backend-tls.ts';
import { CLUSTER_SETTINGS, HEALTH_PACE, PEER_SETTINGS, TLS_POLICY } from './defaults.ts';
import { type Finding, warning } from './finding.ts';
import type { Reason } from './listener.ts';
import { meshOf } from './mesh.ts';
import { passPort, type Reached, reachPort } from './mesh-endpoints.ts';
import { type PortSpeech, speechOf } from './mesh-port.ts';
import { type Claim, Claims, type Loser } from './policies.ts';
import type { NamedSecret } from './secret.ts';
import type { Look } from './tables.ts';

/** A backend that some route sends to. */
export interface ClusterNeed extends ClusterVariant {
  readonly key: string;
  readonly target: BackendTarget;
}

export interface ClusterResult {
  readonly cluster: PlanCluster;
  readonly secrets: readonly NamedSecret[];
  /** Whose TLS refers to something that leads nowhere. */
  readonly broken?: { readonly owner: Backend | BackendPolicy; readonly reason: Reason };
  readonly findings: readonly Finding[];
}

/** What the BackendPolicies on one target come to. */
export interface BackendLevel {
  readonly claims: ReadonlyMap<string, Claim<BackendPolicy>>;
  readonly losers: readonly Loser<BackendPolicy>[];
  readonly findings: readonly Finding[];
}

/** @param policies  those on one target, oldest first */
export function backendLevelOf(policies: readonly BackendPolicy[]): BackendLevel {
  const claims = new Claims<BackendPolicy>();
  for (const policy of policies) {
    for (const [name, value] of Object.entries(policy.spec)) {
      if (name === 'targetRefs' || value === undefined) continue;
      claims.take(policy, { what: `"${name}"`, field: `/spec/${name}` }, value);
    }
  }
  return { claims: claims.taken, losers: claims.losers, findings: claims.findings };
}

/** What is asked for of a backend by its closest policies. */
class Asked {
  readonly #levels: readonly (BackendLevel | undefined)[];

  constructor(target: BackendTarget, look: Look) {
    this.#levels = backendTargetKeys(target).map((key) => look('backendLevels', key));
  }

  claim(name: keyof BackendPolicy['spec']): Claim<BackendPolicy> | undefined {
    for (const level of this.#levels) {
      const claim = level?.claims.get(`/spec/${name}`);
      if (claim !== undefined) return claim;
    }
    return undefined;
  }

  get<K extends keyof BackendPolicy['spec']>(name: K): BackendPolicy['spec'][K] | undefined {
    return this.claim(name)?.value as BackendPolicy['spec'][K] | undefined;
  }
}

export function lowerCluster({ target, certificateOf, protocol, stream }: ClusterNeed, look: Look): ClusterResult {
  const findings: Finding[] = target.kind === 'Backend' ? consulFindings(target.resource, look) : [];
  const asked = new Asked(target, look);
  if (stream === 'mesh') return passingCluster(target, asked, look);
  const reached: Reached =
    target.kind === 'Service'
      ? reachPort(target, { look, findings, transport: stream === 'udp' ? 'UDP' : 'TCP' })
      : { endpoints: backendEndpoints(target.resource) };
  const tls =
    reached.tls === undefined
      ? clusterTls(target, { asked, certificateOf, stream, findings, look })
      : betweenProxies(target, reached.tls, { asked, stream, findings, look });
  const spoken = protocol ?? (reached.tls === undefined ? ownProtocol(target, asked) : protocolOf(target, asked, look));
  // What clients encrypted is bytes like others to sidecars, and goes inside their own TLS.
  const carried = stream === 'tls' && reached.tls !== undefined ? 'tcp' : stream;
  const cluster: PlanCluster = {
    protocol: stream === undefined ? spoken : 'http1',
    ...(carried !== undefined && { stream: carried }),
    ...proxyHeader(asked, stream, findings),
    endpoints: reached.endpoints,
    ...(tls !== undefined && { tls: tls.tls }),
    ...healthOf(asked, { spoken, stream, findings }),
    settings: clusterSettings(asked, reached.tls === undefined ? CLUSTER_SETTINGS : PEER_SETTINGS),
  };
  return {
    cluster,
    secrets: tls?.secrets ?? [],
    ...(tls?.broken !== undefined && { broken: tls.broken }),
    findings,
  };
}

/** Who passes on what it cannot read says nothing of it, and asks nobody: the sidecars at both ends do. */
function passingCluster(target: BackendTarget, asked: Asked, look: Look): ClusterResult {
  const endpoints = target.kind === 'Service' ? passPort(target, look) : [];
  const cluster: PlanCluster = {
    protocol: 'http1',
    stream: 'tls',
    endpoints,
    settings: clusterSettings(asked, CLUSTER_SETTINGS),
  };
  return { cluster, secrets: [], findings: [] };
}

/** A connection of HTTP carries requests of many clients, so a header at its beginning would name the wrong one. */
function proxyHeader(
  asked: Asked,
  stream: StreamProtocol | undefined,
  findings: Finding[],
): Pick<PlanCluster, 'proxyProtocol'> {
  const claim = asked.claim('proxyProtocol');
  if (claim === undefined) return {};
  if (stream === 'tcp' || stream === 'tls') {
    return { proxyProtocol: claim.value as NonNullable<PlanCluster['proxyProtocol']> };
  }
  const message =
    stream === 'udp'
      ? 'The PROXY protocol is not written before datagrams'
      : 'The PROXY protocol is written for TCPRoutes and TLSRoutes only: requests carry X-Forwarded-For';
  findings.push(warning('policy.no-effect', claim.policy, { field: '/spec/proxyProtocol', message }));
  return {};
}

/** What the endpoints of a backend speak, as it and its policies say. */
export function protocolAsked(target: BackendTarget, look: Look): UpstreamProtocol {
  return protocolOf(target, new Asked(target, look), look);
}

/** What the application itself takes behind its sidecar. */
export function appProtocolOf(target: BackendTarget & { readonly kind: 'Service' }, look: Look): UpstreamProtocol {
  const said = new Asked(target, look).get('protocol');
  return said === undefined ? speechIn(target.port, look).protocol : UPSTREAM_PROTOCOLS[said];
}

function speechIn(port: ServicePort, look: Look): PortSpeech {
  return speechOf(port, meshOf(look).spec.defaultProtocol);
}

/** Whether a backend is reached with TLS, so that a client certificate has a meaning. */
export function isTlsAsked(target: BackendTarget, look: Look): boolean {
  // Sidecars are shown the identity of the proxy.
  if (look('sidecars', keyOf(target.resource)) !== undefined) return false;
  return (
    trustOf(target, look) !== undefined ||
    new Asked(target, look).get('tls') !== undefined ||
    (target.kind === 'Backend' ? target.resource.spec.tls !== undefined : speaksTls(target.port))
  );
}

function protocolOf(target: BackendTarget, asked: Asked, look: Look): UpstreamProtocol {
  const sidecars = target.kind === 'Service' ? look('sidecars', keyOf(target.resource)) : undefined;
  if (target.kind !== 'Service' || sidecars === undefined) return ownProtocol(target, asked);
  const speech = speechIn(target.port, look);
  const said = asked.get('protocol');
  const own = said === undefined ? speech.protocol : UPSTREAM_PROTOCOLS[said];
  // Sidecars pass on what they do not read; what they read they take as HTTP/2, and others as they said.
  if (speech.kind === 'tcp' || own === 'h2') return own;
  return sidecars === 'all' ? 'h2' : 'auto';
}

function ownProtocol(target: BackendTarget, asked: Asked): UpstreamProtocol {
  const said = asked.get('protocol') ?? (target.kind === 'Backend' ? target.resource.spec.protocol : undefined);
  if (said !== undefined) return UPSTREAM_PROTOCOLS[said];
  return (target.kind === 'Service' ? spokenBy(target.port.appProtocol)?.protocol : undefined) ?? 'http1';
}

function speaksTls({ appProtocol }: ServicePort): boolean {
  return spokenBy(appProtocol)?.transport === 'tls';
}

/** The oldest BackendTLSPolicy on this port, else on the whole Service. */
function trustOf(target: BackendTarget, look: Look): TrustView | undefined {
  for (const key of backendTargetKeys(target)) {
    const policy = look('tlsPolicies', key)?.[0];
    if (policy !== undefined) return look('trusts', keyOf(policy));
  }
  return undefined;
}

interface TlsWork {
  readonly asked: Asked;
  readonly certificateOf: string | undefined;
  readonly stream: StreamProtocol | undefined;
  readonly findings: Finding[];
  readonly look: Look;
}

interface TlsResult {
  readonly tls: PlanClusterTls;
  readonly secrets: readonly NamedSecret[];
  readonly broken?: ClusterResult['broken'];
}

function clusterTls(target: BackendTarget, work: TlsWork): TlsResult | undefined {
  const { asked, certificateOf, stream, findings, look } = work;
  // What the client encrypted goes on as it is; for datagrams there is no TLS.
  if (stream === 'tls' || stream === 'udp') return undefined;
  const trust = trustOf(target, look);
  const claim = asked.claim('tls');
  const gatewayCertificate =
    certificateOf === undefined ? undefined : look('parents', certificateOf)?.clientCertificate;
  if (trust !== undefined) {
    if (claim !== undefined) {
      const message = `${describe(trust.policy)} says how the same backend is trusted: it counts, this does not`;
      findings.push(
        warning('policy.conflict', claim.policy, { field: '/spec/tls', message, related: [keyOf(trust.policy)] }),
      );
    }
    return withCertificate(trust.tls, gatewayCertificate);
  }
  const own = claim?.policy ?? (target.kind === 'Backend' ? target.resource : undefined);
  const tls =
    (claim?.value as UpstreamTLS | undefined) ?? (target.kind === 'Backend' ? target.resource.spec.tls : undefined);
  const serverName = nameOf(target);
  if (own !== undefined && tls !== undefined) {
    const view = readUpstreamTls(own, { tls, serverName }, look);
    findings.push(...view.findings);
    return {
      ...withCertificate(view.tls, view.clientCertificate ?? gatewayCertificate),
      ...(view.unresolved !== undefined && { broken: { owner: own, reason: view.unresolved } }),
    };
  }
  // Below HTTP only a policy makes TLS: what `appProtocol` names may be spoken by the client itself.
  if (target.kind === 'Backend' || stream !== undefined || !speaksTls(target.port)) return undefined;
  // The Service says that it speaks TLS and nobody says whom to trust: the roots of the system, never nothing.
  return withCertificate(
    { serverName, cas: [], subjectAltNames: [], policy: TLS_POLICY, state: 'ok' },
    gatewayCertificate,
  );
}

/** mTLS to sidecars. What else is said of TLS would be for the application, which speaks to its sidecar only. */
function betweenProxies(
  target: BackendTarget,
  tls: PlanClusterTls,
  { asked, stream, findings, look }: Omit<TlsWork, 'certificateOf'>,
): TlsResult {
  const related = [keyOf(target.resource)];
  const message = `${describe(target.resource)} has sidecars, which know each other by their identities: no other TLS is spoken`;
  const claim = asked.claim('tls');
  const policies = [trustOf(target, look)?.policy, claim?.policy].filter((policy) => policy !== undefined);
  for (const policy of policies)
    findings.push(warning('policy.no-effect', policy, { field: '/spec', message, related }));
  if (stream === undefined && target.kind === 'Service' && speaksTls(target.port)) {
    const why = `The sidecars of ${describe(target.resource)} pass port ${target.port.port} on unread, because TLS is spoken there: HTTP cannot be sent to it`;
    findings.push(warning('mesh.unread-port', target.resource, { field: '/spec/ports', message: why }));
  }
  return { tls, secrets: [] };
}

interface HealthWork {
  readonly spoken: UpstreamProtocol;
  readonly stream: StreamProtocol | undefined;
  readonly findings: Finding[];
}

function healthOf(asked: Asked, { spoken, stream, findings }: HealthWork): Pick<PlanCluster, 'health'> {
  const claim = asked.claim('healthCheck');
  if (claim === undefined) return {};
  const check = claim.value as HealthCheck;
  const message = whyUnasked(check, stream);
  if (message !== undefined) {
    findings.push(warning('policy.no-effect', claim.policy, { field: '/spec/healthCheck', message }));
    return {};
  }
  // A call of gRPC needs HTTP/2: the same backend as others reach it over HTTP/1.1 is not asked.
  if (check.type === 'grpc' && spoken === 'http1') return {};
  const pace = {
    intervalMs: durationOr(check.interval, HEALTH_PACE.intervalMs),
    timeoutMs: durationOr(check.timeout, HEALTH_PACE.timeoutMs),
    unhealthyAfter: check.unhealthyAfter ?? HEALTH_PACE.unhealthyAfter,
    healthyAfter: check.healthyAfter ?? HEALTH_PACE.healthyAfter,
  };
  switch (check.type) {
    case 'tcp':
      return { health: { kind: 'tcp', ...pace } };
    case 'grpc':
      return { health: { kind: 'grpc', service: check.grpc?.service ?? '', ...pace } };
    case 'http':
      return {
        health: { kind: 'http', path: check.http?.path ?? '/', statuses: check.http?.statuses ?? [200], ...pace },
      };
  }
}

/** Why a backend of such routes cannot be asked in this way: a check that always fails would take it out. */
function whyUnasked({ type }: HealthCheck, stream: StreamProtocol | undefined): string | undefined {
  if (stream === 'udp') return 'Endpoints of a UDPRoute are not checked: datagrams say nothing of who takes them';
  if (stream !== 'tls' || type === 'tcp') return undefined;
  return `Endpoints that end the TLS of clients are not asked over ${type}, which would go to them without TLS: use type tcp`;
}

function withCertificate(tls: TrustView['tls'], certificate: NamedSecret | undefined): TlsResult {
  if (certificate === undefined) return { tls, secrets: [] };
  return { tls: { ...tls, clientCertificate: certificate.ref }, secrets: [certificate] };
}

/** The name that a certificate of this backend most likely carries. */
function nameOf(target: BackendTarget): string {
  const { name, namespace } = target.resource.metadata;
  if (target.kind === 'Service') return target.resource.spec.externalName ?? `${name}.${namespace}.svc`;
  return (
    backendEndpoints(target.resource).find(({ address, records }) => isIP(address) === 0 && records !== 'srv')
      ?.address ?? name
  );
}

function clusterSettings(asked: Asked, defaults: PlanClusterSettings): PlanClusterSettings {
  const budgetPercent = asked.get('retryBudgetPercent');
  return {
    connectMs: durationOr(asked.get('connectTimeout'), defaults.connectMs),
    idleMs: durationOr(asked.get('idleTimeout'), defaults.idleMs),
    keepAliveMs: durationOr(asked.get('keepAlive'), defaults.keepAliveMs),
    idleConnectionsMax: asked.get('idleConnectionsMax') ?? defaults.idleConnectionsMax,
    connectionsMax: asked.get('connectionsMax') ?? defaults.connectionsMax,
    queueMax: asked.get('queueMax') ?? defaults.queueMax,
    headerBytesMax: sizeOr(asked.get('headerBytesMax'), defaults.headerBytesMax),
    connectRetries: asked.get('connectRetries') ?? defaults.connectRetries,
    retryBudget: budgetPercent === undefined ? defaults.retryBudget : budgetPercent / 100,
    ...localityOf(asked.get('locality')),
    http2: http2Settings(asked.get('http2'), defaults.http2),
  };
}

/** Nothing where it is as the proxy has it anyway, so that plans stay small. */
function localityOf(asked: BackendPolicy['spec']['locality']): Pick<PlanClusterSettings, 'locality'> {
  if (asked === undefined) return {};
  const { prefer = 'zone', healthyPercentMin = HEALTHY_PERCENT_MIN } = asked;
  return { locality: { prefer, healthyMin: healthyPercentMin / 100 } };
}

const HEALTHY_PERCENT_MIN = 70;

/** Smaller windows make every frame wait for the one before; larger ones do not exist (RFC 9113 section 6.9.1). */
const WINDOW_BYTES_MIN = 65_535;
const WINDOW_BYTES_MAX = 2 ** 30;

function http2Settings(asked: BackendPolicy['spec']['http2'] = {}, defaults: PlanClusterHttp2): PlanClusterHttp2 {
  const { streamsMax = defaults.streamsMax, pingInterval, pingTimeout, windowBytes } = asked;
  const window = sizeOr(windowBytes, defaults.windowBytes);
  return {
    streamsMax,
    pingIntervalMs: durationOr(pingInterval, defaults.pingIntervalMs),
    pingTimeoutMs: durationOr(pingTimeout, defaults.pingTimeoutMs),
    windowBytes: Math.min(WINDOW_BYTES_MAX, Math.max(WINDOW_BYTES_MIN, window)),
  };
}
