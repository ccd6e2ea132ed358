/**
 * The plan: what the compiler makes of all resources for one proxy. Plain JSON,
 * every name resolved, every default filled in; its hash is its version. A proxy
 * that gets a plan it cannot apply has found a bug and refuses it whole.
 *
 * The plan is made of named parts that mirror the operator's objects one to one
 * (one route, one part), so that one edit is one small diff. Secrets travel
 * beside the plan, never in it: the plan names them with the hash of their value.
 */
import type { ConnectionLimits, ConnectionTimeouts, TunnelLimits } from '../base/limits.ts';
import type { PathPolicy } from '../base/path-policy.ts';
import type { Position } from '../base/problem.ts';
import type { TrustedHops } from '../base/trusted-hops.ts';

export interface Plan {
  /** SHA-256 over the names and hashes of all parts (see ir/version.ts). */
  readonly version: string;
  readonly ports: Readonly<Record<string, PlanPort>>;
  readonly listeners: Readonly<Record<string, PlanListener>>;
  readonly routes: Readonly<Record<string, PlanRoute>>;
  readonly streams: Readonly<Record<string, PlanStream>>;
  readonly clusters: Readonly<Record<string, PlanCluster>>;
}

/** Values of secrets by key (`Secret/shop/tls`). Never logged, never in /plan. */
export type PlanSecrets = Readonly<Record<string, PlanSecret>>;

export type PlanSecret = PlanKeyPair | PlanValue;

/** One value of a Secret that a filter refers to, by `Secret/shop/redis#password`. */
export interface PlanValue {
  readonly value: string;
}

