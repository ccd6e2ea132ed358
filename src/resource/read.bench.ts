/**
 * Cost of reading a file of small routes: cold, after one edit, and finding a
 * field in every one. Budget: 5,000 routes cold in 1 s, an edit of one in 3,000
 * in 10 ms. Run: `node src/resource/read.bench.ts`.
 */
import { bench, keep } from '../../tools/bench.ts';
import { ReadCache, readManifests } from './read.ts';

function route(i: number): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route-${i}, namespace: shop, labels: {team: shop}}
spec:
  parentRefs:
  - name: edge
    sectionName: http
  hostnames: ["h${i}.shop.test"]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /api/v${i}}
    backendRefs:
    - {name: svc-${i % 50}, port: 8080}
`;
}

function fileOf(count: number, change = 0): string {
  return Array.from({ length: count }, (_, i) => route(i === count >> 1 ? i + change : i)).join('---\n');
}

const cold = fileOf(5000);
bench('read 5000 routes, cold', () => keep(readManifests(cold, 'a.yaml')));

const versions = [fileOf(3000), fileOf(3000, 3000)];
let cache = new ReadCache();
let turn = 0;
bench('read 3000 routes, one edited', () => {
  const { cache: next, documents } = readManifests(versions[turn++ % 2]!, 'a.yaml', cache);
  cache = next;
  keep(documents);
});

const { documents } = readManifests(cold, 'a.yaml');
bench('find a field in 5000 routes', () => {
  for (const { origin } of documents) keep(origin.locate('/spec/rules/0'));
});
