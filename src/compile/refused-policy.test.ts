/** A policy that cannot be read and could be what keeps requests out: its targets are closed, nothing else is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readManifests } from '../resource/read.ts';
import { Compiler } from './compile.ts';
import { BIND, runtimeOf } from './testing/runtime.ts';

const CONFIGURATION = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: fourways
  listeners: [{ name: http, port: 80, protocol: HTTP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - name: closed
      matches: [{ path: { value: /closed } }]
      backendRefs: [{ group: fourways.io, kind: Backend, name: web }]
    - name: open
      backendRefs: [{ group: fourways.io, kind: Backend, name: web }]
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: web }
spec: { endpoints: [{ address: 10.0.0.1, port: 80 }] }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: guard }
spec:
  targetRefs: [{ kind: HTTPRoute, name: web, sectionName: closed }]
  filters: { jwtt: {} }
`;

test('compile: the rules of a policy with mistakes answer 500, and its status says so', () => {
  const { documents } = readManifests(CONFIGURATION, 'in.yaml');
  const compiler = new Compiler({
    controllerName: 'fourways.io/gateway-controller',
    bindDefault: BIND,
    wallMs: () => 0,
  });
  const compiled = compiler.compile(documents.flatMap(({ resource, standIn }) => resource ?? standIn ?? []));
  const { rules } = compiled.bundle.plan.routes['HTTPRoute/default/web']!;
  assert.deepEqual(
    rules.map(({ name, filters, backends }) => [name, filters, backends.map(({ target }) => target)]),
    [
      [
        'HTTPRoute/default/web/closed',
        [],
        [
          {
            kind: 'invalid',
            code: 'route.filter-invalid',
            why: 'Filter "jwtt" of Policy default/guard cannot run: The policy has mistakes',
          },
        ],
      ],
      ['HTTPRoute/default/web/open', [], [{ kind: 'cluster', cluster: 'Backend/default/web' }]],
    ],
  );
  const stated = JSON.stringify(compiled.statusOf(runtimeOf(compiled)).find(({ kind }) => kind === 'Policy'));
  assert.match(stated, /"type":"Accepted","status":"False"[^}]*"reason":"Invalid"/);
});
