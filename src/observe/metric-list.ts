/**
 * The closed list of metrics. docs/reference/metrics.md is printed from here.
 *
 * Names and labels follow the OpenTelemetry semantic conventions in their
 * Prometheus form where there is one. No label value comes from a client:
 * methods are a known set, routes are rule names, hosts and paths do not appear.
 */

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'info';

export interface MetricDef {
  readonly type: MetricType;
  /** Unit as OpenMetrics names it; empty for a plain number. The name ends in it. */
  readonly unit: '' | 'seconds' | 'bytes' | 'ratio';
  readonly labels: readonly string[];
  /** Upper bounds of the buckets, ascending, without +Inf. Histograms only. */
  readonly buckets?: readonly number[];
  readonly help: string;
}

/** Bounds that the OpenTelemetry conventions advise for HTTP durations, in seconds. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] as const;

/** What the proxy serves: one row per question a dashboard asks about clients. */
const SERVER_METRICS = {
  http_server_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['http_request_method', 'http_response_status_code', 'http_route'],
    buckets: DURATION_BUCKETS,
    help: 'Time from the first byte of a request to the last byte of its answer.',
  },
  fourways_grpc_calls_total: {
    type: 'counter',
    unit: '',
    labels: ['rpc_method', 'grpc_status', 'http_route'],
    help: 'Calls of gRPC by their status; `rpc_method` is the method that the route names, or empty.',
  },
  http_server_active_requests: {
    type: 'gauge',
    unit: '',
    labels: ['port'],
    help: 'Requests that are running.',
  },
  fourways_request_body_bytes_total: {
    type: 'counter',
    unit: 'bytes',
    labels: ['http_route'],
    help: 'Bytes of request bodies received from clients.',
  },
  fourways_response_body_bytes_total: {
    type: 'counter',
    unit: 'bytes',
    labels: ['http_route'],
    help: 'Bytes of answer bodies sent to clients.',
  },
  fourways_faults_total: {
    type: 'counter',
    unit: '',
    labels: ['code', 'blame'],
    help: 'Requests and connections that failed, by fault code and by who has to act.',
  },
  fourways_filter_events_total: {
    type: 'counter',
    unit: '',
    labels: ['filter', 'event'],
    help: 'What filters counted.',
  },
  fourways_asks_open: {
    type: 'gauge',
    unit: '',
    labels: ['topic'],
    help: 'Questions about what it does now that a proxy is answering: `connections` of `fourways verify`, `requests` of `fourways tap`, `calls`.',
  },
  fourways_connections_open: {
    type: 'gauge',
    unit: '',
    labels: ['port'],
    help: 'Connections of clients that are open.',
  },
  fourways_connections_opened_total: {
    type: 'counter',
    unit: '',
    labels: ['port'],
    help: 'Connections of clients that were accepted.',
  },
  fourways_connections_refused_total: {
    type: 'counter',
    unit: '',
    labels: ['port'],
    help: 'Connections that were closed at once because connectionsMax was reached.',
  },
  fourways_tls_handshakes_total: {
    type: 'counter',
    unit: '',
    labels: ['port', 'kind'],
    help: 'TLS handshakes with clients that succeeded: full, or resumed from a ticket.',
  },
  fourways_tls_handshake_failures_total: {
    type: 'counter',
    unit: '',
    labels: ['port', 'reason'],
    help: 'TLS handshakes with clients that failed.',
  },
  fourways_http2_connection_errors_total: {
    type: 'counter',
    unit: '',
    labels: ['port', 'reason'],
    help: 'HTTP/2 connections of clients that were ended: by error code, or by what was overdone.',
  },
} as const satisfies Record<string, MetricDef>;

/** What is passed on below HTTP. */
const STREAM_METRICS = {
  fourways_streams_open: {
    type: 'gauge',
    unit: '',
    labels: ['route'],
    help: 'Connections (UDP: sessions) of a TLSRoute, TCPRoute or UDPRoute that are open.',
  },
  fourways_streams_opened_total: {
    type: 'counter',
    unit: '',
    labels: ['route'],
    help: 'Connections and sessions that a route below HTTP took.',
  },
  fourways_streams_ended_total: {
    type: 'counter',
    unit: '',
    labels: ['route', 'end'],
    help: 'How they ended: finished by both sides, cut by client or upstream, refused, at a limit, or with a drain.',
  },
  fourways_stream_bytes_total: {
    type: 'counter',
    unit: 'bytes',
    labels: ['route', 'direction'],
    help: 'Bytes from clients (in) and to them (out). Counted when a connection or session ends.',
  },
  fourways_udp_sessions_open: { type: 'gauge', unit: '', labels: ['port'], help: 'Sessions of UDP clients.' },
  fourways_udp_sessions_opened_total: {
    type: 'counter',
    unit: '',
    labels: ['port'],
    help: 'Sessions of UDP clients that were begun.',
  },
  fourways_udp_datagrams_total: {
    type: 'counter',
    unit: '',
    labels: ['port', 'direction'],
    help: 'Datagrams from clients (in) and to them (out).',
  },
  fourways_udp_datagrams_dropped_total: {
    type: 'counter',
    unit: '',
    labels: ['port', 'reason'],
    help: 'Datagrams that went nowhere.',
  },
  fourways_proxy_protocol_total: {
    type: 'counter',
    unit: '',
    labels: ['port', 'result'],
    help: 'Connections by what became of their PROXY protocol header: v1, v2, local, absent, or why it was refused.',
  },
} as const satisfies Record<string, MetricDef>;

