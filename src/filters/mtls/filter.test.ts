import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import type { Filter } from '../../filter/filter.ts';
import type { Identity } from '../../filter/identity.ts';
import { FileNotRead } from '../../filter/shared-file.ts';
import { makeEnv, makeExchange, type TestEnv } from '../../filter/testing/exchange.ts';
import type { ClientCertificate } from '../../net/client-certificate.ts';
import { check } from '../../schema/schema.ts';
import { MtlsConfig } from './config.ts';
import { code } from './filter.ts';
import { derOf, serialOf, TestAuthority } from './testing/authority.ts';

const CA = new TestAuthority();
const OTHER = new TestAuthority();
after(() => {
  CA[Symbol.dispose]();
  OTHER[Symbol.dispose]();
});

const ALICE = CA.issue(
  '/O=Shop/CN=alice',
  'URI:spiffe://shop.test/ns/a/sa/web,DNS:a.clients.shop.test,email:alice@shop.test',
);
const PLAIN = CA.issue('/CN=bob');

interface Made {
  readonly filter: Filter;
  readonly env: TestEnv;
  /** What a file says from now on. */
  readonly change: (file: string, text: string | Buffer) => void;
}

/** With files as the compiler hands them on. */
function lowered(config: MtlsConfig): MtlsConfig {
  const { crl } = config;
  if (crl === undefined) return config;
  const lists = crl.lists.map(({ file, ca }) => ({ file: { file }, ca: { file: ca } }));
  return { ...config, crl: { ...crl, lists: lists as never } };
}

function make(config: object, files: Record<string, string | Buffer> = {}): Made {
  const checked = check(MtlsConfig, config);
  assert.deepEqual(checked.issues, []);
  const listeners = new Map<string, (() => void)[]>();
  const env = makeEnv({
    // Certificates of these tests begin now.
    wallMs: () => Date.now() + env.nowMs(),
    readFile: ({ file }) => Buffer.from(files[file]!),
    watchFile: ({ file }, onChange) => {
      listeners.set(file, [...(listeners.get(file) ?? []), onChange]);
      return () => undefined;
    },
  });
  return {
    filter: code.make(lowered(checked.value!), env),
    env,
    change(file, text) {
      files[file] = text;
      for (const listener of listeners.get(file) ?? []) listener();
      for (let step = 0; step < 10; step++) env.advance(1);
    },
  };
}

function outcome(filter: Filter, clientCertificate: ClientCertificate | undefined): string {
  const found = filter.authenticate!(makeExchange({ client: { clientCertificate } })) as Identity | Fault | 'absent';
  if (found === 'absent') return found;
  return found instanceof Fault ? found.code : found.subject;
}

const WEB = 'spiffe://shop.test/ns/a/sa/web';
const NO = 'mtls.not-allowed';
const FINGERPRINT = ALICE.fingerprint;
const ALLOWED: [rule: string, entry: object, want: string][] = [
  ['a SPIFFE ID', { spiffe: [WEB] }, WEB],
  ['another SPIFFE ID', { spiffe: ['spiffe://shop.test/ns/a/sa/we'] }, NO],
  ['a trust domain', { spiffe: ['spiffe://shop.test/*'] }, WEB],
  ['another trust domain', { spiffe: ['spiffe://shop.tes/*'] }, NO],
  ['a trust domain alone is its own ID', { spiffe: ['spiffe://shop.test'] }, NO],
  ['a namespace', { spiffe: ['spiffe://other.test/*', 'spiffe://shop.test/ns/a/*'] }, WEB],
  ['a namespace that only begins alike', { spiffe: ['spiffe://shop.test/n/*'] }, NO],
  ['what is not below itself', { spiffe: [`${WEB}/*`] }, NO],
  ['a DNS name', { dns: ['A.clients.shop.test'] }, WEB],
  ['a DNS wildcard', { dns: ['*.clients.shop.test'] }, WEB],
  ['a DNS wildcard is one label', { dns: ['*.shop.test'] }, NO],
  ['the common name is no DNS name', { dns: ['alice'] }, NO],
  ['a URI', { uri: [WEB] }, WEB],
  ['the start of a URI', { uri: ['spiffe://shop.test/ns/*'] }, WEB],
  ['a mailbox', { email: ['alice@SHOP.test'] }, WEB],
  ['a mailbox in another case is another', { email: ['Alice@shop.test'] }, NO],
  ['anybody at a host', { email: ['*@shop.test'] }, WEB],
  ['anybody at another host', { email: ['*@test'] }, NO],
  ['a common name', { commonName: ['alice'] }, WEB],
  ['a subject', { subject: ['CN=alice,O=Shop'] }, WEB],
  ['a subject in another order', { subject: ['O=Shop,CN=alice'] }, NO],
  ['an issuer', { issuer: ['CN=Test CA,O=Shop'] }, WEB],
  ['another issuer', { issuer: ['CN=Test CA'] }, NO],
  ['a fingerprint', { fingerprint: [FINGERPRINT] }, WEB],
  [
    'a fingerprint as OpenSSL writes it',
    { fingerprint: [FINGERPRINT.toUpperCase().replaceAll(/(..)(?=.)/g, '$1:')] },
    WEB,
  ],
  ['another fingerprint', { fingerprint: [`00${FINGERPRINT.slice(2)}`] }, NO],
  ['all that is said must hold', { spiffe: [WEB], commonName: ['bob'] }, NO],
];

