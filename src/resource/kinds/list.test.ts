/** Good manifests of every kind, and what they are read as. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonSchemaOf } from '../../schema/schema.ts';
import { readManifests } from '../read.ts';
import { describe, keyOf, type Resource, type ResourceKind, type ResourceOf } from '../resource.ts';
import { writeManifests } from '../write.ts';
import { KINDS } from './list.ts';

function readOne(text: string): Resource {
  const { documents, problems } = readManifests(text, 'a.yaml');
  assert.deepEqual(problems, []);
  const resource = documents[0]?.resource;
  assert.ok(resource !== undefined);
  assert.equal(documents[0]!.key, keyOf(resource));
  return resource;
}

function read<K extends ResourceKind>(kind: K, text: string): ResourceOf<K> {
  const resource = readOne(text);
  assert.equal(resource.kind, kind);
  return resource as ResourceOf<K>;
}

const V1 = 'apiVersion: gateway.networking.k8s.io/v1';

const GOOD: Readonly<Record<ResourceKind, string>> = {
  AcmeIssuer: `apiVersion: fourways.io/v1alpha1
kind: AcmeIssuer
metadata: {name: authority, namespace: shop}
spec:
  directory: https://acme.test:14000/dir
  email: ops@shop.test
  termsAgreed: true
  challenges: [tls-alpn-01, http-01]
  externalAccount: {keyId: kid-1, secretRef: {name: binding}}
  caCertificateRefs: [{kind: ConfigMap, name: ca}]
  keyType: rsa-2048
  renewBefore: 720h
`,
  Mesh: `apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: {name: mesh}
spec:
  trustDomain: shop.test
  mtls: permissive
  authorization: deny
  defaultProtocol: tcp
  leafLifetime: 12h
  overrides: [{namespace: shop, service: orders, port: 80, mtls: strict}, {namespace: shop, authorization: allow}]
  federation: [{trustDomain: other.test, caCertificates: pem}]
  peers: [{name: west, trustDomain: other.test, gateways: [{address: 198.51.100.1, port: 443}], services: [{namespace: shop, name: orders, accounts: [seller]}], mode: spread}]
  denied: ["spiffe://shop.test/ns/shop/sa/old"]
`,
  Workload: `apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: {name: orders-1, namespace: shop, labels: {app: orders}}
spec: {service: orders, account: seller, address: "::1", ports: {http: 8080}, proxyPort: 15008, zone: a, weight: 3, health: draining}
`,
  GatewayClass: `${V1}\nkind: GatewayClass\nmetadata: {name: fourways}\nspec: {controllerName: fourways.io/gateway-controller}\n`,
  Gateway: `${V1}
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: fourways
  addresses: [{}, {type: IPAddress, value: "::1"}, {type: Hostname, value: "*.a.test"}, {type: a.test/b, value: c}]
  allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}
  infrastructure: {labels: {a.test/b: c}, annotations: {d: ""}, parametersRef: {group: "", kind: ConfigMap, name: e}}
  tls:
    backend: {clientCertificateRef: {name: me}}
    frontend:
      default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}
      perPort: [{port: 8443, tls: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}], mode: AllowInsecureFallback}}}]
  defaultScope: All
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: "*.shop.test"}
  - name: https
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: web}], options: {a.test/b: c}}
    allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}
  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}
  - {name: own, port: 81, protocol: a.test/own}
`,
  ListenerSet: `${V1}\nkind: ListenerSet\nmetadata: {name: more}\nspec:\n  parentRef: {name: edge}\n  listeners: [{name: a, port: 81, protocol: HTTP}]\n`,
  HTTPRoute: `${V1}
kind: HTTPRoute
metadata: {name: web, namespace: shop, generation: 3, creationTimestamp: 2026-11-01T12:00:00Z, uid: x}
spec:
  parentRefs: [{name: edge}, {name: more, kind: ListenerSet, sectionName: a, port: 81}]
  useDefaultGateways: All
  hostnames: [shop.test, "*.shop.test"]
  rules:
  - name: first
    matches:
    - path: {type: Exact, value: /a%20b}
      headers: [{name: X-Version, value: "2"}, {type: RegularExpression, name: x-b, value: "b.*"}]
      queryParams: [{name: q, value: " "}]
      method: GET
    - path: {type: RegularExpression, value: "/a//(b|c)#"}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: a, value: "b c"}], add: [{name: d, value: e}], remove: [f]}
    - {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}, fraction: {numerator: 1}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}, percent: 5}}
    - type: CORS
      cors: {allowOrigins: ["https://*.a.test:8443"], allowMethods: ["*"], allowCredentials: true}
    - {type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: m, port: 80}, grpc: {}}}
    - {type: ExtensionRef, extensionRef: {group: a.test, kind: B, name: c}}
    backendRefs:
    - {name: v1, port: 8080, weight: 9, filters: [{type: URLRewrite, urlRewrite: {hostname: b.test}}]}
    - {name: other, group: fourways.io, kind: Backend}
    timeouts: {request: 0s, backendRequest: 2s}
    retry: {codes: [500, 503], attempts: 2, backoff: 100ms}
    sessionPersistence: {sessionName: s, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}
  - matches: [{path: {value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {scheme: https, path: {type: ReplacePrefixMatch, replacePrefixMatch: ""}, port: 443}
`,
  ReferenceGrant: `apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g}\nspec:\n  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]\n  to: [{group: "", kind: Service, name: web}]\n`,
  BackendTLSPolicy: `${V1}\nkind: BackendTLSPolicy\nmetadata: {name: t}\nspec:\n  targetRefs: [{group: "", kind: Service, name: web, sectionName: https}]\n  validation:\n    hostname: web.test\n    caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]\n    subjectAltNames: [{type: URI, uri: "spiffe://a/b"}, {type: Hostname, hostname: "*.b.test"}]\n`,
  GRPCRoute: `${V1}
kind: GRPCRoute
metadata: {name: g}
spec:
  parentRefs: [{name: edge}]
  hostnames: [g.test]
  rules:
  - name: first
    matches:
    - {method: {service: .shop.v1.Cart, method: Add_1}, headers: [{name: x-a, value: b}]}
    - {method: {type: RegularExpression, service: "[a-z.]+", method: ".*"}}
    - {}
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [a]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}, percent: 5}}
    - {type: ExtensionRef, extensionRef: {group: a.test, kind: B, name: c}}
    backendRefs:
    - {name: v1, port: 8080, weight: 9, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [a]}}]}
    sessionPersistence: {sessionName: s}
`,
  TLSRoute: `apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TLSRoute\nmetadata: {name: t}\nspec: {parentRefs: [{name: edge}], hostnames: [a.test], rules: [{backendRefs: [{name: b, port: 1}]}]}\n`,
  TCPRoute: `apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute\nmetadata: {name: t}\nspec: {rules: [{backendRefs: [{name: b, port: 1}]}]}\n`,
  UDPRoute: `${V1}\nkind: UDPRoute\nmetadata: {name: u}\nspec: {rules: [{backendRefs: [{name: b, port: 1}]}]}\n`,
  Service: `apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: {app: web}}\nspec:\n  selector: {app: web}\n  sessionAffinity: None\n  ports: [{name: http, port: 80, targetPort: web, appProtocol: kubernetes.io/h2c}, {name: s, port: 443, targetPort: 8443}]\nstatus: {loadBalancer: {}}\n`,
  EndpointSlice: `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints:\n- addresses: [10.0.0.1]\n  conditions: {ready: true, serving: null}\n  zone: a\n- addresses: [10.0.0.2]\nports: [{name: http, port: 8080}, {port: null}]\n`,
  Secret:
    'apiVersion: v1\nkind: Secret\nmetadata: {name: web}\ntype: kubernetes.io/tls\ndata: {tls.crt: YWJj, tls.key: "aHVu\\ndGVyMg==", raw: /w==}\nstringData: {tls.crt: new}\nimmutable: true\n',
  ConfigMap:
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca}\ndata:\n  ca.crt: |\n    -----BEGIN CERTIFICATE-----\n    MIIB\n',
  Namespace: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n',
  Policy: `apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: {name: edge}
spec:
  targetRefs: [{kind: Gateway, name: edge, sectionName: http}, {kind: ListenerSet, group: gateway.networking.k8s.io, name: more}]
  filters:
    cors: {allowOrigins: ["https://a.test"]}
    rewrite:
  listener:
    limits: {headerBytesMax: 16Ki, bodyBytesMax: 0, headersMax: 50}
    timeouts: {head: 5s, exchange: 0s}
    path: {dotSegments: refuse, encodedSlash: decode}
    trustedHops: {count: 1, cidrs: [10.0.0.0/8, "fd00::/8"]}
    serverHeader: replace
    forwarded: true
    underscoreNames: refuse
    http: {versions: [h2, http/1.1]}
    clientCertificate: xfcc
    accessLog: {samplePercent: 0.5, headers: [user-agent], query: keep}
    tls: {versionMin: TLSv1.3, ciphers: "TLS_AES_128_GCM_SHA256:ECDHE+AESGCM"}
`,
  BackendPolicy:
    'apiVersion: fourways.io/v1alpha1\nkind: BackendPolicy\nmetadata: {name: b}\nspec:\n  targetRefs: [{kind: Service, name: web, sectionName: http}, {kind: Backend, name: c}]\n  connectTimeout: 5s\n  queueMax: 10\n  headerBytesMax: 8192\n  retryBudgetPercent: 20\n  protocol: http1\n  tls: {caCertificateRefs: [{name: ca}], clientCertificateRef: {name: me}}\n',
  Backend:
    'apiVersion: fourways.io/v1alpha1\nkind: Backend\nmetadata: {name: c}\nspec:\n  endpoints: [{address: 10.0.0.1, port: 80}, {address: a.test, port: 81, weight: 2, zone: b}]\n  tls: {serverName: a.test, wellKnownCACertificates: System}\n',
};

for (const [kind, text] of Object.entries(GOOD) as [ResourceKind, string][]) {
  test(`kinds: ${kind} is read`, () => {
    const resource = read(kind, text);
    if (kind === 'Secret') return;
    // What is written back says every default, and is read as the same again.
    const again = readOne(writeManifests([resource]));
    const { origin: _, ...want } = resource;
    const { origin: __, ...got } = again;
    assert.deepEqual(got, want);
  });
}

test('kinds: every kind has a good manifest here', () => {
  assert.deepEqual(KINDS.map(({ kind }) => kind).toSorted(), Object.keys(GOOD).toSorted());
});

test('kinds: GatewayClass and Namespace are in no namespace', () => {
  const resource = readOne(GOOD.GatewayClass);
  assert.equal(keyOf(resource), 'GatewayClass//fourways');
  assert.equal(describe(resource), 'GatewayClass fourways');
  assert.equal(describe(readOne(GOOD.HTTPRoute)), 'HTTPRoute shop/web');
  assert.equal(keyOf(readOne(GOOD.Gateway)), 'Gateway/default/edge');
});

test('kinds: metadata', () => {
  const { name, namespace, generation, creationMs, uid } = readOne(GOOD.HTTPRoute).metadata;
  assert.deepEqual([name, namespace, generation, creationMs, uid], ['web', 'shop', 3, Date.UTC(2026, 10, 1, 12), 'x']);
});

test('kinds: HTTPRoute has the defaults of its CRD', () => {
  const { spec } = read(
    'HTTPRoute',
    `${V1}\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {parentRefs: [{name: edge}]}\n`,
  );
  assert.deepEqual(spec, {
    parentRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge' }],
    hostnames: [],
    rules: [
      {
        matches: [{ path: { type: 'PathPrefix', value: '/' }, headers: [], queryParams: [] }],
        filters: [],
        backendRefs: [],
      },
    ],
  });
  const [rule] = read('HTTPRoute', GOOD.HTTPRoute).spec.rules;
  assert.deepEqual(rule?.filters[1], {
    type: 'RequestMirror',
    requestMirror: {
      backendRef: { group: '', kind: 'Service', name: 'm', port: 80 },
      fraction: { numerator: 1, denominator: 100 },
    },
  });
  const redirect = read('HTTPRoute', GOOD.HTTPRoute).spec.rules[1]?.filters[0];
  assert.ok(redirect?.type === 'RequestRedirect');
  assert.equal(redirect.requestRedirect.statusCode, 302);
});

test('kinds: Gateway has the defaults of its CRD', () => {
  const { spec } = read(
    'Gateway',
    `${V1}\nkind: Gateway\nmetadata: {name: a}\nspec:\n  gatewayClassName: b\n  listeners: [{name: c, port: 80, protocol: HTTP}]\n`,
  );
  assert.deepEqual(spec, {
    gatewayClassName: 'b',
    listeners: [{ name: 'c', port: 80, protocol: 'HTTP', allowedRoutes: { namespaces: { from: 'Same' }, kinds: [] } }],
    addresses: [],
    allowedListeners: { namespaces: { from: 'None' } },
  });
  const https = read('Gateway', GOOD.Gateway).spec.listeners[1];
  assert.deepEqual(https?.tls?.certificateRefs, [{ group: '', kind: 'Secret', name: 'web' }]);
  assert.equal(https?.tls?.mode, 'Terminate');
});

test('kinds: Secret decodes data, and stringData wins', () => {
  const { type, data } = read('Secret', GOOD.Secret);
  assert.equal(type, 'kubernetes.io/tls');
  assert.deepEqual([data.get('tls.crt'), data.get('tls.key'), data.get('raw')], ['new', 'hunter2', '\u00ff']);
  const written = writeManifests([read('Secret', GOOD.Secret)]);
  assert.match(written, /tls\.key: "\[redacted\]"/);
  assert.doesNotMatch(written, /hunter2|aHVu/);
});

test('kinds: Policy has the configurations of its filters filled in', () => {
  const { filters = {} } = read('Policy', GOOD.Policy).spec;
  assert.deepEqual(Object.keys(filters), ['cors', 'rewrite']);
  assert.equal((filters['cors'] as { maxAge: number }).maxAge, 5);
});

test('kinds: EndpointSlice', () => {
  const { endpoints, ports } = read('EndpointSlice', GOOD.EndpointSlice);
  assert.deepEqual(endpoints[0], { addresses: ['10.0.0.1'], conditions: { ready: true }, zone: 'a' });
  assert.deepEqual(ports[1], { name: '', protocol: 'TCP' });
});

test('kinds: every field of Gateway API and of ours has a description', () => {
  const bare: string[] = [];
  const visit = (schema: Record<string, unknown>, path: string): void => {
    for (const [name, field] of Object.entries(
      (schema['properties'] ?? {}) as Record<string, Record<string, unknown>>,
    )) {
      const below = `${path}.${name}`;
      const isObject = field['properties'] !== undefined || field['anyOf'] !== undefined;
      if (!isObject && field['description'] === undefined) bare.push(below);
      visit(field, below);
    }
    for (const branch of (schema['anyOf'] ?? []) as Record<string, unknown>[]) visit(branch, path);
    if (schema['items'] !== undefined) visit(schema['items'] as Record<string, unknown>, `${path}[]`);
  };
  for (const { kind, schema } of KINDS) visit(jsonSchemaOf(schema) as Record<string, unknown>, kind);
  assert.deepEqual(bare, []);
});
