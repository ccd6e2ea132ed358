import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPlan } from '../ir/check.ts';
import { diffPlans } from '../ir/diff.ts';
import { bundleOf, CLUSTER, PARTS } from '../ir/testing/plans.ts';
import { hashSecret } from '../ir/version.ts';
import { OWN_CERTIFICATE, OwnCertificate } from './own-certificate.ts';

const POLICY = { versionMin: 'TLSv1.3', versionMax: 'TLSv1.3', ciphers: '', curves: '' } as const;
const REF = { secret: OWN_CERTIFICATE, hash: '' };
const MESH_CLUSTER = {
  ...CLUSTER,
  tls: {
    serverName: '80.a.b.mesh.internal',
    cas: [],
    subjectAltNames: [],
    policy: POLICY,
    clientCertificate: REF,
    state: 'ok',
  },
} as const;
const [LISTENER_KEY, LISTENER] = Object.entries(PARTS.listeners)[0]!;
const MESH_LISTENER = { ...LISTENER, tls: { ...POLICY, certificates: [REF] } };
const [PORT_KEY, PORT] = Object.entries(PARTS.ports)[0]!;

const pushed = bundleOf({
  ...PARTS,
  ports: { ...PARTS.ports, [PORT_KEY]: { ...PORT, protocol: 'tls' } },
  listeners: { ...PARTS.listeners, [LISTENER_KEY]: MESH_LISTENER },
  clusters: { ...PARTS.clusters, mesh: MESH_CLUSTER },
});
const first = { certificatePem: 'ONE', privateKeyPem: 'ONE' };
const second = { certificatePem: 'TWO', privateKeyPem: 'TWO' };

test('where a plan names the certificate of the proxy, it is put in, and what people are told is the version of before', () => {
  const { plan, secrets } = new OwnCertificate(first).putInto(pushed);
  const hash = hashSecret(first);
  assert.deepEqual(plan.listeners[LISTENER_KEY]?.tls?.certificates, [{ secret: OWN_CERTIFICATE, hash }]);
  assert.deepEqual(plan.clusters['mesh']?.tls?.clientCertificate, { secret: OWN_CERTIFICATE, hash });
  assert.equal(secrets[OWN_CERTIFICATE], first);
  assert.equal(plan.origin, pushed.plan.version);
  assert.notEqual(plan.version, pushed.plan.version);
  assert.deepEqual(checkPlan({ plan, secrets }), []);
});

test('what does not name it stays the same object, and a plan that nowhere names it is as it was', () => {
  const own = new OwnCertificate(first);
  assert.equal(own.putInto(pushed).plan.routes, pushed.plan.routes);
  const plain = bundleOf(PARTS);
  assert.equal(own.putInto(plain).plan, plain.plan);
});

test('the same certificate gives the same parts again; another one changes those that name it, and nothing else', () => {
  const own = new OwnCertificate(first);
  const before = own.putInto(pushed);
  assert.equal(own.putInto(pushed).plan.listeners[LISTENER_KEY], before.plan.listeners[LISTENER_KEY]);
  const { set, remove } = diffPlans(before, new OwnCertificate(second).putInto(pushed));
  assert.deepEqual(Object.keys(set.listeners), [LISTENER_KEY]);
  assert.deepEqual(Object.keys(set.clusters), ['mesh']);
  assert.deepEqual(Object.keys(set.secrets), [OWN_CERTIFICATE]);
  assert.deepEqual([set.ports, set.routes, set.streams, remove.secrets], [{}, {}, {}, []]);
});