for (const [rule, entry, want] of ALLOWED) {
  test(`mtls: ${rule}`, () => assert.equal(outcome(make({ allow: [entry] }).filter, ALICE), want));
}

test('mtls: every verified certificate, where nothing else is said; none without', () => {
  const { filter } = make({});
  assert.equal(outcome(filter, PLAIN), 'CN=bob');
  assert.equal(outcome(filter, undefined), 'absent');
});

const SANS: [rule: string, san: string, want: string | undefined][] = [
  ['one URI', 'URI:spiffe://shop.test/a', 'spiffe://shop.test/a'],
  ['two URIs are no identity', 'URI:spiffe://shop.test/a,URI:spiffe://shop.test/b', undefined],
  ['nor is one beside another scheme', 'URI:spiffe://shop.test/a,URI:urn:x', undefined],
  ['a part that is empty', 'URI:spiffe://shop.test//a', undefined],
  ['a slash at the end', 'URI:spiffe://shop.test/a/', undefined],
  ['dots', 'URI:spiffe://shop.test/a/../b', undefined],
  ['a port', 'URI:spiffe://shop.test:443/a', undefined],
  ['a user', 'URI:spiffe://a@shop.test/a', undefined],
  ['a trust domain in upper case', 'URI:spiffe://Shop.test/a', undefined],
  ['a query', 'URI:spiffe://shop.test/a?b', undefined],
  ['another scheme', 'URI:https://shop.test/a', undefined],
];

for (const [rule, san, want] of SANS) {
  test(`mtls workload: ${rule}`, () => {
    const certificate = CA.issue('/CN=x', san);
    const found = make({}).filter.authenticate!(makeExchange({ client: { clientCertificate: certificate } }));
    assert.equal((found as Identity).workload, want);
    const trusted = make({ allow: [{ spiffe: ['spiffe://shop.test/*'] }] });
    assert.equal(outcome(trusted.filter, certificate), want ?? NO);
  });
}

test('mtls: a name that holds what parts names is one name', () => {
  const certificate = CA.issue('/CN=x', '@n\n[n]\nURI=urn:a, DNS:root.shop.test');
  assert.equal(outcome(make({ allow: [{ dns: ['root.shop.test'] }] }).filter, certificate), NO);
});

test('mtls: who that is, and whom the operator knows it as', () => {
  const identity = (config: object): Identity =>
    make(config).filter.authenticate!(makeExchange({ client: { clientCertificate: ALICE } })) as Identity;
  const { methods, subject, issuer, workload, consumer, claims } = identity({});
  assert.deepEqual(
    [methods, subject, issuer, workload, consumer, claims],
    [['mtls'], WEB, 'CN=Test CA,O=Shop', WEB, undefined, {}],
  );
  const named = { name: 'acme', groups: ['gold'], labels: { a: 'b' } };
  const allow = [{ spiffe: ['spiffe://other.test/*'] }, { commonName: ['alice'], consumer: named }];
  assert.deepEqual(identity({ allow, consumer: 'email' }).consumer, named);
  assert.equal(identity({ consumer: 'email' }).consumer?.name, 'alice@shop.test');
  assert.equal(identity({ consumer: 'commonName' }).consumer?.name, 'alice');
  assert.equal(identity({ consumer: 'dns' }).consumer?.name, 'a.clients.shop.test');
});

test('mtls: a certificate that expires on an open connection is good no more', () => {
  const { filter, env } = make({});
  const short = CA.issue('/CN=short', '', 1);
  assert.equal(outcome(filter, short), 'CN=short');
  env.advance(86_400_000);
  assert.equal(outcome(filter, short), 'mtls.expired');
});

// ---- revocation lists

