/** Bad documents and exactly what is said of each: where, what is, what should be. */
import { type Row, testProblems } from './testing/problems.ts';

const GATEWAY_V1 = 'apiVersion: gateway.networking.k8s.io/v1\n';
const ROUTE = `${GATEWAY_V1}kind: HTTPRoute\nmetadata: {name: web, namespace: shop}\n`;
const OURS = 'apiVersion: fourways.io/v1alpha1\n';

const DOCUMENT: readonly Row[] = [
  [
    'broken YAML',
    'a: [1, 2\nb: 3\n',
    'a.yaml:2:1: error: Cannot read YAML: flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  [
    'a field twice',
    'kind: A\nspec: {}\nkind: B\n',
    'a.yaml:3:1: error: Duplicate field "kind": it stands above already',
  ],
  ['a tag', 'a: !!binary x\n', 'a.yaml:1:4: error: Cannot read YAML: unresolved tag'],
  ['text', 'hello\n', 'a.yaml:1:1: error: Expected an object with apiVersion, kind and metadata, got a string'],
  [
    'a list of text',
    '- hello\n',
    'a.yaml:1:3: error: Expected an object with apiVersion, kind and metadata, got a string',
  ],
  ['no kind', GATEWAY_V1, 'a.yaml:1:1: error: Missing field "kind": expected a kind such as "HTTPRoute" (/kind)'],
  [
    'no apiVersion',
    'kind: HTTPRoute\n',
    'a.yaml:1:1: error: Missing field "apiVersion": expected "gateway.networking.k8s.io/v1" (/apiVersion)',
  ],
  [
    'a kind that does not exist',
    `${GATEWAY_V1}kind: HttpRoute\n`,
    'a.yaml:2:1: error: Unknown kind "HttpRoute" of group gateway.networking.k8s.io: did you mean "HTTPRoute" (/kind)',
  ],
  [
    'a kind of ours that does not exist',
    `${OURS}kind: Mash\n`,
    'a.yaml:2:1: error: Unknown kind "Mash" of group fourways.io: did you mean "Mesh" (/kind)',
  ],
  [
    'a version that does not exist',
    'apiVersion: gateway.networking.k8s.io/v2\nkind: Gateway\nmetadata: {name: a}\n',
    'a.yaml:1:1: error: Expected apiVersion "gateway.networking.k8s.io/v1" or "gateway.networking.k8s.io/v1beta1" for Gateway, got "gateway.networking.k8s.io/v2" (Gateway default/a, /apiVersion)',
  ],
  [
    'a group left out',
    'apiVersion: v1\nkind: HTTPRoute\n',
    'a.yaml:1:1: error: Expected apiVersion "gateway.networking.k8s.io/v1" for HTTPRoute, got "v1" (/apiVersion)',
  ],
  [
    'a group misspelt',
    'apiVersion: gateway.networking.k8s.oi/v1\nkind: HTTPRoute\n',
    'a.yaml:1:1: error: Expected apiVersion "gateway.networking.k8s.io/v1" for HTTPRoute, got "gateway.networking.k8s.oi/v1" (/apiVersion)',
  ],
  [
    'no name',
    `${GATEWAY_V1}kind: HTTPRoute\nmetadata: {}\nspec: {}\n`,
    'a.yaml:3:1: error: Missing field "name": expected a name of lower-case letters, digits, "-" and "." (/metadata/name)',
  ],
  [
    'a name that cannot be',
    `${GATEWAY_V1}kind: HTTPRoute\nmetadata: {name: Web}\nspec: {}\n`,
    'a.yaml:3:12: error: Expected a name of lower-case letters, digits, "-" and ".", got "Web" (HTTPRoute default/Web, /metadata/name)',
  ],
  [
    'a label that is no text',
    `${GATEWAY_V1}kind: HTTPRoute\nmetadata: {name: a, labels: {tier: 1}}\nspec: {}\n`,
    'a.yaml:3:30: error: Expected a string, got 1: put it in quotes (HTTPRoute default/a, /metadata/labels/tier)',
  ],
  [
    'labels misspelt',
    `${GATEWAY_V1}kind: HTTPRoute\nmetadata: {name: a, label: {}}\nspec: {}\n`,
    'a.yaml:3:21: error: Unknown field "label": did you mean "labels" (HTTPRoute default/a, /metadata/label)',
  ],
  [
    'a time that is none',
    `${GATEWAY_V1}kind: HTTPRoute\nmetadata: {name: a, creationTimestamp: 2026-13-01T00:00:00Z}\nspec: {}\n`,
    'a.yaml:3:21: error: Expected a time such as "2026-11-01T12:00:00Z", got "2026-13-01T00:00:00Z" (HTTPRoute default/a, /metadata/creationTimestamp)',
  ],
  ['no spec', ROUTE, 'a.yaml:1:1: error: Missing field "spec": expected an object (HTTPRoute shop/web, /spec)'],
  [
    'spec misspelt',
    `${ROUTE}specs: {}\n`,
    'a.yaml:4:1: error: Unknown field "specs": did you mean "spec" (HTTPRoute shop/web, /specs)',
  ],
  [
    'a namespace where there is none',
    `${GATEWAY_V1}kind: GatewayClass\nmetadata: {name: a, namespace: b}\nspec: {controllerName: a.test/b}\n`,
    'a.yaml:3:21: warning: Namespace "b" has no effect: GatewayClass is not in a namespace (GatewayClass a, /metadata/namespace)',
  ],
];

