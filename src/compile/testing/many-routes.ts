/** A folder of many routes, each with its Service and EndpointSlice, as text for the reader. */
import { readManifests } from '../../resource/read.ts';
import type { Resource } from '../../resource/resource.ts';

const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec:
  gatewayClassName: fourways
  listeners:
    - { name: http, port: 80, protocol: HTTP }
    - { name: shop, port: 80, protocol: HTTP, hostname: "*.shop.test" }
`;

/** One route with two rules, its Service and its EndpointSlice. */
export function routeText(i: number, header = 'one'): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: route-${i}, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  hostnames: [host-${i % 100}.shop.test]
  rules:
    - name: main
      matches: [{ path: { type: PathPrefix, value: /route-${i} } }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-route, value: ${header} }] }
      backendRefs: [{ name: service-${i}, port: 80 }]
    - matches: [{ path: { type: Exact, value: /route-${i}/status } }]
      backendRefs: [{ name: service-${i}, port: 80, weight: 9 }, { name: service-${(i + 1) % 100}, port: 80 }]
---
apiVersion: v1
kind: Service
metadata: { name: service-${i}, namespace: shop }
spec: { ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: service-${i}-a, namespace: shop, labels: { kubernetes.io/service-name: service-${i} } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.0.${i >> 8}.${i & 255}] }]
`;
}

export function resourcesIn(text: string, file = 'many.yaml'): Resource[] {
  return readManifests(text, file).documents.flatMap(({ resource }) => resource ?? []);
}

export function manyRoutes(count: number): Resource[] {
  return resourcesIn([GATEWAY, ...Array.from({ length: count }, (_, i) => routeText(i))].join('\n---\n'));
}