export interface PlanKeyPair {
  /** PEM chain, leaf first. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Key of the key pair that a proxy has of itself: plans name it, and it never comes with one. Its hash says nothing. */
export const OWN_IDENTITY = 'Identity/self';

/** A plan together with the secrets it names. */
export interface PlanBundle {
  readonly plan: Plan;
  readonly secrets: PlanSecrets;
}

/**
 * A socket to bind. Key: `ADDRESS:PORT`, IPv6 in brackets, `/udp` behind it for UDP; address `*` stands for the
 * proxy's `--bind`.
 */
export interface PlanPort {
  readonly address: string;
  readonly port: number;
  /**
   * How connections begin. `tls`: with a handshake, whose server name chooses among HTTPS and TLS listeners. `proxy`: with
   * requests to a forward proxy, in absolute form or CONNECT (RFC 9110 section 7.1, 9.3.6), whose authority chooses.
   */
  readonly protocol: 'http' | 'tls' | 'tcp' | 'udp' | 'proxy';
  /** Absent: no header of the PROXY protocol is read. */
  readonly proxyProtocol?: PlanProxyProtocol;
  readonly limits: ConnectionLimits;
  readonly timeouts: ConnectionTimeouts;
  /** Ask TLS clients for a certificate (Gateway API frontend validation). */
  readonly clientValidation?: {
    /** PEM bundles. */
    readonly cas: readonly string[];
    /** `required`: no verified certificate, no connection. `optional`: AllowInsecureFallback. */
    readonly mode: 'required' | 'optional';
    /** Present where clients are workloads: their certificates must carry a SPIFFE ID of these. */
    readonly workloads?: {
      readonly trustDomains: readonly string[];
      /** Other trust domains, each with the bundles that are good for it alone: `cas` say nothing of them. */
      readonly federated?: readonly { readonly trustDomain: string; readonly cas: readonly string[] }[];
      /** Identities that are turned away although their certificates are good. */
      readonly denied: readonly string[];
    };
  };
}

/** What a proxy in front says of the client, before anything else. */
export interface PlanProxyProtocol {
  /** `required`: a connection without a header is closed. */
  readonly mode: 'required' | 'optional';
  /** Peers that may say it; empty: nobody. Others are closed when they do. */
  readonly trustedPeers: readonly string[];
}

/**
 * One listener of one Gateway or ListenerSet. Key: `Gateway/NS/NAME/LISTENER` or
 * `ListenerSet/NS/NAME/LISTENER`. In the plan of a sidecar, a port of a Service that it calls, `Service/NS/NAME/PORT`, or
 * takes in, `Inbound/NS/NAME/PORT` (docs/internals/mesh.md). Several may share one port; the most specific
 * hostname wins and no other listener of the port is tried (listener isolation).
 */
export interface PlanListener {
  /** Key in `Plan.ports`. */
  readonly port: string;
  /** `shop.test`, `*.shop.test`, or `*` when the listener names none. Lower case. */
  readonly hostname: string;
  /** More of the same, for the same listener. */
  readonly alsoNamed?: readonly string[];
  /**
   * What `hostname` is compared with, if not the host of a request. `server-name`: that of the handshake, whatever the host
   * of the request is. `authority`: on ports of protocol `proxy`, with the port: `orders.shop:80`.
   */
  readonly chosenBy?: 'server-name' | 'authority';
  /**
   * Present where requests have a deadline and a retry budget over all the calls that they cause. `begin`: at the edge, where
   * nobody is believed. `join`: what comes is believed. Listeners with `chosenBy` join without saying so.
   */
  readonly callTree?: 'begin' | 'join';
  /**
   * Present on a port of an application that nobody has said what it speaks of: what it was found to speak, or that its
   * sidecar has to find it out.
   */
  readonly speech?: LearnedSpeech | 'unknown';
  /** The port number that redirects and X-Forwarded-Port speak of (spec.listeners[].port). */
  readonly publicPort: number;
  /** Absent where TLS does not end here: no TLS, or passed on unread. */
  readonly tls?: PlanListenerTls;
  /** Present on listeners of protocol TLS, TCP and UDP: nothing of what they carry is read. */
  readonly stream?: PlanListenerStream;
  readonly settings: PlanListenerSettings;
}

/** What a port can be found to speak. `tcp`: anything that is not HTTP. */
export type LearnedSpeech = 'http' | 'h2c' | 'tcp';

export type PlanListenerStream =
  | { readonly kind: 'tcp' | 'tls' }
  | {
      readonly kind: 'udp';
      /** No datagram either way for this long ends a session. */
      readonly idleMs: number;
      /** Sessions of one worker. Beyond: datagrams of new clients are dropped. */
      readonly sessionsMax: number;
    };

export interface PlanListenerTls extends TlsPolicy {
  readonly certificates: readonly PlanSecretRef[];
  /** Present when a certificate is ordered by ACME: until it is here, `certificates` may be empty. */
  readonly acme?: {
    /** Shown to clients that offer `acme-tls/1`, while a validation runs (RFC 8737). */
    readonly challenge?: PlanSecretRef;
  };
}

/** Which TLS is spoken. */
export interface TlsPolicy {
  readonly versionMin: 'TLSv1.2' | 'TLSv1.3';
  readonly versionMax: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list for TLS 1.2 and suites for 1.3; empty means Node's default. */
  readonly ciphers: string;
  /** Groups for the key exchange, `:` between them, the favourite first; empty means OpenSSL's default. */
  readonly curves: string;
}

export interface PlanSecretRef {
  /** Key in `PlanSecrets`. */
  readonly secret: string;
  /** Hash of the value, so that a rotation is a new version. */
  readonly hash: string;
}

/** How a listener reads and marks requests. */
export interface PlanListenerSettings {
  readonly path: PathPolicy;
  readonly trustedHops: TrustedHops;
  /** `keep` the upstream's Server header, `remove` it, or `replace` it with `fourways`. */
  readonly serverHeader: 'keep' | 'remove' | 'replace';
  /** Also write RFC 7239 `Forwarded`. */
  readonly forwarded: boolean;
  readonly via: boolean;
  /** Header names with an underscore: CGI-like servers read them like a hyphen. */
  readonly underscoreNames: 'keep' | 'remove' | 'refuse';
  /** How the verified certificate of a client is passed on: not at all, as RFC 9440 has it, or as Envoy has it. */
  readonly clientCertificate: 'none' | 'client-cert' | 'xfcc';
  /** What clients may speak, the favourite first. Offered by ALPN in this order on TLS ports. */
  readonly httpVersions: readonly HttpVersion[];
  /** Answer `grpc.health.v1`. */
  readonly grpcHealth: boolean;
  readonly accessLog: AccessLogPolicy;
  /** Of tunnels on routes that say nothing else. */
  readonly tunnel: TunnelLimits;
}

/** As ALPN names them (RFC 7301 section 6, RFC 9113 section 3.1). */
export type HttpVersion = 'h2' | 'http/1.1';

export interface AccessLogPolicy {
  readonly enabled: boolean;
  /** Lines per second and worker that are always written; faults and 5xx have the same allowance again. */
  readonly linesPerSecond: number;
  /** Share of the requests beyond that allowance that is still written, 0 to 1. */
  readonly sample: number;
  /** Request headers to log by name, lower case. Authorization, cookies and the like print as `[redacted]`. */
  readonly headers: readonly string[];
  /** Query strings hold tokens too often: left out unless asked for. */
  readonly query: 'omit' | 'keep';
}

/** One HTTPRoute or GRPCRoute. Key: `HTTPRoute/NS/NAME`. */
export interface PlanRoute {
  /** Creation order: older routes win ties (milliseconds since the epoch, then the key). */
  readonly createdMs: number;
  readonly attach: readonly PlanAttachment[];
  readonly rules: readonly PlanRule[];
}

/** One TLSRoute, TCPRoute or UDPRoute. Key: `TCPRoute/NS/NAME`. Of several for one host of one listener the first counts. */
export interface PlanStream {
  /** `TCPRoute/NS/NAME/RULE`, RULE being the name of its rule or 0. Label of metrics, name in the access log. */
  readonly name: string;
  readonly createdMs: number;
  readonly attach: readonly PlanAttachment[];
  /** Weighted; weights may be 0. */
  readonly backends: readonly PlanStreamBackend[];
  /** What differs from `settings.tunnel` of the listener. */
  readonly tunnel?: Partial<TunnelLimits>;
  /** Who may connect, by identity: each of these must let a client through. */
  readonly access?: readonly PlanStreamAccess[];
}

/** What one policy, or the mesh, says of who may connect. A rule that denies comes before all that allow. */
export interface PlanStreamAccess {
  /** `Policy shop/who` or `Mesh mesh`. */
  readonly owner: string;
  /** It decides, what it decides is logged and counted, and the connection goes on. */
  readonly audit?: true;
  readonly rules: readonly {
    readonly name: string;
    readonly effect: 'allow' | 'deny';
    /** SPIFFE IDs; `*` at the end stands for any rest. Absent: anybody. */
    readonly workloads?: readonly string[];
  }[];
  /** Of whom no rule matches. */
  readonly default: 'allow' | 'deny';
}

/** A key of `Plan.clusters`; or why the share of this backend is closed at once. */
export type PlanStreamBackend = { readonly weight: number } & ({ readonly cluster: string } | { readonly why: string });

export interface PlanAttachment {
  /** Key in `Plan.listeners`. */
  readonly listener: string;
  /** Intersection of the hostnames of route and listener: `a.test`, `*.a.test`, `*`. Lower case. */
  readonly hosts: readonly string[];
}

/** One rule of a route. */
export interface PlanRule {
  /** `HTTPRoute/NS/NAME/RULE`, RULE being its name or index. Label of metrics, name in the access log. */
  readonly name: string;
  /** Any of these; never empty (the compiler writes the default match, prefix `/`). */
  readonly matches: readonly PlanMatch[];
  /** In running order. */
  readonly filters: readonly PlanFilter[];
  /** Weighted; weights may be 0. Empty only when a filter always answers. */
  readonly backends: readonly PlanBackend[];
  readonly mirrors: readonly PlanMirror[];
  readonly timeouts: {
    /** Whole exchange, from the head of the request to the end of the answer. */
    readonly requestMs?: number;
    /** One attempt, until the end of its answer. */
    readonly backendRequestMs?: number;
  };
  readonly retry?: PlanRetry;
  /** Present on rules of a GRPCRoute: they take gRPC, translate gRPC-Web, and nothing else. */
  readonly grpc?: PlanGrpc;
  /** What differs from `settings.tunnel` of the listener. */
  readonly tunnel?: Partial<TunnelLimits>;
  readonly at?: Position;
}

export interface PlanGrpc {
  /** Longest message in a request and in an answer; 0 for no bound. */
  readonly requestMessageBytesMax: number;
  readonly answerMessageBytesMax: number;
  /** Services that the rule names exactly: what `grpc.health.v1` speaks of. */
  readonly services: readonly string[];
}

export interface PlanMatch {
  readonly path: PlanPathMatch;
  readonly method?: string;
  /** Header names are lower case. Several lines of one name are joined with `,` before matching. */
  readonly headers: readonly PlanNamedMatch[];
  readonly query: readonly PlanNamedMatch[];
}

export interface PlanPathMatch {
  readonly kind: 'exact' | 'prefix' | 'regex';
  readonly value: string;
  /** With kind `prefix`: an expression that the whole path must match, too. */
  readonly narrowedBy?: string;
  /** What the last segment of every path that `narrowedBy` matches is: long lists of such matches are looked up by it. */
  readonly lastSegment?: string;
  /** Among matches of one prefix the greater one goes first (GRPCRoute counts characters of service, then of method). */
  readonly rank?: number;
}

export interface PlanNamedMatch {
  readonly name: string;
  readonly kind: 'exact' | 'regex';
  readonly value: string;
}

/** A filter by name with its checked configuration, defaults filled in. */
export interface PlanFilter {
  readonly filter: string;
  readonly config: unknown;
  /** Who asked for it: `HTTPRoute shop/web` or `Policy shop/limits`. */
  readonly owner: string;
  /** It decides, what it decides is logged and counted, and the request goes on. */
  readonly audit?: true;
  /** Filters of phase `authenticate` with the same one are alternatives: one that is content is enough. */
  readonly alternative?: string;
  /** Who is asking where no credentials came; with `alternative`. */
  readonly anonymous?: PlanConsumer;
  readonly at?: Position;
}

export interface PlanConsumer {
  readonly name: string;
  readonly groups: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface PlanBackend {
  /** `cluster` names a key of `Plan.clusters`; `invalid` takes its share and answers 500 (Gateway API). */
  readonly target:
    | { readonly kind: 'cluster'; readonly cluster: string }
    | {
        readonly kind: 'invalid';
        readonly code: 'route.backend-invalid' | 'route.filter-invalid';
        readonly why: string;
      };
  readonly weight: number;
  /** Filters of this backendRef, run after it was picked. */
  readonly filters: readonly PlanFilter[];
}

export interface PlanMirror {
  readonly cluster: string;
  /** Share of the requests, as a fraction: 0 to 1. */
  readonly share: number;
}

export interface PlanRetry {
  /** Attempts after the first. */
  readonly attempts: number;
  readonly backoffMs: number;
  /** Statuses of upstream answers that are tried again. Connection errors always are. */
  readonly codes: readonly number[];
  /** Statuses of gRPC that are tried again, where they come before any message. */
  readonly grpcCodes?: readonly number[];
}

/**
 * What endpoints speak. `h2`: HTTP/2 by prior knowledge in clear text, by ALPN over TLS. `auto`: over TLS whichever of
 * both ALPN agrees on, for each connection; in clear text HTTP/1.1.
 */
export type UpstreamProtocol = 'http1' | 'h2' | 'auto';

/**
 * How to reach one port of one Service, or one Backend. Key: `Service/NS/NAME/PORT` or `Backend/NS/NAME`, with `+h2`
 * where a route needs HTTP/2 whatever the backend says of itself, `@GATEWAY` where that brings its certificate,
 * and `/tcp`, `/tls` or `/udp` for routes below HTTP; `/mesh` for what an east-west gateway passes on.
 */
export interface PlanCluster {
  readonly protocol: UpstreamProtocol;
  /** Carries whole connections or datagrams: `protocol` has no meaning. `tls`: they are encrypted already, by the client. */
  readonly stream?: 'tcp' | 'tls' | 'udp';
  /** Header with which each connection begins; only where `stream` is `tcp` or `tls`. */
  readonly proxyProtocol?: 'v1' | 'v2' | 'v2-crc32c';
  readonly endpoints: readonly PlanEndpoint[];
  readonly tls?: PlanClusterTls;
  readonly health?: PlanHealthCheck;
  readonly settings: PlanClusterSettings;
}

/** How endpoints are asked whether they are well. */
export type PlanHealthCheck = PlanHealthPace &
  (
    | { readonly kind: 'tcp' }
    | { readonly kind: 'http'; readonly path: string; readonly statuses: readonly number[] }
    | { readonly kind: 'grpc'; readonly service: string }
  );

export interface PlanHealthPace {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Answers in a row that change what is believed of an endpoint. */
  readonly unhealthyAfter: number;
  readonly healthyAfter: number;
}

export interface PlanEndpoint {
  /** IP address, or a DNS name that the proxy resolves in the background. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  /**
   * Which records of the name count. `srv`: those of a service, which say port, weight and priority of each instance, so
   * that those here have no meaning but for the priority, which comes first. Absent: both families of addresses.
   */
  readonly records?: 'a' | 'aaaa' | 'srv';
  /** Those with a greater number are used when too few of the others are well. Absent: 0. */
  readonly priority?: number;
  /** Zone that it is in: `eu/a`, the region before the slash, or `a`. */
  readonly zone?: string;
  /** Zones that it is for, instead of its own. */
  readonly forZones?: readonly string[];
  /** Spoken to in clear text although the cluster has `tls`: a workload without a sidecar. */
  readonly clear?: true;
}

export interface PlanClusterTls {
  /** SNI, and the name that the certificate must carry unless `subjectAltNames` says otherwise. */
  readonly serverName: string;
  /** PEM bundles; empty means the roots of the system. */
  readonly cas: readonly string[];
  /** Other trust domains, each with the bundles that are good for its SPIFFE IDs alone; `cas` say nothing of those. */
  readonly federated?: readonly { readonly trustDomain: string; readonly cas: readonly string[] }[];
  /** One of these must be in the certificate: DNS names or `spiffe://` URIs. */
  readonly subjectAltNames: readonly { readonly kind: 'dns' | 'uri'; readonly value: string }[];
  readonly policy: TlsPolicy;
  /** Our own certificate for the upstream. */
  readonly clientCertificate?: PlanSecretRef;
  /** `invalid`: the policy is broken; every request answers `upstream.tls-failed` rather than going out unverified. */
  readonly state: 'ok' | 'invalid';
}

export interface PlanClusterSettings {
  readonly connectMs: number;
  /** Longest silence while waiting for, or inside, an answer. 0 means none. */
  readonly idleMs: number;
  /** Connections kept open and unused, per endpoint and worker. */
  readonly idleConnectionsMax: number;
  /** How long an unused connection is kept. The proxy learns shorter ones from the upstream. */
  readonly keepAliveMs: number;
  /** Open connections per endpoint and worker. */
  readonly connectionsMax: number;
  /** Requests that may wait for a connection, per endpoint and worker. */
  readonly queueMax: number;
  readonly headerBytesMax: number;
  /** Attempts to reach another endpoint after a connection could not be made at all. */
  readonly connectRetries: number;
  /** Share of requests that may be second attempts, 0 to 1, over ten seconds. */
  readonly retryBudget: number;
  /** Absent: endpoints in the zone of the proxy are preferred, as long as 0.7 of them are well. */
  readonly locality?: PlanLocality;
  readonly http2: PlanClusterHttp2;
}

/** What is preferred of endpoints in several zones. */
export interface PlanLocality {
  /** `zone`: those of the same zone, then of the same region, then all others. `none`: all are equal. */
  readonly prefer: 'zone' | 'region' | 'none';
  /** Share of nearer endpoints that must be well, 0 to 1. When less are, as much as they lack goes to those farther away. */
  readonly healthyMin: number;
}

/** Connections of HTTP/2 to an upstream. */
export interface PlanClusterHttp2 {
  /** Requests at a time on one connection; the upstream may allow fewer. */
  readonly streamsMax: number;
  /** Silence of the upstream, while it owes something, after which it is asked whether it is there. 0 means never. */
  readonly pingIntervalMs: number;
  /** How long it may take to say so. */
  readonly pingTimeoutMs: number;
  /** How much of one answer may be on its way before we have passed it on. */
  readonly windowBytes: number;
}

/** The change from one plan to the next, by named part. Applied whole or not at all. */
export interface PlanDelta {
  /** Version that this delta starts from; undefined for a full plan. */
  readonly from: string | undefined;
  readonly to: string;
  readonly set: {
    readonly ports: Readonly<Record<string, PlanPort>>;
    readonly listeners: Readonly<Record<string, PlanListener>>;
    readonly routes: Readonly<Record<string, PlanRoute>>;
    readonly streams: Readonly<Record<string, PlanStream>>;
    readonly clusters: Readonly<Record<string, PlanCluster>>;
    readonly secrets: PlanSecrets;
  };
  readonly remove: {
    readonly ports: readonly string[];
    readonly listeners: readonly string[];
    readonly routes: readonly string[];
    readonly streams: readonly string[];
    readonly clusters: readonly string[];
    readonly secrets: readonly string[];
  };
}
