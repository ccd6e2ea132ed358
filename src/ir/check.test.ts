import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPlan, DEFECTS_MAX } from './check.ts';
import type { PlanBundle, PlanPort, PlanRule } from './plan.ts';
import { bundleOf, CLUSTER, HTTP_LISTENER, HTTP_PORT, HTTPS_LISTENER, PARTS, routeTo } from './testing/plans.ts';

const route = PARTS.routes['HTTPRoute/shop/web']!;
const withRule = (rule: Partial<PlanRule>): PlanBundle =>
  bundleOf({ ...PARTS, routes: { r: { ...route, rules: [{ ...route.rules[0]!, ...rule }] } } });
const good = bundleOf(PARTS);
const PROXY_PORT: PlanPort = { ...HTTP_PORT, port: 15_001, protocol: 'proxy' };

const ROWS: [rule: string, bundle: PlanBundle, want: RegExp | undefined][] = [
  ['a plan whose names all resolve', good, undefined],
  ['a backend of weight 0', withRule({ backends: [{ ...route.rules[0]!.backends[0]!, weight: 0 }] }), undefined],
  [
    'an unknown port',
    bundleOf({ ...PARTS, listeners: { l: { ...HTTP_LISTENER, port: '*:81' } }, routes: {} }),
    /^Listener "l" names port "\*:81"/,
  ],
  [
    'a listener without TLS on a port with TLS',
    bundleOf({ ...PARTS, listeners: { l: { ...HTTP_LISTENER, port: '*:443' } }, routes: {} }),
    /^Listener "l" does not fit protocol "tls"/,
  ],
  [
    'a listener with TLS and no certificate',
    bundleOf({
      ...PARTS,
      listeners: { l: { ...HTTPS_LISTENER, tls: { ...HTTPS_LISTENER.tls!, certificates: [] } } },
      routes: {},
    }),
    /^Listener "l" has no certificate/,
  ],
  [
    'a listener of a forward proxy',
    bundleOf({
      ...PARTS,
      ports: { ...PARTS.ports, '*:15001': PROXY_PORT },
      listeners: { ...PARTS.listeners, p: { ...HTTP_LISTENER, port: '*:15001', chosenBy: 'authority' } },
    }),
    undefined,
  ],
  [
    'a listener chosen by host on a forward proxy',
    bundleOf({
      ...PARTS,
      ports: { ...PARTS.ports, '*:15001': PROXY_PORT },
      listeners: { ...PARTS.listeners, p: { ...HTTP_LISTENER, port: '*:15001' } },
    }),
    /^Listener "p" is chosen by host on port "\*:15001" of protocol "proxy"/,
  ],
  [
    'a listener chosen by server name without TLS',
    bundleOf({ ...PARTS, listeners: { l: { ...HTTP_LISTENER, chosenBy: 'server-name' } }, routes: {} }),
    /^Listener "l" is chosen by server-name/,
  ],
  [
    'the own identity of a proxy, which does not travel',
    bundleOf({
      ...PARTS,
      listeners: {
        ...PARTS.listeners,
        i: {
          ...HTTPS_LISTENER,
          chosenBy: 'server-name',
          tls: { ...HTTPS_LISTENER.tls!, certificates: [{ secret: 'Identity/self', hash: '' }] },
        },
      },
    }),
    undefined,
  ],
  ['a missing secret', { ...good, secrets: {} }, /^Listener .* names secret "Secret\/shop\/tls", which did not come/],
  [
    'a secret of another value',
    { ...good, secrets: { 'Secret/shop/tls': { certificatePem: 'x', privateKeyPem: 'y' } } },
    /with a hash that is not its own/,
  ],
  [
    'an unknown listener',
    bundleOf({ ...PARTS, routes: { r: routeTo('Gateway/shop/edge/none', '*') } }),
    /^Route "r" names listener "Gateway\/shop\/edge\/none"/,
  ],
  [
    'an attachment without hosts',
    bundleOf({ ...PARTS, routes: { r: { ...route, attach: [{ listener: 'Gateway/shop/edge/http', hosts: [] }] } } }),
    /without a host/,
  ],
  ['an unknown cluster', bundleOf({ ...PARTS, clusters: {} }), /^Rule .* names cluster "Service\/shop\/web\/80"/],
  ['an unknown mirror', withRule({ mirrors: [{ cluster: 'none', share: 1 }] }), /mirrors to cluster "none"/],
  ['a rule without a match', withRule({ matches: [] }), /has no match/],
  [
    'a negative weight',
    withRule({ backends: [{ ...route.rules[0]!.backends[0]!, weight: -1 }] }),
    /has a backend of weight -1/,
  ],
  [
    'a client certificate that did not come',
    bundleOf({
      ...PARTS,
      clusters: {
        'Service/shop/web/80': {
          ...CLUSTER,
          tls: {
            serverName: 'web.test',
            cas: [],
            subjectAltNames: [],
            policy: { versionMin: 'TLSv1.2', versionMax: 'TLSv1.3', ciphers: '', curves: '' },
            clientCertificate: { secret: 'Secret/shop/own', hash: '' },
            state: 'ok',
          },
        },
      },
    }),
    /^Cluster .* names secret "Secret\/shop\/own"/,
  ],
  ['a port under a wrong name', bundleOf({ ...PARTS, ports: { ...PARTS.ports, p: HTTP_PORT } }), /^Port "p"/],
  ['a version that is not its own', { ...good, plan: { ...good.plan, version: '0' } }, /^Version is "0"/],
];

for (const [rule, bundle, want] of ROWS) {
  test(`checkPlan: ${rule}`, () => {
    const defects = checkPlan(bundle);
    if (want === undefined) assert.deepEqual(defects, []);
    else assert.match(defects[0] ?? '', want);
  });
}

test('checkPlan: says the first defects only', () => {
  const listeners = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`l${i}`, HTTP_LISTENER]));
  assert.equal(checkPlan(bundleOf({ ...PARTS, ports: {}, listeners, routes: {} })).length, DEFECTS_MAX);
});
