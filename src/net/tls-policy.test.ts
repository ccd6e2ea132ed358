/** TLS policy of a listener as `openssl s_client` meets it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { makeCertificate } from './testing/certificates.ts';
import { ask, listener, PLAIN_TLS, root, shop, TestPort } from './testing/tls-port.ts';
import type { TlsListener, TlsPolicy } from './tls-contexts.ts';

const rsaShop = makeCertificate({ hosts: ['shop.test'], issuer: root, keyKind: 'rsa' });

/** What it says of the connection, or of why there is none. */
function sClient(port: number, ...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const base = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'shop.test', '-trace'];
    const child = execFile('openssl', [...base, ...args], (_error, out, err) => resolve(out + err));
    child.stdin!.end('Q\n');
  });
}

const ROWS: [rule: string, policy: Partial<TlsPolicy>, client: string[], want: RegExp][] = [
  ['the newest version by default', {}, [], /New, TLSv1\.3/],
  ['the oldest version by default', {}, ['-tls1_2'], /New, TLSv1\.2/],
  ['nothing before TLS 1.2', {}, ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], /alert protocol version/],
  ['a newest version', { versionMax: 'TLSv1.2' }, [], /New, TLSv1\.2/],
  ['a newest version, and a client that wants more', { versionMax: 'TLSv1.2' }, ['-tls1_3'], /alert protocol version/],
  ['an oldest version', { versionMin: 'TLSv1.3' }, [], /New, TLSv1\.3/],
  ['an oldest version, and a client that has less', { versionMin: 'TLSv1.3' }, ['-tls1_2'], /alert protocol version/],
  ['a suite of TLS 1.3', { ciphers: 'TLS_AES_128_GCM_SHA256' }, [], /Cipher is TLS_AES_128_GCM_SHA256/],
  [
    'a suite of TLS 1.3 that the client lacks',
    { ciphers: 'TLS_AES_128_GCM_SHA256' },
    ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256', '-tls1_3'],
    /alert handshake failure/,
  ],
  [
    'a suite of TLS 1.2',
    { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' },
    ['-tls1_2'],
    /New, TLSv1\.2, Cipher is ECDHE-ECDSA-CHACHA20-POLY1305/,
  ],
  ['TLS 1.3 keeps its own suites', { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' }, [], /New, TLSv1\.3/],
  [
    'a suite of TLS 1.2 that the client lacks',
    { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' },
    ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
    /alert handshake failure/,
  ],
  [
    "the order of suites is the listener's",
    { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256' },
    ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384'],
    /Cipher is ECDHE-ECDSA-AES256-GCM-SHA384/,
  ],
  ['a curve', { curves: 'P-384' }, [], /NamedGroup: secp384r1 \(P-384\)/],
  ["a curve that is the client's second", { curves: 'P-256' }, ['-groups', 'X25519:P-256'], /NamedGroup: secp256r1/],
  ['a curve that the client lacks', { curves: 'X25519' }, ['-groups', 'P-256'], /alert handshake failure/],
  [
    'a curve in TLS 1.2',
    { curves: 'P-384', versionMax: 'TLSv1.2' },
    ['-groups', 'X25519:P-256:P-384'],
    /Server Temp Key: ECDH, secp384r1/,
  ],
];
for (const [rule, policy, client, want] of ROWS) {
  test(`TLS policy, openssl s_client: ${rule}`, async () => {
    const terms = { ...listener('shop.test', shop, rsaShop), tls: { ...PLAIN_TLS, ...policy } };
    using port = await new TestPort().listen({}, terms);
    assert.match(await sClient(port.port, ...client), want);
  });
}

test('a group that is safe from quantum computers is agreed on, or refused, like any other', async () => {
  const hybrid = { servername: 'shop.test', ecdhCurve: 'X25519MLKEM768' };
  const terms = (curves: string): TlsListener => ({ ...listener('shop.test', shop), tls: { ...PLAIN_TLS, curves } });
  using safe = await new TestPort().listen({}, terms('X25519MLKEM768:X25519'));
  assert.equal((await ask(safe.port, hybrid)).text, 'echo hello');
  assert.equal((await ask(safe.port, { ...hybrid, ecdhCurve: 'X25519' })).text, 'echo hello');
  using old = await new TestPort().listen({}, terms('X25519'));
  await assert.rejects(ask(old.port, hybrid), { code: /ALERT_HANDSHAKE_FAILURE$/ });
  assert.ok(old.events.includes('counted cipher'), old.events.join());
});
