/** What operators bring: every mistake is found, at its place; what is right serves. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { after, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { formatProblem } from '../base/problem.ts';
import { type Certified, makeCertificate } from '../net/testing/certificates.ts';
import { type BroughtText, readBrought, readForeignRoots } from './brought.ts';
import { Rotor } from './rotor.ts';
import { DAY_MS, Home, HOUR_MS, Member, TRUST_DOMAIN } from './testing/home.ts';
import { OpenSsl } from './testing/openssl.ts';
import { makeIssuer, makeRoot, openSigner } from './x509.ts';

const openssl = new OpenSsl();
after(() => openssl[Symbol.dispose]());

const nowMs = systemClock.wallMs();
const ca = (subject: string, issuer?: Certified, more: Parameters<typeof makeCertificate>[0] = {}): Certified =>
  makeCertificate({ kind: 'ca', subject, ...(issuer === undefined ? {} : { issuer }), ...more });

const root = ca('Corporate root');
const middle = ca('Corporate mesh', root);
const issuer = ca('Issuer', middle);
const rsa = ca('RSA issuer', root, { keyKind: 'rsa' });
const other = ca('Other root');
const leaf = makeCertificate({ kind: 'server', subject: 'Leaf', issuer: root });
const ended = ca('Ended', root, { notAfterMs: nowMs - 1_000 });
const early = ca('Early', root, { notBeforeMs: nowMs + DAY_MS });
const elsewhere = ca('Elsewhere', root, { uris: ['spiffe://other.test'] });
const own = ca('Own', root, { uris: [`spiffe://${TRUST_DOMAIN}`] });
const edKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });

const at = (text: string, file: string): BroughtText => ({
  text,
  at: { file, line: 10, column: 3 },
  field: `/${file}`,
});
const pems = (...list: readonly Certified[]): string => list.map(({ leafPem }) => leafPem).join('');

const strictRoot = await makeRoot({ trustDomain: 'other.test', nowMs, lifeMs: DAY_MS });
const strictSigner = await openSigner(strictRoot.certificate.pem, strictRoot.privateKeyPem);
const strict = await makeIssuer({ trustDomain: 'other.test', nowMs, lifeMs: DAY_MS }, strictSigner);
const tooDeep = await makeIssuer(
  { trustDomain: TRUST_DOMAIN, nowMs, lifeMs: DAY_MS },
  await openSigner(strict.certificate.pem, strict.privateKeyPem),
);

const ROWS: [rule: string, chain: string, key: string, want: readonly RegExp[]][] = [
  ['issuer, intermediate and root', pems(issuer, middle, root), issuer.privateKeyPem, []],
  ['an RSA issuer', pems(rsa, root), rsa.privateKeyPem, []],
  ['one that has the ID of the trust domain', pems(own, root), own.privateKeyPem, []],
  ['a passage before and after PEM', `# ours\n${pems(own, root)}\nend\n`, own.privateKeyPem, []],
  ['no certificate', 'hello', issuer.privateKeyPem, [/^chain:10:3: error: No PEM certificate/]],
  [
    'a certificate that is none',
    `${pems(own)}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    own.privateKeyPem,
    [/^chain:\d\d:1: error: Certificate 2 cannot be read/, /The root is missing/],
  ],
  ['a key that is none', pems(own, root), 'hello', [/^key:10:3: error: The private key cannot be read/]],
  ['a key of another one', pems(own, root), root.privateKeyPem, [/^key:10:3: error: The private key does not belong/]],
  ['an Ed25519 key', pems(own, root), edKey, [/The key is Ed25519/]],
  ['the root is missing', pems(issuer, middle), issuer.privateKeyPem, [/^chain:\d+:1: error: The root is missing/]],
  [
    'the order is wrong',
    pems(middle, issuer, root),
    middle.privateKeyPem,
    [/Certificate 1 is not signed by certificate 2/, /Certificate 2 is not signed by certificate 3/],
  ],
  [
    'the root is of somebody else',
    pems(own, other),
    own.privateKeyPem,
    [/Certificate 1 is not signed by certificate 2/],
  ],
  ['a root alone', pems(root), root.privateKeyPem, [/The only certificate is a root/]],
  [
    'a certificate of a server',
    pems(leaf, root),
    leaf.privateKeyPem,
    [/^chain:10:3: error: The certificate is not of an authority/],
  ],
  ['one that has ended', pems(ended, root), ended.privateKeyPem, [/The certificate has ended on 20/]],
  ['one that begins later', pems(early, root), early.privateKeyPem, [/The certificate begins on 20/]],
  [
    'one of another trust domain',
    pems(elsewhere, root),
    elsewhere.privateKeyPem,
    [/is of "spiffe:\/\/other.test": it should be of "spiffe:\/\/cluster.local"/],
  ],
  [
    'one that may not issue for this trust domain',
    strict.certificate.pem + strictRoot.certificate.pem,
    strict.privateKeyPem,
    [
      /of "spiffe:\/\/other.test"/,
      /permits "other.test" only/,
      /of "spiffe:\/\/other.test"/,
      /permits "other.test" only/,
    ],
  ],
  [
    'one below an issuer that allows none',
    tooDeep.certificate.pem + strict.certificate.pem + strictRoot.certificate.pem,
    tooDeep.privateKeyPem,
    [/of "spiffe/, /permits/, /of "spiffe/, /permits/, /allows 0 authorities below it: there are 1/],
  ],
  [
    'everything at once',
    pems(ended, other),
    issuer.privateKeyPem,
    [/has ended/, /not signed by certificate 2/, /does not belong/],
  ],
];

for (const [rule, chain, key, want] of ROWS) {
  test(`readBrought: ${rule}`, () => {
    const read = readBrought({ chain: at(chain, 'chain'), key: at(key, 'key'), trustDomain: TRUST_DOMAIN, nowMs });
    const found = 'root' in read ? [] : read.map((problem) => formatProblem(problem)).toSorted();
    assert.equal(found.length, want.length, found.join('\n'));
    for (const one of want)
      assert.ok(
        found.some((text) => one.test(text)),
        `${one} in\n${found.join('\n')}`,
      );
    assert.doesNotMatch(JSON.stringify(found), /PRIVATE/);
  });
}

test('readBrought: a problem has the line of its certificate', () => {
  const chain = `# one\n\n${pems(own)}# two\n${pems(other)}`;
  const read = readBrought({
    chain: at(chain, 'chain'),
    key: at(own.privateKeyPem, 'key'),
    trustDomain: TRUST_DOMAIN,
    nowMs,
  });
  assert.ok(!('root' in read));
  assert.deepEqual(read[0]?.at, { file: 'chain', line: 12, column: 1 });
});

/** A root of OpenSSL. @param constraints  as its configuration has them */
function constrained(constraints: string): string {
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    '/dev/null',
  ];
  const extensions = [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign',
    `nameConstraints=critical,${constraints}`,
  ];
  const more = extensions.flatMap((extension) => ['-addext', extension]);
  return execFileSync('openssl', [...args, '-subj', '/CN=Constrained', ...more], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

const FOREIGN: [rule: string, trustDomain: string, text: string, want: readonly RegExp[]][] = [
  ['roots', 'other.test', pems(root, other), []],
  ['a root with the ID of its trust domain', 'other.test', strictRoot.certificate.pem, []],
  [
    'a root of a third one',
    'third.test',
    strictRoot.certificate.pem,
    [/of "spiffe:\/\/other.test"/, /permits "other.test"/],
  ],
  ['a root that permits what ends so', 'other.test', constrained('permitted;URI:.test,permitted;DNS:x.test'), []],
  ['a root whose constraints are about hosts only', 'other.test', constrained('permitted;DNS:x.test'), []],
  ['a root that permits others', 'other.test', constrained('permitted;URI:.example'), [/permits ".example" only/]],
  [
    'a root that excludes it',
    'other.test',
    constrained('permitted;URI:.test,excluded;URI:other.test'),
    [/excludes "other.test"/],
  ],
  ['the own trust domain', TRUST_DOMAIN, pems(root), [/is the own trust domain/]],
  ['no root', 'other.test', pems(issuer), [/roots are needed/]],
  ['a server', 'other.test', pems(leaf), [/not of an authority/, /roots are needed/]],
  ['nothing', 'other.test', '', [/No PEM certificate/]],
  ['too many', 'other.test', pems(...Array.from({ length: 9 }, () => root)), [/There are 9 roots/]],
];

for (const [rule, trustDomain, text, want] of FOREIGN) {
  test(`readForeignRoots: ${rule}`, () => {
    const read = readForeignRoots(at(text, 'roots'), {
      trustDomain,
      ownTrustDomain: TRUST_DOMAIN,
      // Those of OpenSSL begin when they are made.
      nowMs: nowMs + HOUR_MS,
    });
    const found = 'pems' in read ? [] : read.map((problem) => formatProblem(problem));
    assert.equal(found.length, want.length, found.join('\n'));
    for (const one of want)
      assert.ok(
        found.some((line) => one.test(line)),
        found.join('\n'),
      );
  });
}

test('a mesh goes over to an issuer that was brought, with overlap, and begins with one', async () => {
  await using home = await Home.open();
  const authority = await home.authority();
  const rotor = new Rotor(authority);
  const [one, two] = [await Member.join(authority, 'one'), await Member.join(authority, 'two')];
  const brought = readBrought({
    chain: at(pems(issuer, middle, root), 'chain'),
    key: at(issuer.privateKeyPem, 'key'),
    trustDomain: TRUST_DOMAIN,
    nowMs,
  });
  assert.ok('root' in brought);
  const verify = (of: Member, by: Member): string =>
    openssl.verify({ chainPem: of.issued.chainPem, trusted: by.trusted, atMs: home.clock.wallMs() });

  assert.equal(await rotor.adopt(brought), undefined);
  assert.equal((await rotor.adopt(brought))?.refused, 'rotation.busy');
  assert.deepEqual((await rotor.step()).move, { does: 'wait', for: 'trust', count: 2 });
  await one.trust(authority);
  await two.trust(authority);
  assert.deepEqual((await rotor.step()).move, { does: 'wait', for: 'renewal', count: 2 });
  await one.renew(authority);
  assert.equal(verify(one, two), 'OK');
  assert.equal(verify(two, one), 'OK');
  await two.renew(authority);
  await rotor.step();
  await one.trust(authority);
  await two.trust(authority);
  assert.equal((await rotor.step()).move.does, 'rest');
  assert.deepEqual(authority.bundle.roots.length, 1);
  assert.equal(verify(one, two), 'OK');
  assert.equal(one.issued.chainPem.match(/BEGIN CERTIFICATE/g)?.length, 3, 'leaf, issuer and intermediate');
  assert.equal((await rotor.ask('issuer'))?.refused, 'rotation.impossible');
  assert.equal(await rotor.adopt(brought), undefined, 'it is in use already');

  await home.empty();
  const fresh = await home.authority({ brought });
  const third = await Member.join(fresh, 'three');
  assert.equal(
    openssl.verify({ chainPem: third.issued.chainPem, trusted: [root.leafPem], atMs: home.clock.wallMs() }),
    'OK',
  );
  // Its end is near for ever: it is not ours to replace.
  home.clock.advance(29 * DAY_MS);
  assert.equal((await new Rotor(fresh).step()).move.does, 'rest');
});
