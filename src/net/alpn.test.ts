import assert from 'node:assert/strict';
import { test } from 'node:test';
import type tls from 'node:tls';
import { makeCertificate } from './testing/certificates.ts';
import { ask, listener, PLAIN_TLS, root, shop, TestPort } from './testing/tls-port.ts';
import type { TlsListener } from './tls-contexts.ts';

const H2 = ['h2', 'http/1.1'];
const TLS12 = { maxVersion: 'TLSv1.2' } as const;
const rsaShop = makeCertificate({ hosts: ['shop.test'], issuer: root, keyKind: 'rsa' });
/** `undefined`: the alert no_application_protocol. */
const ALPN_ROWS: [
  rule: string,
  port: Partial<TlsListener>,
  client: tls.ConnectionOptions,
  want: string | false | undefined,
][] = [
  ['the favourite of the listener', {}, { ALPNProtocols: ['http/1.1', 'h2'] }, 'h2'],
  ['another order', { alpn: ['http/1.1', 'h2'] }, { ALPNProtocols: H2 }, 'http/1.1'],
  ['the only one that both know', {}, { ALPNProtocols: ['spdy/3', 'http/1.1'] }, 'http/1.1'],
  ['a listener without h2', { alpn: ['http/1.1'] }, { ALPNProtocols: H2 }, 'http/1.1'],
  ['nothing in common', { alpn: ['http/1.1'] }, { ALPNProtocols: ['h2'] }, undefined],
  ['nothing in common, TLS 1.2', { alpn: ['http/1.1'] }, { ...TLS12, ALPNProtocols: ['h2'] }, undefined],
  ['no ALPN', {}, {}, false],
  ['no ALPN where h2 alone is spoken', { alpn: ['h2'] }, {}, undefined],
  ['h2 over TLS 1.2', {}, { ...TLS12, ALPNProtocols: H2 }, 'h2'],
  ['h2 over TLS 1.2, RSA', { secrets: [rsaShop] }, { ...TLS12, ALPNProtocols: H2 }, 'h2'],
  ['TLS 1.2 without AEAD', {}, { ...TLS12, ALPNProtocols: H2, ciphers: 'ECDHE-ECDSA-AES128-SHA' }, 'http/1.1'],
  [
    'TLS 1.2 without forward secrecy',
    { secrets: [rsaShop] },
    { ...TLS12, ALPNProtocols: H2, ciphers: 'AES128-GCM-SHA256' },
    'http/1.1',
  ],
  [
    'a good suite for another type of key',
    {},
    { ...TLS12, ALPNProtocols: H2, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA' },
    'http/1.1',
  ],
  [
    'a good suite that the listener does not have',
    { tls: { ...PLAIN_TLS, ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA' } },
    { ...TLS12, ALPNProtocols: H2, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA' },
    'http/1.1',
  ],
  [
    'a listener of TLS 1.2 without good suites',
    { tls: { ...PLAIN_TLS, versionMax: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' } },
    { ALPNProtocols: H2 },
    'http/1.1',
  ],
  [
    'forbidden suites are left out where h2 is spoken, though the listener likes them best',
    { tls: { ...PLAIN_TLS, ciphers: 'ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256' } },
    { ...TLS12, ALPNProtocols: H2 },
    'h2',
  ],
  [
    'TLS 1.2 without AEAD and h2 alone',
    {},
    { ...TLS12, ALPNProtocols: ['h2'], ciphers: 'ECDHE+AES128+SHA1' },
    undefined,
  ],
];
for (const [rule, terms, client, want] of ALPN_ROWS) {
  test(`ALPN: ${rule}`, async () => {
    using port = await new TestPort().listen({}, { ...listener('*', shop), ...terms });
    const answer = ask(port.port, client);
    if (want === undefined) {
      await assert.rejects(answer, { code: /NO_APPLICATION_PROTOCOL$/ });
      assert.ok(port.events.includes('counted alpn'), port.events.join());
      return;
    }
    const { alpn, cipher } = await answer;
    assert.equal(alpn, want);
    assert.equal(port.facts[0]!.alpn, want || '');
    if (want === 'h2') assert.match(cipher, /^TLS_(?:(?:AES|CHACHA20)|ECDHE_.*_(?:GCM|CHACHA20))_/);
  });
}