const CRL = { lists: [{ file: 'list', ca: 'ca' }] };
const FRESH = CA.list();
const REVOKED = CA.list({ serials: [serialOf(PLAIN), '01', serialOf(ALICE)] });
const FORGED = OTHER.list({ serials: [serialOf(ALICE)] });
const UNKNOWN = 'mtls.revocation-unknown';

const LISTS: [rule: string, list: string | Buffer, want: string][] = [
  ['a list without it', FRESH, WEB],
  ['a list with it', REVOKED, 'mtls.revoked'],
  ['a list in DER', derOf(REVOKED), 'mtls.revoked'],
  ['a list of others', CA.list({ serials: [serialOf(PLAIN)] }), WEB],
  ['two lists in a file', FRESH + REVOKED, 'mtls.revoked'],
  [
    'a list that is only about users',
    CA.list({ extensions: 'issuingDistributionPoint=critical,@i\n[i]\nonlyuser=TRUE' }),
    WEB,
  ],
];

for (const [rule, list, want] of LISTS) {
  test(`mtls revocation: ${rule}`, () => {
    const { filter } = make({ crl: CRL }, { list, ca: CA.pem });
    assert.equal(outcome(filter, ALICE), want);
    assert.equal(outcome(filter, ALICE), want);
  });
}

const der = derOf(REVOKED);
const REFUSED: [rule: string, list: string | Buffer, ca: string, want: RegExp][] = [
  ['a list of another authority with the same name', FORGED, CA.pem, /was not signed by its authority/],
  [
    'a list that was changed',
    Buffer.from(der.toString('latin1').replace('Shop', 'Shoq'), 'latin1'),
    CA.pem,
    /was not signed by its authority/,
  ],
  [
    'a signature that was changed',
    Buffer.concat([der.subarray(0, -1), Buffer.from([der.at(-1)! ^ 1])]),
    CA.pem,
    /was not signed by its authority/,
  ],
  ['a list that is cut off', der.subarray(0, -1), CA.pem, /cut off/],
  ['no list', 'nothing', CA.pem, /holds no revocation list/],
  ['a certificate instead of a list', derOf(CA.pem), CA.pem, /no revocation list|another kind|not DER|written as/],
  ['a list instead of a certificate', FRESH, FRESH, /holds no certificate/],
  [
    'a list of a part of the certificates',
    CA.list({ extensions: 'issuingDistributionPoint=critical,@i\n[i]\nfullname=URI:http://a.test/' }),
    CA.pem,
    /only about some/,
  ],
  [
    'an indirect list',
    CA.list({ extensions: 'issuingDistributionPoint=critical,@i\n[i]\nindirectCRL=TRUE' }),
    CA.pem,
    /only about some/,
  ],
  [
    'a delta',
    CA.list({ extensions: '2.5.29.27=critical,DER:020101' }),
    CA.pem,
    /critical extension that is not known: 2\.5\.29\.27/,
  ],
  ['a list that SHA-1 signed', CA.list({ more: ['-md', 'sha1'] }), CA.pem, /was not signed by its authority/],
];

for (const [rule, list, ca, want] of REFUSED) {
  test(`mtls revocation: ${rule} lets nobody in until it is mended`, () => {
    const { filter, env, change } = make({ crl: CRL }, { list, ca });
    assert.throws(() => outcome(filter, ALICE), FileNotRead);
    assert.match(env.warnings.join('; '), want);
    change('list', FRESH);
    change('ca', CA.pem);
    assert.equal(outcome(filter, ALICE), WEB);
  });
}

test('mtls revocation: an authority whose key is not for lists is not believed', () => {
  using authority = new TestAuthority({ keyUsage: 'critical,keyCertSign' });
  const { filter, env } = make({ crl: CRL }, { list: FRESH, ca: authority.pem });
  assert.throws(() => outcome(filter, ALICE), FileNotRead);
  assert.match(env.warnings.join('; '), /not for signing revocation lists/);
});

const KEYS: [rule: string, key: string[], more: string[]][] = [
  ['RSA', ['-algorithm', 'RSA'], []],
  ['RSA-PSS', ['-algorithm', 'RSA'], ['-sigopt', 'rsa_padding_mode:pss']],
  ['ECDSA P-384', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], ['-md', 'sha384']],
  ['Ed25519', ['-algorithm', 'ED25519'], ['-md', 'default']],
];

for (const [rule, key, more] of KEYS) {
  test(`mtls revocation: a list that ${rule} signed`, () => {
    using authority = new TestAuthority({ key });
    const certificate = authority.issue('/CN=c');
    const list = authority.list({ serials: [serialOf(certificate)], more });
    assert.equal(outcome(make({ crl: CRL }, { list, ca: authority.pem }).filter, certificate), 'mtls.revoked');
  });
}