/** What the proxy asks of upstreams. */
const CLIENT_METRICS = {
  http_client_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['cluster', 'status_class'],
    buckets: DURATION_BUCKETS,
    help: 'Time of one attempt at an endpoint, from the pick to the last byte of its answer. Class "none": no answer.',
  },
  fourways_upstream_connections_open: {
    type: 'gauge',
    unit: '',
    labels: ['cluster'],
    help: 'Connections to endpoints that are open, idle ones included.',
  },
  fourways_upstream_connections_idle: {
    type: 'gauge',
    unit: '',
    labels: ['cluster'],
    help: 'Connections to endpoints that are kept open and unused.',
  },
  fourways_upstream_connections_opened_total: {
    type: 'counter',
    unit: '',
    labels: ['cluster'],
    help: 'Connections to endpoints that were made.',
  },
  fourways_upstream_connections_reused_total: {
    type: 'counter',
    unit: '',
    labels: ['cluster'],
    help: 'Attempts that took a connection from the pool.',
  },
  fourways_upstream_connections_failed_total: {
    type: 'counter',
    unit: '',
    labels: ['cluster'],
    help: 'Connections to endpoints that could not be made: refused, timed out, not trusted.',
  },
  fourways_upstream_queue_waiting: {
    type: 'gauge',
    unit: '',
    labels: ['cluster'],
    help: 'Requests that wait for a connection.',
  },
  fourways_upstream_endpoints_unhealthy: {
    type: 'gauge',
    unit: '',
    labels: ['cluster'],
    help: 'Endpoints that health checks found unhealthy, summed over workers: each asks for itself.',
  },
  fourways_upstream_panic: {
    type: 'gauge',
    unit: '',
    labels: ['cluster'],
    help: 'Workers for which every endpoint of the cluster is unhealthy, so that traffic goes to all of them.',
  },
  fourways_upstream_retries_total: {
    type: 'counter',
    unit: '',
    labels: ['cluster'],
    help: 'Second and later attempts that the retry policy of a route or cluster asked for.',
  },
  fourways_upstream_retries_withheld_total: {
    type: 'counter',
    unit: '',
    labels: ['cluster'],
    help: 'Attempts that a retry policy asked for and that were not made: the budget of the cluster was used up, or the request was itself caused by a retry of another proxy.',
  },
  fourways_upstream_replays_total: {
    type: 'counter',
    unit: '',
    labels: ['cluster'],
    help: 'Requests sent again because a reused connection was closed before any byte was processed.',
  },
  fourways_mirrors_total: {
    type: 'counter',
    unit: '',
    labels: ['cluster'],
    help: 'Copies of requests that were sent to this cluster.',
  },
} as const satisfies Record<string, MetricDef>;

/** What a control plane knows of its mesh. */
const MESH_METRICS = {
  fourways_push_streams: {
    type: 'gauge',
    unit: '',
    labels: [],
    help: 'Streams on which proxies get their plans that are open.',
  },
  fourways_push_streams_opened_total: {
    type: 'counter',
    unit: '',
    labels: [],
    help: 'Streams that proxies have opened and that were let in.',
  },
  fourways_push_streams_ended_total: {
    type: 'counter',
    unit: '',
    labels: ['code'],
    help: 'Streams that have ended, and connections, joins and renewals that were refused, by fault code.',
  },
  fourways_mesh_proxies: {
    type: 'gauge',
    unit: '',
    labels: ['state'],
    help: 'Proxies that are connected: "current", "behind" what they should serve, or having "refused" it.',
  },
  fourways_mesh_workloads: {
    type: 'gauge',
    unit: '',
    labels: [],
    help: 'Workloads that have registered themselves.',
  },
  fourways_mesh_rotation_phase: {
    type: 'gauge',
    unit: '',
    labels: ['phase'],
    help: '1 for the phase in which the rotation of root or issuer is, 0 for all others.',
  },
  fourways_mesh_certificates: {
    type: 'gauge',
    unit: '',
    labels: ['alarm'],
    help: 'Certificates of the authority and of connected proxies: "late" when half of their life is over and they are not renewed.',
  },
  fourways_mesh_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['what'],
    help: 'When the first certificate of a kind ends, in seconds since the Unix epoch; 0 where there is none.',
  },
} as const satisfies Record<string, MetricDef>;

