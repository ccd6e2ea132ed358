/** Who gets no stream over gRPC, and whom a proxy does not trust. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { ChannelCredentials, Client, Metadata } from '@grpc/grpc-js';
import { systemClock } from '../base/clock.ts';
import { type Certified, makeCertificate } from '../net/testing/certificates.ts';
import {
  BANK,
  closeAll,
  Control,
  CONTROL,
  credentials,
  issuer,
  ORDERS,
  otherRoot,
  proxy,
  root,
  server,
  TestProxy,
} from './testing/grpc-world.ts';
import { planOf } from './testing/plain-feeds.ts';

afterEach(closeAll);

const REFUSED: [rule: string, certified: () => Certified, code: string, words: RegExp][] = [
  ['of another root', () => proxy([ORDERS], otherRoot), 'push.unauthenticated', /UNABLE_TO_|self.signed/i],
  [
    'that signs itself',
    () => makeCertificate({ kind: 'client', uris: [ORDERS] }),
    'push.unauthenticated',
    /DEPTH_ZERO_SELF_SIGNED_CERT/,
  ],
  [
    'that has expired',
    () => makeCertificate({ kind: 'client', uris: [ORDERS], issuer, notAfterMs: systemClock.wallMs() - 60_000 }),
    'push.unauthenticated',
    /CERT_HAS_EXPIRED/,
  ],
  [
    'of another trust domain',
    () => proxy(['spiffe://elsewhere.test/ns/shop/sa/orders']),
    'push.unauthenticated',
    /not of the trust domain/,
  ],
  ['without an identity', () => proxy([]), 'push.unauthenticated', /exactly one SPIFFE ID/],
  ['with two identities', () => proxy([ORDERS, BANK]), 'push.unauthenticated', /exactly one SPIFFE ID/],
  [
    'of the trust domain itself',
    () => proxy(['spiffe://cluster.local']),
    'push.unauthenticated',
    /exactly one SPIFFE ID/,
  ],
  [
    'with an identity of another form',
    () => proxy(['spiffe://cluster.local/ns/../sa/control']),
    'push.unauthenticated',
    /exactly one SPIFFE ID/,
  ],
];

for (const [rule, certified, code, words] of REFUSED) {
  test(`grpc: a certificate ${rule} is refused, logged and counted`, async () => {
    const control = await Control.start(planOf('a.test'));
    const one = new TestProxy([control.address], { credentials: credentials(certified()) });
    await one.refusal();
    assert.ok(control.hub.ended.get(code)! >= 1);
    assert.match(control.warnings[0]!, words);
    assert.equal(one.version, undefined);
    assert.equal(control.feeds.asked, 0);
  });
}

test('grpc: who asks for the plan of another identity is refused, logged and counted', async () => {
  const control = await Control.start(planOf('a.test'));
  const one = new TestProxy([control.address], { identity: BANK });
  assert.match(await one.refusal(), /^push\.identity-refused: .*orders" asks for the plan of .*bank"$/);
  assert.ok(control.hub.ended.get('push.identity-refused')! >= 1);
  assert.match(control.warnings[0]!, /asks for the plan/);
  assert.equal(one.version, undefined);
});

const WRONG_SERVERS: [rule: string, certified: () => Certified, expected: string, words: RegExp][] = [
  ['another identity of the same root', () => server([BANK]), CONTROL, /is of "spiffe:.*bank", not of/],
  ['no identity', () => server([]), CONTROL, /not of/],
  ['two identities', () => server([CONTROL, BANK]), CONTROL, /not of/],
  [
    'another root',
    () => makeCertificate({ kind: 'server', uris: [CONTROL], issuer: otherRoot }),
    CONTROL,
    /certificate/i,
  ],
  [
    'another host name',
    () => makeCertificate({ kind: 'server', hosts: ['a.test'], issuer }),
    'control.test',
    /Host: control\.test/,
  ],
];

for (const [rule, certified, expected, words] of WRONG_SERVERS) {
  test(`grpc: a proxy refuses a control plane with ${rule}`, async () => {
    const control = await Control.start(planOf('a.test'), { credentials: credentials(certified()) });
    const one = new TestProxy([control.address], { server: expected });
    assert.match(await one.refusal(), words);
    assert.equal(one.version, undefined);
  });
}

test('grpc: a control plane may be known by a host name', async () => {
  const named = makeCertificate({ kind: 'server', hosts: ['control.test'], issuer });
  const control = await Control.start(planOf('a.test'), { credentials: credentials(named) });
  const one = new TestProxy([control.address], { server: 'control.test' });
  await one.serves(planOf('a.test'));
});

test('grpc: without a certificate there is no stream, not even a service for one', async () => {
  const control = await Control.start(planOf('a.test'));
  const context = ChannelCredentials.createSsl(Buffer.from(root.leafPem), null, null, {
    checkServerIdentity: () => undefined,
  });
  const client = new Client(control.address, context, { 'grpc.ssl_target_name_override': 'x.test' });
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeBidiStreamRequest('/fourways.push.v1.Plan/Stream', same, same, new Metadata());
  call.on('data', () => undefined);
  const [error] = (await once(call, 'error')) as [{ code: number }];
  assert.equal(error.code, 12);
  client.close();
  assert.equal(control.hub.opened, 0);
});

test('grpc: TLS 1.2 is refused and counted', async () => {
  const control = await Control.start(planOf('a.test'));
  const socket = connectTls({
    port: control.server.port,
    host: '127.0.0.1',
    maxVersion: 'TLSv1.2',
    rejectUnauthorized: false,
  });
  await once(socket, 'error');
  const [refused] = control.hub.ended.keys();
  assert.equal(refused, 'push.unauthenticated');
});
