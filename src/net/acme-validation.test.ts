/** A TLS port while its host name is validated (RFC 8737), and what others see of that. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import tls from 'node:tls';
import { makeCertificate } from './testing/certificates.ts';
import { ask, listener, root, shop, TestPort } from './testing/tls-port.ts';

const challenge = makeCertificate({ hosts: ['shop.test'] });
const guarded = { cas: [root.leafPem], mode: 'required' } as const;

/** What a validation sees: the certificate, and that nothing is said after the handshake. */
async function validate(port: number, servername: string, ALPNProtocols = ['acme-tls/1']): Promise<unknown> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername, ALPNProtocols, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const shown = socket.getPeerX509Certificate()!.fingerprint256;
  const protocol = socket.alpnProtocol;
  let bytes = 0;
  socket.on('data', (piece: Buffer) => (bytes += piece.length));
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await once(socket, 'close');
  return { shown, protocol, bytes };
}

test('a validation is shown the challenge, then the connection is closed without a word', async () => {
  using port = await new TestPort().listen({}, { ...listener('shop.test', shop), challenge });
  assert.deepEqual(await validate(port.port, 'shop.test'), {
    shown: fingerprintOf(challenge.leafPem),
    protocol: 'acme-tls/1',
    bytes: 0,
  });
  assert.deepEqual(port.events, ['full', 'validated']);
  assert.equal(port.tls.handshakes, 0);
});

test('a listener that has no certificate yet answers its validation, and nobody else', async () => {
  using port = await new TestPort().listen({}, { ...listener('shop.test'), challenge });
  await validate(port.port, 'shop.test');
  await assert.rejects(ask(port.port, { servername: 'shop.test' }), /internal error/);
});

test('who validates needs no client certificate, others still do', async () => {
  using port = await new TestPort().listen(
    { clientValidation: guarded },
    { ...listener('shop.test', shop), challenge },
  );
  await validate(port.port, 'shop.test');
  await assert.rejects(ask(port.port, { servername: 'shop.test' }));
  assert.deepEqual(port.events.slice(0, 2), ['full', 'validated']);
});

const REFUSED: [rule: string, servername: string, protocols: string[]][] = [
  ['a name that is not validated', 'other.test', ['acme-tls/1']],
  ['the protocol beside another one (RFC 8737 section 3)', 'shop.test', ['acme-tls/1', 'spdy/1']],
];

for (const [rule, servername, protocols] of REFUSED) {
  test(`a validation is not answered for ${rule}`, async () => {
    using port = await new TestPort().listen(
      {},
      { ...listener('shop.test', shop), challenge },
      listener('other.test', shop),
    );
    await assert.rejects(validate(port.port, servername, protocols), /no application protocol/);
  });
}

test('others see the certificate of the listener while a validation runs', async () => {
  using port = await new TestPort().listen({}, { ...listener('shop.test', shop), challenge });
  const { text, names } = await ask(port.port, { servername: 'shop.test', ALPNProtocols: ['http/1.1'] });
  assert.deepEqual([text, names], ['echo hello', 'DNS:shop.test']);
});

function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}
