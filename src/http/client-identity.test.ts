import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { type ClientCertificate, readClientCertificate } from '../net/client-certificate.ts';
import { type CertificateWish, makeCertificate } from '../net/testing/certificates.ts';
import { dropClientIdentity, identityLine } from './client-identity.ts';
import { Headers } from './headers.ts';

function certificateOf(wish: CertificateWish): ClientCertificate {
  return readClientCertificate(new X509Certificate(makeCertificate({ kind: 'client', ...wish }).leafPem));
}

test('Client-Cert holds the certificate as RFC 9440 has it', () => {
  const certificate = certificateOf({ subject: 'a' });
  const [, value] = /^client-cert: :([A-Za-z0-9+/=]+):\r\n$/.exec(identityLine('client-cert', certificate))!;
  assert.equal(new X509Certificate(Buffer.from(value!, 'base64')).subject, 'CN=a');
});

test('nothing is written where nothing is asked for', () => {
  assert.equal(identityLine('none', certificateOf({})), '');
});

test("the form is the listener's, also when one connection reaches several", () => {
  const certificate = certificateOf({});
  for (const form of ['xfcc', 'client-cert', 'xfcc', 'none', 'client-cert'] as const) {
    const name = { xfcc: 'x-forwarded-client-cert', 'client-cert': 'client-cert', none: '' }[form];
    assert.equal(identityLine(form, certificate).split(':')[0], name);
  }
});

// What a certificate authority signs may still be meant to deceive.
const ELEMENTS: [rule: string, wish: CertificateWish, want: string][] = [
  [
    'subject and names',
    { subject: 'a', hosts: ['a.test'], uris: ['spiffe://t/a'] },
    'Subject="CN=a";URI=spiffe://t/a;DNS=a.test',
  ],
  ['no names', { subject: 'a' }, 'Subject="CN=a"'],
  [
    'what parts elements, in a subject',
    { subject: 'a";Hash=0,Subject="b' },
    'Subject="CN=a\\"\\;Hash=0\\,Subject=\\"b"',
  ],
  ['a backslash at the end of a subject', { subject: 'a\\' }, 'Subject="CN=a\\\\"'],
  ['a line end in a subject', { subject: 'a\r\nx: y\nCN=b' }, 'Subject="CN=a\\0D\\0Ax: y\\0ACN=b"'],
  ['other letters', { subject: 'Jürgen 日' }, 'Subject="CN=J\\C3\\BCrgen \\E6\\97\\A5"'],
  ['what parts elements, in a name', { subject: 'a', uris: ['u:";Hash=0,x'] }, 'Subject="CN=a";URI="u:\\";Hash=0,x"'],
  ['a backslash in a name', { subject: 'a', uris: ['u:a\\'] }, 'Subject="CN=a";URI="u:a\\\\"'],
  ['a line end in a name', { subject: 'a', uris: ['u:a\r\nx: y'] }, 'Subject="CN=a";URI="u:a\\0D\\0Ax: y"'],
];
for (const [rule, wish, want] of ELEMENTS) {
  test(`X-Forwarded-Client-Cert: ${rule}`, () => {
    const certificate = certificateOf(wish);
    const line = identityLine('xfcc', certificate);
    assert.equal(line, `x-forwarded-client-cert: Hash=${certificate.fingerprint};${want}\r\n`);
    assert.match(line, /^[ -~]*\r\n$/);
  });
}

test('X-Forwarded-Client-Cert: names without end are cut', () => {
  const hosts = Array.from({ length: 50 }, (_, i) => `h${i}.test`);
  assert.equal(identityLine('xfcc', certificateOf({ hosts })).split('DNS=').length, 1 + 16);
});

const SPELLINGS = ['Client-Cert', 'CLIENT-CERT', 'client_cert', 'Client-Cert-Chain', 'client-cert_chain'];
const FORWARDED = ['X-Forwarded-Client-Cert', 'x_forwarded_client_cert', 'X-FORWARDED_client-cert'];
const OTHERS = ['Client-Certificate', 'X-Client-Cert', 'client_id', 'X-Forwarded-For'];

test('fields are taken out in every spelling, and no others', () => {
  const headers = Headers.of([...SPELLINGS, ...FORWARDED, ...OTHERS].map((name) => [name, 'x']));
  dropClientIdentity(headers, 'all');
  assert.equal(headers.toLines(), OTHERS.map((name) => `${name}: x\r\n`).join(''));
});

test('of a proxy of ours only misspelt ones are taken out', () => {
  const headers = Headers.of([...SPELLINGS, ...FORWARDED, ...OTHERS].map((name) => [name, 'x']));
  dropClientIdentity(headers, 'misspelt');
  const left = ['Client-Cert', 'CLIENT-CERT', 'Client-Cert-Chain', 'X-Forwarded-Client-Cert', ...OTHERS];
  assert.equal(headers.toLines(), left.map((name) => `${name}: x\r\n`).join(''));
});
