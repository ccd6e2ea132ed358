/** Requests of strangers, and what OpenSSL says of what is made of them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeRequest } from './request.ts';
import { readRequest } from './x509.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-x509-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/orders';

/** A request that is not ours. */
function requestOf(name: string, key: readonly string[]): string {
  const keyFile = join(dir, `${name}.key`);
  const csrFile = join(dir, `${name}.csr`);
  execFileSync('openssl', ['genpkey', ...key, '-out', keyFile], { stdio: 'ignore' });
  execFileSync('openssl', [
    'req',
    '-new',
    '-key',
    keyFile,
    '-subj',
    '/CN=me',
    '-addext',
    `subjectAltName=URI:${IDENTITY},DNS:a.test`,
    '-out',
    csrFile,
  ]);
  return readFileSync(csrFile, 'utf8');
}

const ours = makeRequest(IDENTITY).csr;
const der = Buffer.from(ours.replace(/-----[^-]+-----|\n/g, ''), 'base64');
/** Its last byte is one of the signature; one in the middle, of the key or the names. */
const flipped = (at: number): Buffer =>
  Buffer.concat([der.subarray(0, at), Buffer.from([der[at]! ^ 1]), der.subarray(at + 1)]);

const ROWS: [rule: string, csr: string | Uint8Array, want: 'read' | RegExp][] = [
  ['ours, as PEM', ours, 'read'],
  ['ours, as DER', der, 'read'],
  ['P-256 of OpenSSL', requestOf('p256', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']), 'read'],
  ['Ed25519 of OpenSSL', requestOf('ed', ['-algorithm', 'ED25519']), 'read'],
  ['RSA with 2048 bits', requestOf('rsa', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']), 'read'],
  [
    'RSA with 1024 bits',
    requestOf('rsa1', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024']),
    /RSA with 1024 bits: P-256/,
  ],
  [
    'another curve',
    requestOf('k', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1']),
    /The key is ec secp256k1/,
  ],
  [
    'a longer curve',
    requestOf('p521', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521']),
    /The key is ec secp521r1/,
  ],
  ['Ed448', requestOf('ed448', ['-algorithm', 'ED448']), /The key is ed448/],
  ['a signature with one bit changed', flipped(der.length - 1), /not signed with its key/],
  ['a name with one bit changed', flipped(der.indexOf('orders')), /not signed with its key/],
  ['nothing', '', /cannot be read/],
  ['a text', 'hello', /cannot be read/],
  ['a request that was cut', der.subarray(0, -10), /cannot be read/],
  ['a request that is too long', 'A'.repeat(16 * 1_024 + 1), /more than 16384 bytes/],
  ['elements in elements, 4,000 deep', Buffer.from('3080'.repeat(4_000), 'hex'), /cannot be read/],
];

for (const [rule, csr, want] of ROWS) {
  test(`readRequest: ${rule}`, async () => {
    const read = await readRequest(csr);
    if (want !== 'read') assert.match('flaw' in read ? read.flaw : 'read', want);
    else assert.deepEqual('flaw' in read ? read.flaw : [...read.asked], [IDENTITY]);
  });
}

test('OpenSSL reads the request of a proxy and finds it signed', () => {
  const text = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], {
    input: ours,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  assert.match(text, /URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/orders/);
  assert.match(text, /prime256v1/);
  execFileSync('openssl', ['req', '-verify', '-noout'], { input: ours, stdio: ['pipe', 'ignore', 'ignore'] });
});