/** What an operator asks about the process itself. */
const PROCESS_METRICS = {
  fourways_build_info: { type: 'info', unit: '', labels: ['version', 'node'], help: 'What is running.' },
  fourways_config_version_info: {
    type: 'info',
    unit: '',
    labels: ['version'],
    help: 'Version of the plan that every worker has applied: the first 12 hex digits.',
  },
  fourways_config_reloads_total: {
    type: 'counter',
    unit: '',
    labels: ['result'],
    help: 'Changes of the configuration: applied, unchanged, or refused.',
  },
  fourways_config_last_reload_successful: {
    type: 'gauge',
    unit: '',
    labels: [],
    help: '1 when the newest configuration is the one that is served, 0 when it was refused.',
  },
  fourways_config_last_applied_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'When a plan was last applied on every worker, in seconds since the Unix epoch.',
  },
  fourways_config_problems: {
    type: 'gauge',
    unit: '',
    labels: ['level'],
    help: 'Problems in the configuration that was read last.',
  },
  fourways_config_apply_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: [],
    buckets: DURATION_BUCKETS,
    help: 'Time from a change that was seen to its plan being applied on every worker.',
  },
  fourways_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['secret'],
    help: 'When a certificate that is served ends, in seconds since the Unix epoch.',
  },
  fourways_acme_orders_total: {
    type: 'counter',
    unit: '',
    labels: ['issuer', 'result'],
    help: 'Orders of certificates that ended: issued, or failed.',
  },
  fourways_acme_leader: {
    type: 'gauge',
    unit: '',
    labels: [],
    help: '1 when this process is the one that orders certificates.',
  },
  fourways_store_open: {
    type: 'gauge',
    unit: '',
    labels: [],
    help: '1 when the store of durable state can be asked, 0 when it is away. Without state that is durable: 0.',
  },
  fourways_workers_alive: { type: 'gauge', unit: '', labels: [], help: 'Workers that are running.' },
  fourways_worker_restarts_total: {
    type: 'counter',
    unit: '',
    labels: [],
    help: 'Workers that died and were replaced.',
  },
  fourways_accesslog_lines_total: { type: 'counter', unit: '', labels: [], help: 'Lines of the access log written.' },
  fourways_accesslog_dropped_total: {
    type: 'counter',
    unit: '',
    labels: [],
    help: 'Lines of the access log lost because their reader was too slow.',
  },
  fourways_dns_lookups_total: {
    type: 'counter',
    unit: '',
    labels: ['result'],
    help: 'Lookups of names of upstreams: ok, or failed.',
  },
  process_cpu_seconds_total: { type: 'counter', unit: 'seconds', labels: [], help: 'User and system CPU time.' },
  process_resident_memory_bytes: { type: 'gauge', unit: 'bytes', labels: [], help: 'Resident memory.' },
  process_start_time_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'Start of the process, in seconds since the Unix epoch.',
  },
  nodejs_eventloop_delay_p50_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['worker'],
    help: 'How late the event loop was in the last seconds: median.',
  },
  nodejs_eventloop_delay_p99_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['worker'],
    help: 'How late the event loop was in the last seconds: 99th percentile.',
  },
  nodejs_eventloop_delay_max_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['worker'],
    help: 'How late the event loop was in the last seconds: the worst.',
  },
  nodejs_eventloop_utilization_ratio: {
    type: 'gauge',
    unit: 'ratio',
    labels: ['worker'],
    help: 'Share of the time in which the event loop was busy, 0 to 1.',
  },
  v8js_memory_heap_used_bytes: {
    type: 'gauge',
    unit: 'bytes',
    labels: ['worker'],
    help: 'Memory that JavaScript objects take.',
  },
} as const satisfies Record<string, MetricDef>;

export const METRICS = { ...SERVER_METRICS, ...STREAM_METRICS, ...CLIENT_METRICS, ...MESH_METRICS, ...PROCESS_METRICS };

type Metrics = typeof METRICS;

export type MetricName = keyof Metrics;

/** Names of all metrics of one type. */
export type MetricOf<T extends MetricType> = {
  [N in MetricName]: Metrics[N]['type'] extends T ? N : never;
}[MetricName];

/** Values for the labels of a metric, in the order of its definition. */
export type LabelsOf<N extends MetricName> = StringsLike<Metrics[N]['labels']>;

/** A tuple of strings, as long as `T`. */
type StringsLike<T extends readonly unknown[]> = { readonly [I in keyof T]: string };

export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** The row of a metric, for code that takes any. */
export function metricDef(name: MetricName): MetricDef {
  return METRICS[name];
}