test('mtls revocation: certificates of an authority without a list', () => {
  const stranger = OTHER.issue('/CN=s');
  const files = { list: FRESH, ca: CA.pem };
  assert.equal(outcome(make({ crl: CRL }, files).filter, stranger), UNKNOWN);
  assert.equal(outcome(make({ crl: { ...CRL, whenMissing: 'accept' } }, files).filter, stranger), 'CN=s');
});

test('mtls revocation: the same serial number of another authority is another certificate', () => {
  const stranger = OTHER.issue('/CN=s');
  const list = CA.list({ serials: [serialOf(stranger)] });
  const crl = {
    lists: [
      { file: 'list', ca: 'ca' },
      { file: 'other', ca: 'otherCa' },
    ],
  };
  const { filter } = make({ crl }, { list, ca: CA.pem, other: OTHER.list(), otherCa: OTHER.pem });
  assert.equal(outcome(filter, stranger), 'CN=s');
});

// ---- authorities between the client and the root

const ROOT = new TestAuthority({ subject: '/O=Shop/CN=Root' });
const MIDDLE = new TestAuthority({ subject: '/O=Shop/CN=Middle', issuer: ROOT });
/** The same authority with the same key, certified anew. */
const MIDDLE_AGAIN = new TestAuthority({ subject: '/O=Shop/CN=Middle', issuer: ROOT, sameAs: MIDDLE });
const LOW = new TestAuthority({ subject: '/O=Shop/CN=Low', issuer: MIDDLE });
after(() => {
  for (const authority of [ROOT, MIDDLE, MIDDLE_AGAIN, LOW]) authority[Symbol.dispose]();
});
const CAROL = LOW.issue('/CN=carol');

const serialIn = (pem: string): string => new X509Certificate(pem).serialNumber;
const about = (which: string): string => `issuingDistributionPoint=critical,@i\n[i]\n${which}=TRUE`;
const CHAIN = {
  lists: [
    { file: 'low', ca: 'lowCa' },
    { file: 'middle', ca: 'middleCa' },
    { file: 'root', ca: 'rootCa' },
  ],
};
const CHAIN_FILES = {
  low: LOW.list(),
  lowCa: LOW.pem,
  middle: MIDDLE.list(),
  middleCa: MIDDLE.pem,
  root: ROOT.list(),
  rootCa: ROOT.pem,
};
const MIDDLE_REVOKED = ROOT.list({ serials: [serialIn(MIDDLE.pem)] });
const NO_ROOT = { lists: CHAIN.lists.slice(0, 2) };

const ABOVE: [rule: string, crl: object, files: Partial<typeof CHAIN_FILES>, want: string][] = [
  ['none of them', CHAIN, {}, 'CN=carol'],
  ['the client', CHAIN, { low: LOW.list({ serials: [serialOf(CAROL)] }) }, 'mtls.revoked'],
  ['the authority above', CHAIN, { middle: MIDDLE.list({ serials: [serialIn(LOW.pem)] }) }, 'mtls.revoked'],
  ['the authority above that', CHAIN, { root: MIDDLE_REVOKED }, 'mtls.revoked'],
  ['it, where only clients are looked up', { ...CHAIN, scope: 'client' }, { root: MIDDLE_REVOKED }, 'CN=carol'],
  ['no list of the root', NO_ROOT, {}, UNKNOWN],
  ['no list of the root, which does not matter', { ...NO_ROOT, whenMissing: 'accept' }, {}, 'CN=carol'],
  ['no list of the root, where only clients are looked up', { ...NO_ROOT, scope: 'client' }, {}, 'CN=carol'],
  [
    'the authority above, though a list is missing',
    NO_ROOT,
    { middle: MIDDLE.list({ serials: [serialIn(LOW.pem)] }) },
    'mtls.revoked',
  ],
  [
    'a list of the root that is only about users',
    CHAIN,
    { root: ROOT.list({ extensions: about('onlyuser') }) },
    UNKNOWN,
  ],
  [
    'a list of the root that is only about authorities',
    CHAIN,
    { root: ROOT.list({ extensions: about('onlyCA'), serials: [serialIn(MIDDLE.pem)] }) },
    'mtls.revoked',
  ],
  [
    'a list of authorities that says nothing of clients',
    CHAIN,
    { low: LOW.list({ extensions: about('onlyCA') }) },
    UNKNOWN,
  ],
  [
    'one of two certificates of an authority',
    CHAIN,
    { root: MIDDLE_REVOKED, middleCa: MIDDLE.pem + MIDDLE_AGAIN.pem },
    'CN=carol',
  ],
  [
    'both certificates of an authority',
    CHAIN,
    {
      root: ROOT.list({ serials: [serialIn(MIDDLE.pem), serialIn(MIDDLE_AGAIN.pem)] }),
      middleCa: MIDDLE.pem + MIDDLE_AGAIN.pem,
    },
    'mtls.revoked',
  ],
];

