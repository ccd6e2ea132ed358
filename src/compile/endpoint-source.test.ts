import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readManifests } from '../resource/read.ts';
import { Compiler } from './compile.ts';

const MANIFESTS = `
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: orders-1, namespace: shop }
spec: { service: orders, address: 10.0.0.1, ports: { http: 8080 }, proxyPort: 15008 }
---
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: orders-2, namespace: shop }
spec: { service: orders, address: 10.0.0.2, ports: { http: 8080 } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: orders-slice, namespace: shop, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.0.0.3] }]
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: written, namespace: shop }
spec: { endpoints: [{ address: 10.0.0.4, port: 80 }] }
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: named, namespace: shop }
spec: { dns: { name: _http._tcp.orders.test, type: SRV } }
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: catalog, namespace: shop }
spec: { consul: { address: "http://127.0.0.1:8500", service: orders } }
`;

const SOURCES: [cluster: string, address: string, port: number, source: string | undefined, resolvedFrom?: string][] = [
  ['Service/shop/orders/80', '10.0.0.1', 15_008, 'Workload shop/orders-1'],
  ['Service/shop/orders/80/tcp', '10.0.0.2', 8080, 'Workload shop/orders-2'],
  ['Service/shop/orders/80+h2', '10.0.0.3', 8080, 'EndpointSlice shop/orders-slice'],
  ['Service/shop/orders/80', '10.0.0.9', 8080, undefined],
  ['Backend/shop/written', '10.0.0.4', 80, 'Backend shop/written'],
  ['Backend/shop/named+h2', '10.0.0.5', 80, 'DNS _http._tcp.orders.test', '_http._tcp.orders.test'],
  ['Backend/shop/catalog@Gateway/shop/edge', '10.0.0.6', 80, 'Consul orders'],
  ['Inbound/shop/orders/80', '127.0.0.1', 8080, undefined],
];

test('who said where an endpoint is', () => {
  const compiler = new Compiler({ controllerName: 'c', bindDefault: '0.0.0.0', wallMs: () => 0 });
  const { documents } = readManifests(MANIFESTS, 'test.yaml');
  const compiled = compiler.compile(documents.flatMap(({ resource }) => resource ?? []));
  for (const [cluster, address, port, source, resolvedFrom] of SOURCES) {
    const place = { cluster, address, port, ...(resolvedFrom !== undefined && { resolvedFrom }) };
    assert.equal(compiled.sourceOf(place), source, cluster);
  }
});
