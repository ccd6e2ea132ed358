/** Bad policies and backends and exactly what is said of each. */
import { type Row, testProblems } from '../testing/problems.ts';

const GATEWAY_V1 = 'apiVersion: gateway.networking.k8s.io/v1\n';
const OURS = 'apiVersion: fourways.io/v1alpha1\n';
const POLICY = `${OURS}kind: Policy\nmetadata: {name: p}\nspec:\n  targetRefs: `;
const TLS_POLICY = `${GATEWAY_V1}kind: BackendTLSPolicy\nmetadata: {name: a}\nspec:\n  targetRefs: [{group: "", kind: Service, name: b}]\n  validation: `;

const POLICIES: readonly Row[] = [
  [
    'no authority',
    `${TLS_POLICY}{hostname: b.test}\n`,
    'a.yaml:6:3: error: Missing field "caCertificateRefs": set it, or set wellKnownCACertificates to "System" (BackendTLSPolicy default/a, /spec/validation/caCertificateRefs)',
  ],
  [
    'two authorities',
    `${TLS_POLICY}{hostname: b.test, wellKnownCACertificates: System, caCertificateRefs: [{group: "", kind: ConfigMap, name: c}]}\n`,
    'a.yaml:6:34: error: Cannot trust both caCertificateRefs and wellKnownCACertificates: remove one of them (BackendTLSPolicy default/a, /spec/validation/wellKnownCACertificates)',
  ],
  [
    'a name of the wrong type',
    `${TLS_POLICY}{hostname: b.test, wellKnownCACertificates: System, subjectAltNames: [{type: DNS, hostname: a}]}\n`,
    'a.yaml:6:86: error: Expected one of "Hostname", "URI", got "DNS" (BackendTLSPolicy default/a, /spec/validation/subjectAltNames/0/type)',
  ],
  [
    'a target that does not exist',
    `${POLICY}[{kind: Route, name: x}]\n`,
    'a.yaml:5:17: error: Expected one of "Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "Service", got "Route" (Policy default/p, /spec/targetRefs/0/kind)',
  ],
  [
    'a target of another group',
    `${POLICY}[{group: "", kind: HTTPRoute, name: x}]\n  filters: {cors: {}}\n`,
    'a.yaml:5:17: error: Expected "gateway.networking.k8s.io" with kind HTTPRoute, got "" (Policy default/p, /spec/targetRefs/0/group)',
  ],
  [
    'no target',
    `${POLICY}[]\n  filters: {cors: {}}\n`,
    'a.yaml:5:3: error: Expected at least 1 item, got 0 (Policy default/p, /spec/targetRefs)',
  ],
  [
    'an audit of what decides nothing',
    `${POLICY}[{kind: Gateway, name: g}]\n  mode: audit\n  filters: {headers: {}}\n`,
    'a.yaml:7:13: error: Expected a filter that decides, got "headers": with mode "audit" it would do nothing (Policy default/p, /spec/filters/headers)',
  ],
  [
    'authentication without a filter that authenticates',
    `${POLICY}[{kind: Gateway, name: g}]\n  authentication: {require: any}\n  filters: {headers: {}}\n`,
    'a.yaml:6:3: error: Policy has no filter that authenticates: expected one in filters (Policy default/p, /spec/authentication)',
  ],
  [
    'what a filter itself finds wrong, at its place',
    `${POLICY}[{kind: Gateway, name: g}]\n  filters: {authorize: {rules: [{when: 'request.methd == "GET"'}]}}\n`,
    'a.yaml:6:34: error: No such key: methd; "request" has id, method, scheme, host, path, query, headers (at character 9: methd) (Policy default/p, /spec/filters/authorize/rules/0/when)',
  ],
  [
    'nothing to do',
    `${POLICY}[{kind: HTTPRoute, name: x}]\n`,
    'a.yaml:4:1: error: Policy without effect: set filters, listener, grpc or tunnel (Policy default/p, /spec)',
  ],
  [
    'settings of gRPC for what is no GRPCRoute',
    `${POLICY}[{kind: HTTPRoute, name: x}]\n  grpc: {timeout: 1s}\n`,
    'a.yaml:5:17: error: Expected a GRPCRoute, got HTTPRoute: settings of gRPC are for calls that a GRPCRoute takes (Policy default/p, /spec/targetRefs/0/kind)',
  ],
  [
    'a status of gRPC that does not exist',
    `${POLICY}[{kind: GRPCRoute, name: x}]\n  grpc: {retry: {codes: [UNAVAILIBLE]}}\n`,
    'a.yaml:6:26: error: Expected one of "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", …, got "UNAVAILIBLE": did you mean "UNAVAILABLE" (Policy default/p, /spec/grpc/retry/codes/0)',
  ],
  [
    'a filter of ours that does not exist',
    `${POLICY}[{kind: HTTPRoute, name: x}]\n  filters: {redirct: {}}\n`,
    'a.yaml:6:13: error: Unknown field "redirct": did you mean "redirect" (Policy default/p, /spec/filters/redirct)',
  ],
  [
    'a filter configured wrongly',
    `${POLICY}[{kind: HTTPRoute, name: x}]\n  filters:\n    cors: {maxAge: 0}\n`,
    'a.yaml:7:12: error: Expected a whole number from 1 to 2147483647, got 0 (Policy default/p, /spec/filters/cors/maxAge)',
  ],
  [
    'limits of tunnels for a Service',
    `${POLICY}[{kind: Service, name: x}]\n  tunnel: {idle: 1m}\n`,
    'a.yaml:5:17: error: Expected a Gateway, ListenerSet, HTTPRoute, TCPRoute or TLSRoute, got Service: limits of tunnels are for routes that carry them (Policy default/p, /spec/targetRefs/0/kind)',
  ],
  [
    'filters for a TCPRoute',
    `${POLICY}[{kind: TCPRoute, name: x}]\n  filters: {headers: {request: {remove: [a]}}}\n`,
    'a.yaml:5:17: error: Expected no filters for a TCPRoute: nothing is read of what passes (Policy default/p, /spec/targetRefs/0/kind)',
  ],
  [
    'a limit of tunnels that is no duration',
    `${POLICY}[{kind: HTTPRoute, name: x}]\n  tunnel: {idle: 60}\n`,
    'a.yaml:6:12: error: Expected a duration such as "10s", "1m30s" or "500ms", got 60 (Policy default/p, /spec/tunnel/idle)',
  ],
  [
    'settings of a listener for a route',
    `${POLICY}[{kind: HTTPRoute, name: x}]\n  listener: {via: false}\n`,
    'a.yaml:5:17: error: Expected a Gateway or ListenerSet, got HTTPRoute: settings of a listener need a target that has listeners (Policy default/p, /spec/targetRefs/0/kind)',
  ],
  [
    'settings that cannot be',
    `${POLICY}[{kind: Gateway, name: x}]\n  listener:\n    limits: {headerBytesMax: 8k}\n    timeouts: {haed: 1s}\n    path: {backslash: keep}\n`,
    'a.yaml:7:14: error: Expected a size such as 8192, "8Ki" or "1Mi", got "8k" (Policy default/p, /spec/listener/limits/headerBytesMax)',
    'a.yaml:8:16: error: Unknown field "haed": did you mean "head" (Policy default/p, /spec/listener/timeouts/haed)',
    'a.yaml:9:12: error: Expected one of "refuse", "slash", got "keep" (Policy default/p, /spec/listener/path/backslash)',
  ],
  [
    'a range that cannot be',
    `${POLICY}[{kind: Gateway, name: x}]\n  listener: {trustedHops: {count: 1, cidrs: [10.0.0.0/33, 10.0.0.0/8]}}\n`,
    'a.yaml:6:46: error: Expected a range such as "10.0.0.0/8", got "10.0.0.0/33" (Policy default/p, /spec/listener/trustedHops/cidrs/0)',
  ],
  [
    'a named port of a Backend',
    `${OURS}kind: BackendPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{kind: Backend, name: x, sectionName: a}]\n  connectTimeout: 1s\n`,
    'a.yaml:5:41: error: Expected no sectionName with kind Backend: it has no named ports (BackendPolicy default/p, /spec/targetRefs/0/sectionName)',
  ],
  [
    'an address that cannot be',
    `${OURS}kind: Backend\nmetadata: {name: b}\nspec:\n  endpoints: [{address: 10.0.0.256, port: 80}, {address: "http://a", port: 80}]\n`,
    'a.yaml:5:16: error: Expected an IP address or a DNS name, got "10.0.0.256" (Backend default/b, /spec/endpoints/0/address)',
    'a.yaml:5:49: error: Expected an IP address or a DNS name, got "http://a" (Backend default/b, /spec/endpoints/1/address)',
  ],
  [
    'TLS without a name',
    `${OURS}kind: Backend\nmetadata: {name: b}\nspec:\n  endpoints: [{address: 10.0.0.1, port: 80}]\n  tls: {}\n`,
    'a.yaml:6:3: error: Missing field "serverName": the endpoints have no single DNS name that a certificate could carry (Backend default/b, /spec/tls/serverName)',
  ],
];

testProblems('a.yaml', POLICIES);