for (const [rule, crl, files, want] of ABOVE) {
  test(`mtls revocation in the chain: ${rule}`, () => {
    const { filter } = make({ crl }, { ...CHAIN_FILES, ...files });
    assert.equal(outcome(filter, CAROL), want);
  });
}

test('mtls revocation in the chain: a list of the root that changes, or gets old, counts for clients', () => {
  const { filter, env, change } = make({ crl: CHAIN }, { ...CHAIN_FILES, root: ROOT.list({ days: 1 }) });
  assert.equal(outcome(filter, CAROL), 'CN=carol');
  env.advance(86_400_000);
  assert.equal(outcome(filter, CAROL), UNKNOWN);
  change('root', ROOT.list());
  assert.equal(outcome(filter, CAROL), 'CN=carol');
  change('root', MIDDLE_REVOKED);
  assert.equal(outcome(filter, CAROL), 'mtls.revoked');
});

test('mtls revocation in the chain: authorities that certify each other end somewhere', () => {
  const one = new TestAuthority({ subject: '/CN=One' });
  const two = new TestAuthority({ subject: '/CN=Two', issuer: one });
  const back = new TestAuthority({ subject: '/CN=One', issuer: two, sameAs: one });
  try {
    const files = { list: two.list(), ca: two.pem + back.pem, oneList: one.list() };
    const crl = {
      lists: [
        { file: 'list', ca: 'ca' },
        { file: 'oneList', ca: 'ca' },
      ],
    };
    assert.equal(outcome(make({ crl }, files).filter, two.issue('/CN=dave')), UNKNOWN);
  } finally {
    for (const authority of [one, two, back]) authority[Symbol.dispose]();
  }
});

for (const [whenStale, want] of [
  ['refuse', UNKNOWN],
  ['accept', WEB],
] as const) {
  test(`mtls revocation: a list past its next update, ${whenStale}`, () => {
    const crl = { ...CRL, whenStale };
    const { filter, env } = make({ crl }, { list: CA.list({ days: 1, serials: [serialOf(PLAIN)] }), ca: CA.pem });
    assert.equal(outcome(filter, ALICE), WEB);
    env.advance(86_400_000);
    assert.equal(outcome(filter, ALICE), want);
    assert.equal(outcome(filter, PLAIN), 'mtls.revoked', 'what was taken back stays so');
  });
}

test('mtls revocation: a list that changes counts at once, also for connections that are open', () => {
  const { filter, change, env } = make({ crl: CRL }, { list: FRESH, ca: CA.pem });
  assert.equal(outcome(filter, ALICE), WEB);
  change('list', REVOKED);
  assert.equal(outcome(filter, ALICE), 'mtls.revoked');
  change('list', 'nothing');
  assert.equal(outcome(filter, ALICE), 'mtls.revoked', 'one that is wrong changes nothing');
  assert.equal(env.counts.get('file_refused'), 1);
});

test('mtls revocation: a forged list in the place of the good one is not believed', () => {
  const { filter, change } = make({ crl: CRL }, { list: FRESH, ca: CA.pem });
  change('list', OTHER.list());
  assert.equal(outcome(filter, ALICE), UNKNOWN);
});

test('mtls revocation: every cut of a list is refused, none is read beyond its end', () => {
  for (let end = 0; end < der.length; end += 7) {
    const { filter } = make({ crl: CRL }, { list: der.subarray(0, end), ca: CA.pem });
    assert.throws(() => outcome(filter, ALICE), FileNotRead);
  }
});

test('mtls revocation: a hundred thousand entries are read in steps', () => {
  const serials = Array.from({ length: 100_000 }, (_, i) => (2n ** 100n + BigInt(i)).toString(16).toUpperCase());
  const list = CA.list({ serials: [...serials, serialOf(ALICE)] });
  const { filter } = make({ crl: CRL }, { list, ca: CA.pem });
  assert.equal(outcome(filter, ALICE), 'mtls.revoked');
  assert.equal(outcome(filter, PLAIN), 'CN=bob');
});
