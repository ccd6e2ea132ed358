import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCertificate } from './testing/certificates.ts';
import { ask, listener, root, shop, TestPort } from './testing/tls-port.ts';

const middle = makeCertificate({ kind: 'ca', subject: 'Middle', issuer: root });
const otherRoot = makeCertificate({ kind: 'ca', subject: 'Other root' });
const client = makeCertificate({ kind: 'client', issuer: middle });
const stranger = makeCertificate({ kind: 'client', issuer: otherRoot });
const expired = makeCertificate({ kind: 'client', issuer: root, notAfterMs: Date.now() - 86_400_000, notBeforeMs: 0 });
const selfSigned = makeCertificate({ kind: 'client' });
const notForClients = makeCertificate({ kind: 'server', issuer: root });

const CLIENTS: [
  rule: string,
  cas: string[],
  shows: typeof client | undefined,
  want: 'verified' | 'missing' | 'invalid',
][] = [
  ['a chain to the root', [root.leafPem], client, 'verified'],
  ['one of several bundles', [otherRoot.leafPem, root.leafPem], client, 'verified'],
  ['an intermediate as the anchor', [middle.leafPem], client, 'verified'],
  ['the certificate itself as the anchor', [client.leafPem], client, 'verified'],
  ['a self-signed certificate as its own anchor', [selfSigned.leafPem], selfSigned, 'verified'],
  ['no certificate', [root.leafPem], undefined, 'missing'],
  ['another issuer', [root.leafPem], stranger, 'invalid'],
  ['a root that is not in the bundle', [otherRoot.leafPem], client, 'invalid'],
  ['expired', [root.leafPem], expired, 'invalid'],
  ['self-signed', [root.leafPem], selfSigned, 'invalid'],
  ['a certificate for servers', [root.leafPem], notForClients, 'invalid'],
];
for (const [rule, cas, shows, want] of CLIENTS) {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`client certificate, ${maxVersion}, required: ${rule} is ${want}`, async () => {
      using port = await new TestPort().listen({ clientValidation: { cas, mode: 'required' } }, listener('*', shop));
      const certificate = shows === undefined ? {} : { cert: shows.certificatePem, key: shows.privateKeyPem };
      const answer = ask(port.port, { ...certificate, maxVersion });
      if (want === 'verified') {
        assert.equal((await answer).text, 'echo hello');
        assert.equal(port.facts[0]!.clientVerified, true);
      } else {
        await assert.rejects(answer);
        await port.saw(`failed client-certificate-${want}`);
        assert.equal(port.facts.length, 0);
      }
    });
  }
  test(`client certificate, optional: ${rule} is let in, as ${want}`, async () => {
    using port = await new TestPort().listen({ clientValidation: { cas, mode: 'optional' } }, listener('*', shop));
    const certificate = shows === undefined ? {} : { cert: shows.certificatePem, key: shows.privateKeyPem };
    assert.equal((await ask(port.port, certificate)).text, 'echo hello');
    assert.equal(port.facts[0]!.clientVerified, want === 'verified');
  });
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion}: a session from before a certificate was required does not get around it`, async () => {
    using port = await new TestPort().listen(
      { clientValidation: { cas: [root.leafPem], mode: 'optional' } },
      listener('*', shop),
    );
    const { session } = await ask(port.port, { maxVersion });
    port.tls.update({ timeouts: { handshakeMs: 5_000 }, clientValidation: { cas: [root.leafPem], mode: 'required' } }, [
      listener('*', shop),
    ]);
    await assert.rejects(ask(port.port, { maxVersion, session }));
    await port.saw('failed client-certificate-missing');
  });

  test(`${maxVersion}: a verified client is still verified when its session resumes`, async () => {
    using port = await new TestPort().listen(
      { clientValidation: { cas: [root.leafPem], mode: 'required' } },
      listener('*', shop),
    );
    const shows = { cert: client.certificatePem, key: client.privateKeyPem, maxVersion };
    const { session } = await ask(port.port, shows);
    const again = await ask(port.port, { ...shows, session });
    assert.equal(again.reused, true);
    assert.equal(port.facts[1]!.clientVerified, true);
  });
}