testProblems('a.yaml', DOCUMENT);

const CORE: readonly Row[] = [
  [
    'a Secret that is not base64',
    'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  tls.key: hunter2!\n',
    'a.yaml:5:3: error: Expected base64 in "tls.key", got other text: encode it, or move it to stringData (Secret default/s, /data/tls.key)',
  ],
  [
    'a Secret of a number',
    'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {pin: 1234}\n',
    'a.yaml:4:14: error: Expected a string, got a number (hidden: it is a secret): put it in quotes (Secret default/s, /stringData/pin)',
  ],
  [
    'a Service without a port number',
    'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{name: a}]}\n',
    'a.yaml:4:16: error: Missing field "port": expected a whole number from 1 to 65535 (Service default/s, /spec/ports/0/port)',
  ],
  [
    'a slice without a type',
    'apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\n',
    'a.yaml:1:1: error: Missing field "addressType": expected one of "IPv4", "IPv6", "FQDN" (EndpointSlice default/s, /addressType)',
  ],
  [
    'a ConfigMap of a number',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {a: 1}\n',
    'a.yaml:4:8: error: Expected a string, got 1: put it in quotes (ConfigMap default/s, /data/a)',
  ],
  [
    'a later route with a parent twice',
    `${GATEWAY_V1}kind: GRPCRoute\nmetadata: {name: g}\nspec: {parentRefs: [{name: a}, {name: a}], rules: []}\n`,
    'a.yaml:4:32: error: Duplicate reference to Gateway "a": item 0 is the same (GRPCRoute default/g, /spec/parentRefs/1)',
  ],
];

testProblems('a.yaml', CORE);

const MESH = `${OURS}kind: Mesh\nmetadata: {name: m}\n`;
const WORKLOAD = `${OURS}kind: Workload\nmetadata: {name: w}\n`;

