import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cipherFault, readCaBundle, readKeyPair } from './certificate.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-certificates-'));
after(() => rmSync(dir, { recursive: true }));

interface Made {
  readonly certificate: string;
  readonly key: string;
}

function make(name: string, algorithm: readonly string[], names: string): Made {
  const [key, certificate] = [join(dir, `${name}.key`), join(dir, `${name}.crt`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', ...algorithm, '-nodes', '-keyout', key, '-out', certificate, ...subject],
    {
      stdio: 'ignore',
    },
  );
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
}

const EC = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const shop = make('shop', EC, 'DNS:Shop.test,DNS:*.shop.test,URI:spiffe://shop.test/web,IP:10.0.0.1');
const other = make('other', EC, 'DNS:other.test');
const weak = make('weak', ['rsa:1024'], 'DNS:weak.test');

test('readKeyPair: a chain keeps its order and loses what is around it', () => {
  const text = `subject=shop\n${shop.certificate}\nissuer:\n${other.certificate}`;
  const pair = readKeyPair(text, shop.key);
  assert.ok(!('flaw' in pair));
  assert.equal(pair.certificatePem, `${shop.certificate.trim()}\n${other.certificate.trim()}\n`);
  assert.deepEqual(pair.dnsNames, ['shop.test', '*.shop.test']);
  assert.ok(pair.notAfterMs > pair.notBeforeMs);
});

const FLAWS: [rule: string, certificate: string, key: string, want: RegExp][] = [
  ['text that is no PEM', 'hello', shop.key, /^No PEM certificate is in the text$/],
  ['nothing', '', shop.key, /^No PEM certificate is in the text$/],
  ['a damaged certificate', shop.certificate.replace('MII', 'AAA'), shop.key, /^Certificate 1 of 1 cannot be read$/],
  ['a key of another certificate', shop.certificate, other.key, /^The private key does not belong to the certificate$/],
  ['a key that is none', shop.certificate, 'hello', /^The private key cannot be read/],
  ['a chain in the wrong order', other.certificate + shop.certificate, shop.key, /does not belong/],
  ['a key that is too short for OpenSSL', weak.certificate, weak.key, /^OpenSSL refuses the certificate: .*too small$/],
];

for (const [rule, certificate, key, want] of FLAWS) {
  test(`readKeyPair: ${rule} is refused`, () => {
    const read = readKeyPair(certificate, key);
    assert.match('flaw' in read ? read.flaw : 'none', want);
  });
}

test('readCaBundle: all certificates of a bundle, at least one', () => {
  assert.deepEqual(readCaBundle(`${shop.certificate}# next\n${other.certificate}`), {
    pem: `${shop.certificate.trim()}\n${other.certificate.trim()}\n`,
  });
  assert.deepEqual(readCaBundle(shop.key), { flaw: 'No PEM certificate is in the text' });
});

test('cipherFault: suites that OpenSSL knows pass, an empty list means its own', () => {
  assert.equal(cipherFault(''), undefined);
  assert.equal(cipherFault('TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256'), undefined);
  assert.equal(cipherFault('NONE-SUCH'), 'no cipher match');
});
