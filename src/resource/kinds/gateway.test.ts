/** Bad gateways, and what goes with them, and exactly what is said of each. */
import { type Row, testProblems } from '../testing/problems.ts';

const GATEWAY_V1 = 'apiVersion: gateway.networking.k8s.io/v1\n';
const GATEWAY = `${GATEWAY_V1}kind: Gateway\nmetadata: {name: edge, namespace: shop}\n`;
const LISTENERS = `${GATEWAY}spec:\n  gatewayClassName: fourways\n  listeners:\n`;

const GATEWAYS: readonly Row[] = [
  [
    'no listeners',
    `${LISTENERS}`,
    'a.yaml:6:3: error: Missing field "listeners": expected a list (Gateway shop/edge, /spec/listeners)',
  ],
  [
    'a listener name twice',
    `${LISTENERS}  - {name: a, port: 80, protocol: HTTP}\n  - {name: a, port: 81, protocol: HTTP}\n`,
    'a.yaml:8:6: error: Duplicate name "a": item 0 has it already (Gateway shop/edge, /spec/listeners/1/name)',
  ],
  [
    'a port out of range',
    `${LISTENERS}  - {name: a, port: 70000, protocol: HTTP}\n`,
    'a.yaml:7:15: error: Expected a whole number from 1 to 65535, got 70000 (Gateway shop/edge, /spec/listeners/0/port)',
  ],
  [
    'TLS with HTTP',
    `${LISTENERS}  - {name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: c}]}}\n`,
    'a.yaml:7:41: error: Expected no tls with protocol HTTP: remove it, or set protocol to "HTTPS" (Gateway shop/edge, /spec/listeners/0/tls)',
  ],
  [
    'TLS with TCP: what TLS would need is not asked for',
    `${LISTENERS}  - {name: a, port: 80, protocol: TCP, tls: {}}\n`,
    'a.yaml:7:40: error: Expected no tls with protocol TCP: remove it, or set protocol to "HTTPS" (Gateway shop/edge, /spec/listeners/0/tls)',
  ],
  [
    'no certificate',
    `${LISTENERS}  - {name: a, port: 80, protocol: HTTPS, tls: {}}\n`,
    'a.yaml:7:42: error: Missing field "certificateRefs": mode Terminate needs at least one certificate (Gateway shop/edge, /spec/listeners/0/tls/certificateRefs)',
  ],
  [
    'HTTPS that is passed on',
    `${LISTENERS}  - {name: a, port: 80, protocol: HTTPS, tls: {mode: Passthrough}}\n`,
    'a.yaml:7:48: error: Expected "Terminate" with protocol HTTPS, got "Passthrough": TLS is passed on with protocol "TLS" (Gateway shop/edge, /spec/listeners/0/tls/mode)',
  ],
  [
    'TLS without a mode',
    `${LISTENERS}  - {name: a, port: 80, protocol: TLS}\n`,
    'a.yaml:7:5: error: Missing field "tls": listener "a" of protocol TLS needs tls.mode (Gateway shop/edge, /spec/listeners/0/tls)',
  ],
  [
    'a host with TCP',
    `${LISTENERS}  - {name: a, port: 80, protocol: TCP, hostname: a.test}\n`,
    'a.yaml:7:40: error: Expected no hostname with protocol TCP: remove it (Gateway shop/edge, /spec/listeners/0/hostname)',
  ],
  [
    'addresses that cannot be',
    `${LISTENERS}  - {name: a, port: 80, protocol: HTTP}\n  addresses: [{value: 10.0.0.256}, {type: Hostname, value: A}, {value: 10.0.0.1}, {value: 10.0.0.1}, {}]\n`,
    'a.yaml:8:16: error: Expected an IP address, got "10.0.0.256" (Gateway shop/edge, /spec/addresses/0/value)',
    'a.yaml:8:53: error: Expected a lower-case host name, got "A" (Gateway shop/edge, /spec/addresses/1/value)',
    'a.yaml:8:84: error: Duplicate address "10.0.0.1": item 2 has it already (Gateway shop/edge, /spec/addresses/3/value)',
  ],
  [
    'namespaces that cannot be',
    `${LISTENERS}  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}\n`,
    'a.yaml:7:70: error: Expected one of "All", "Selector", "Same", got "None" (Gateway shop/edge, /spec/listeners/0/allowedRoutes/namespaces/from)',
  ],
  [
    'the port of a client certificate twice',
    `${LISTENERS}  - {name: a, port: 80, protocol: HTTP}\n  tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 1, tls: {}}]}}\n`,
    'a.yaml:8:64: error: Duplicate port 1: item 0 has it already (Gateway shop/edge, /spec/tls/frontend/perPort/1/port)',
  ],
  [
    'a ListenerSet without a parent',
    `${GATEWAY_V1}kind: ListenerSet\nmetadata: {name: a}\nspec:\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n`,
    'a.yaml:4:1: error: Missing field "parentRef": expected an object (ListenerSet default/a, /spec/parentRef)',
  ],
  [
    'a controller that cannot be',
    `${GATEWAY_V1}kind: GatewayClass\nmetadata: {name: a}\nspec: {controllerName: fourways}\n`,
    'a.yaml:4:8: error: Expected a controller such as "fourways.io/gateway-controller", got "fourways" (GatewayClass a, /spec/controllerName)',
  ],
  [
    'a grant of nothing',
    `${GATEWAY_V1}kind: ReferenceGrant\nmetadata: {name: a}\nspec:\n  from: []\n  to: [{kind: Service}]\n`,
    'a.yaml:5:3: error: Expected at least 1 item, got 0 (ReferenceGrant default/a, /spec/from)',
    'a.yaml:6:8: error: Missing field "group": expected an API group such as "gateway.networking.k8s.io", or "" for the core group (ReferenceGrant default/a, /spec/to/0/group)',
  ],
];

testProblems('a.yaml', GATEWAYS);