const MESHES: readonly Row[] = [
  [
    'a mesh with a trust domain in capitals',
    `${MESH}spec: {trustDomain: Shop}\n`,
    'a.yaml:4:8: error: Expected a trust domain such as "cluster.local", got "Shop" (Mesh m, /spec/trustDomain)',
  ],
  [
    'a certificate that is good for too short',
    `${MESH}spec: {leafLifetime: 9s}\n`,
    'a.yaml:4:8: error: Expected from 10s to 2160h, got "9s" (Mesh m, /spec/leafLifetime)',
  ],
  [
    'a certificate that is good for too long',
    `${MESH}spec: {leafLifetime: 2161h}\n`,
    'a.yaml:4:8: error: Expected from 10s to 2160h, got "2161h" (Mesh m, /spec/leafLifetime)',
  ],
  [
    'an override of a port of nothing',
    `${MESH}spec: {overrides: [{namespace: a, port: 80, mtls: strict}]}\n`,
    'a.yaml:4:35: error: Missing field "service": a port is one of a Service (Mesh m, /spec/overrides/0/port)',
  ],
  [
    'an override that says nothing',
    `${MESH}spec: {overrides: [{namespace: a}]}\n`,
    'a.yaml:4:20: error: Override without effect: set mtls or authorization (Mesh m, /spec/overrides/0)',
  ],
  [
    'two overrides for one place',
    `${MESH}spec: {overrides: [{namespace: a, mtls: strict}, {namespace: a, authorization: deny}]}\n`,
    'a.yaml:4:50: error: Duplicate override: item 0 is for the same (Mesh m, /spec/overrides/1)',
  ],
  [
    'a federation with itself',
    `${MESH}spec: {federation: [{trustDomain: cluster.local, caCertificates: pem}]}\n`,
    'a.yaml:4:22: error: Expected another trust domain than that of the mesh, got "cluster.local" (Mesh m, /spec/federation/0/trustDomain)',
  ],
  [
    'a peer without a gateway',
    `${MESH}spec: {peers: [{name: west, gateways: [], services: [{namespace: shop}]}]}\n`,
    'a.yaml:4:29: error: Expected at least 1 item, got 0 (Mesh m, /spec/peers/0/gateways)',
  ],
  [
    'two peers of one name',
    `${MESH}spec: {peers: [{name: west, gateways: [{address: a}], services: [{namespace: shop}]}, {name: west, gateways: [{address: b}], services: [{namespace: shop}]}]}\n`,
    'a.yaml:4:88: error: Duplicate name "west": item 0 has it already (Mesh m, /spec/peers/1/name)',
  ],
  [
    'a peer of a trust domain that nothing vouches for',
    `${MESH}spec: {peers: [{name: west, trustDomain: west.test, gateways: [{address: a}], services: [{namespace: shop}]}]}\n`,
    'a.yaml:4:29: error: Trust domain "west.test" is neither that of the mesh nor federated: nothing vouches for its workloads (Mesh m, /spec/peers/0/trustDomain)',
  ],
  [
    'a peer that shares nothing, behind one gateway that is named twice',
    `${MESH}spec: {peers: [{name: west, gateways: [{address: a}, {address: a, port: 15443}], services: []}]}\n`,
    'a.yaml:4:54: error: Duplicate address and port "a" and 15443: item 0 has it already (Mesh m, /spec/peers/0/gateways/1)',
    'a.yaml:4:82: error: Expected at least 1 item, got 0 (Mesh m, /spec/peers/0/services)',
  ],
  [
    'a gateway with its port in its address',
    `${MESH}spec: {peers: [{name: west, gateways: [{address: "a:443"}], services: [{namespace: shop}]}]}\n`,
    'a.yaml:4:41: error: Expected an IP address or a DNS name, got "a:443": the number of a port stands in "port" (Mesh m, /spec/peers/0/gateways/0/address)',
  ],
  [
    'an identity that is none',
    `${MESH}spec: {denied: [web]}\n`,
    'a.yaml:4:17: error: Expected a SPIFFE ID such as "spiffe://cluster.local/ns/shop/sa/web", got "web" (Mesh m, /spec/denied/0)',
  ],
  [
    'a workload at a name',
    `${WORKLOAD}spec: {service: a, address: a.test, ports: {http: 80}}\n`,
    'a.yaml:4:20: error: Expected an IP address, got "a.test" (Workload default/w, /spec/address)',
  ],
  [
    'a workload without a port',
    `${WORKLOAD}spec: {service: a, address: "::1", ports: {}}\n`,
    'a.yaml:4:36: error: Expected at least 1 field, got 0 (Workload default/w, /spec/ports)',
  ],
  [
    'a workload whose sidecar has its port',
    `${WORKLOAD}spec: {service: a, address: "::1", ports: {http: 80}, proxyPort: 80}\n`,
    'a.yaml:4:44: error: Expected another port than that of the sidecar, got 80 (Workload default/w, /spec/ports/http)',
  ],
];

testProblems('a.yaml', MESHES);

const JSON_ROWS: readonly Row[] = [
  [
    'a comma too many',
    '{"kind": "A",\n}',
    'a.json:2:1: error: Cannot read JSON: expected a name in double quotes, got "}"',
  ],
  [
    'an end too early',
    '{"kind": "A"',
    'a.json:1:13: error: Cannot read JSON: expected "," or "}", got the end of the file',
  ],
  ['a comment', '// a\n{}', 'a.json:1:1: error: Cannot read JSON: expected a value, got "/"'],
  [
    'a field twice',
    '{"kind": "A",\n "kind": "B"}',
    'a.json:2:2: error: Duplicate field "kind": it stands above already',
  ],
  ['text', '"a"', 'a.json:1:1: error: Expected an object with apiVersion, kind and metadata, got a string'],
  [
    'a field of the wrong type, between tabs',
    '{\n\t"apiVersion": "v1",\r\n\t"kind": "ConfigMap", "metadata": {"name": "a"},\n\t"data": {"a": 1e1}}',
    'a.json:4:11: error: Expected a string, got 10: put it in quotes (ConfigMap default/a, /data/a)',
  ],
];

testProblems('a.json', JSON_ROWS);
