import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const EDGE = `apiVersion: gateway.networking.k8s.io/v1
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
    - name: main
      filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x-own, value: '1' }] } }]
      backendRefs: [{ group: fourways.io, kind: Backend, name: web }]
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: web }
spec: { endpoints: [{ address: 10.0.0.1, port: 80 }] }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: house }
spec:
  targetRefs: [{ kind: Gateway, name: edge }]
  filters:
    cors: { allowOrigins: [https://house.test] }
    headers: { response: { set: [{ name: x-house, value: '1' }] } }
  listener: { limits: { headersMax: 50, bodyBytesMax: 1Mi } }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: listener }
spec:
  targetRefs: [{ kind: Gateway, name: edge, sectionName: http }]
  listener: { limits: { headersMax: 60 } }
`;

const RULE = `---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: web }
spec:
  targetRefs: [{ kind: HTTPRoute, name: web, sectionName: main }]
  filters: { cors: { allowOrigins: [https://web.test] } }
`;

const SERVICE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  parentRefs: [{ name: edge }]
  hostnames: [shop.test]
  rules:
    - backendRefs:
        - { name: shop, port: 80 }
        - name: shop
          port: 80
          filters:
            - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-own, value: '1' }] } }
---
apiVersion: v1
kind: Service
metadata: { name: shop }
spec: { ports: [{ name: web, port: 80 }] }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: shop }
spec: { targetRefs: [{ kind: Service, name: shop }], filters: { headers: { request: { remove: [x-a] } } } }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: port }
spec:
  targetRefs: [{ kind: Service, name: shop, sectionName: web }]
  filters:
    authorize: { default: deny }
`;

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'show-policies-'));
  writeFileSync(join(folder, 'edge.yaml'), EDGE);
  writeFileSync(join(folder, 'web.yaml'), RULE);
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function show(argv: string[], exit = 0): Promise<string> {
  const io = fakeIo({ cwd: folder });
  assert.equal(await runCommand(['show', ...argv], io), exit, io.errLines.join('\n'));
  return [...io.outLines, ...io.errLines].join('\n');
}

test('show --policies: says who acts, who is overridden by whom, and where each is written', async () => {
  const lines = (await show(['.', '--policies', 'web'])).split('\n').map((line) => line.split(/ {2,}/));
  assert.deepEqual(
    lines.map(([what, , owner, on, at, effect]) =>
      on === undefined ? what : [what, owner, on, at, effect].join(' | '),
    ),
    [
      'HTTPRoute/default/web/main by Gateway/default/edge/http',
      'WHAT | OWNER | ON | AT | EFFECT',
      'cors | Policy default/web | HTTPRoute/default/web#main | web.yaml:7 | acts',
      'headers | Policy default/house | Gateway/default/edge | edge.yaml:30 | acts',
      'headers | HTTPRoute default/web | HTTPRoute/default/web | edge.yaml:15 | acts',
      'cors | Policy default/house | Gateway/default/edge | edge.yaml:29 | overridden by Policy default/web',
      'limits.headersMax | Policy default/house | Gateway/default/edge | edge.yaml:31 | overridden by Policy default/listener',
      'limits.bodyBytesMax | Policy default/house | Gateway/default/edge | edge.yaml:31 | acts',
      'limits.headersMax | Policy default/listener | Gateway/default/edge#http | edge.yaml:38 | acts',
    ],
  );
});

test('show --policies: says what policies on a Service, its port and the filters of a backendRef do', async () => {
  const file = join(folder, 'shop.yaml');
  writeFileSync(file, SERVICE);
  try {
    const lines = (await show(['.', '--policies', 'shop'])).split('\n').map((line) => line.split(/ {2,}/));
    assert.deepEqual(
      lines
        .slice(2)
        .flatMap(([what, , owner, on, at, effect]) =>
          on?.startsWith('Service') ? [[what, owner, on, at, effect].join(' | ')] : [],
        ),
      [
        'authorize | Policy default/port | Service/default/shop#web | shop.yaml:31 | acts',
        'headers | Policy default/shop | Service/default/shop | shop.yaml:23 | acts',
        'headers | HTTPRoute default/shop | Service/default/shop#web | shop.yaml:13 | acts',
      ],
    );
  } finally {
    rmSync(file);
  }
});

test('show --policies: --json holds the same', async () => {
  const { route, rules } = JSON.parse(await show(['.', '--policies', 'default/web', '--json'])) as {
    route: string;
    rules: { filters: { name: string; overriddenBy?: string }[] }[];
  };
  assert.equal(route, 'HTTPRoute/default/web');
  assert.deepEqual(
    rules[0]!.filters.map(({ name, overriddenBy = '' }) => `${name} ${overriddenBy}`),
    ['cors ', 'headers ', 'headers ', 'cors Policy default/web'],
  );
});

test('show --policies: a route that does not exist gets the nearest name', async () => {
  assert.match(await show(['.', '--policies', 'wep'], 1), /There is no route "wep": did you mean "web"\?/);
});
