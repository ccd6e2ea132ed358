/**
 * Certificates of the mesh, by way of the library `@peculiar/x509` on WebCrypto: the one
 * file that knows it. What stands in them follows X509-SVID and RFC 5280.
 *
 *     root (no path limit) -> issuer (path length 0) -> workload
 */
// The library asks for it before it is loaded itself.
import 'reflect-metadata/lite';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type Name,
  Pkcs10CertificateRequest,
  type PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { sequence, tagged, uriName } from './der.ts';
import { backdateMs } from './renewal.ts';
import { type Flaw, readSpiffeId, type SpiffeId } from '../base/spiffe.ts';

/** A certificate, in what of it is asked. Times have whole seconds. */
export interface Certificate {
  /** SHA-256 of its DER: its name wherever we speak of it. */
  readonly id: string;
  readonly pem: string;
  /** Hex digits, lower case. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** A certificate of an authority, with the key that signs for it. */
export interface Signer {
  readonly certificate: Certificate;
  readonly parsed: X509Certificate;
  readonly key: webcrypto.CryptoKey;
  readonly algorithm: SigningAlgorithm;
}

interface SigningAlgorithm {
  readonly name: string;
  readonly hash: string;
}

export interface MadeAuthority {
  readonly certificate: Certificate;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

/** One request: an RSA key of 8192 bits and a few names take 3 KiB. */
const REQUEST_BYTES_MAX = 16 * 1_024;
const RSA_BITS_MIN = 2_048;
/** Beyond, every handshake of its peers would cost more than ours should. */
const RSA_BITS_MAX = 8_192;

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SHA256 = { name: 'ECDSA', hash: 'SHA-256' } as const;

const NAME_CONSTRAINTS = '2.5.29.30';
const SUBJECT_ALT_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';

export interface AuthorityWish {
  readonly trustDomain: string;
  readonly nowMs: number;
  readonly lifeMs: number;
}

/** A root that signs itself. */
export async function makeRoot(wish: AuthorityWish): Promise<MadeAuthority> {
  const keys = await newKeys();
  const name = `CN=Fourways root ${shortName()}`;
  const made = await X509CertificateGenerator.create({
    ...timesAndSerial(wish),
    subject: name,
    issuer: name,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: SHA256,
    extensions: await authorityExtensions(wish.trustDomain, {
      key: keys.publicKey,
      issuerKeyId: await AuthorityKeyIdentifierExtension.create(keys.publicKey),
      pathLength: undefined,
    }),
  });
  return { certificate: certificateOf(made), privateKeyPem: await privatePem(keys.privateKey) };
}

/** What signs workloads. It ends no later than its signer. */
export async function makeIssuer(wish: AuthorityWish, signer: Signer): Promise<MadeAuthority> {
  const keys = await newKeys();
  const made = await X509CertificateGenerator.create({
    ...timesAndSerial(wish, signer),
    ...signedBy(signer),
    subject: `CN=Fourways issuer ${shortName()}`,
    publicKey: keys.publicKey,
    extensions: await authorityExtensions(wish.trustDomain, {
      key: keys.publicKey,
      issuerKeyId: await keyIdOf(signer.parsed),
      pathLength: 0,
    }),
  });
  return { certificate: certificateOf(made), privateKeyPem: await privatePem(keys.privateKey) };
}

/**
 * The key and the name of another authority, vouched for by this one, for one trust domain
 * and nothing else. With it, who trusts the signer trusts what the other one issues.
 */
export async function makeCross(wish: AuthorityWish, otherPem: string, signer: Signer): Promise<Certificate> {
  const other = new X509Certificate(otherPem);
  const made = await X509CertificateGenerator.create({
    ...timesAndSerial({ ...wish, lifeMs: Math.min(wish.lifeMs, other.notAfter.getTime() - wish.nowMs) }, signer),
    ...signedBy(signer),
    subject: other.subjectName,
    publicKey: other.publicKey,
    extensions: await authorityExtensions(wish.trustDomain, {
      key: other.publicKey,
      issuerKeyId: await keyIdOf(signer.parsed),
      pathLength: undefined,
      keyId: other.getExtension(SubjectKeyIdentifierExtension)?.keyId,
    }),
  });
  return certificateOf(made);
}

/**
 * The root of another trust domain, fenced in: it is trusted for identities of its own trust domain and no other,
 * by every TLS engine. Its key is vouched for by an authority that nobody has the key of, and which may issue for
 * that trust domain only. Both certificates are put among those that are trusted.
 */
export async function makeFence(wish: AuthorityWish, foreignPem: string): Promise<readonly [string, string]> {
  const fence = await makeRoot(wish);
  const signer = await openSigner(fence.certificate.pem, fence.privateKeyPem);
  return [fence.certificate.pem, (await makeCross(wish, foreignPem, signer)).pem];
}

export interface LeafWish {
  /** SPIFFE ID. */
  readonly identity: string;
  readonly publicKey: PublicKey;
  readonly nowMs: number;
  readonly lifeMs: number;
}

/** A certificate of a workload. It ends no later than its issuer. */
export async function makeLeaf({ identity, publicKey, nowMs, lifeMs }: LeafWish, signer: Signer): Promise<Certificate> {
  const made = await X509CertificateGenerator.create({
    ...timesAndSerial({ nowMs, lifeMs }, signer),
    ...signedBy(signer),
    publicKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      // The subject is empty: then it is critical (RFC 5280 section 4.2.1.6).
      new SubjectAlternativeNameExtension([{ type: 'url', value: identity }], true),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await keyIdOf(signer.parsed),
    ],
  });
  return certificateOf(made);
}

/** @throws {Error} when they cannot be read or do not belong together: who brings them has them checked before */
export async function openSigner(certificatePem: string, privateKeyPem: string): Promise<Signer> {
  const parsed = new X509Certificate(certificatePem);
  const object = createPrivateKey(privateKeyPem);
  const algorithm = algorithmOf(object);
  const pkcs8 = object.export({ type: 'pkcs8', format: 'der' });
  const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
  return { certificate: certificateOf(parsed), parsed, key, algorithm };
}

interface ImportAlgorithm extends SigningAlgorithm {
  readonly namedCurve?: string;
}

function algorithmOf(key: KeyObject): ImportAlgorithm {
  const { namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  if (namedCurve === 'secp384r1') return { name: 'ECDSA', hash: 'SHA-384', namedCurve: 'P-384' };
  return { ...SHA256, namedCurve: P256.namedCurve };
}

export interface ReadRequest {
  readonly publicKey: PublicKey;
  /** URIs of its alternative names. */
  readonly asked: readonly string[];
}

/**
 * A request for a certificate, from a stranger: its signature, and whether its key is one that we certify.
 *
 * @param csr  PKCS #10 (RFC 2986), as PEM or DER
 */
export async function readRequest(csr: string | Uint8Array): Promise<ReadRequest | Flaw> {
  if (csr.length > REQUEST_BYTES_MAX) return { flaw: `The request has more than ${REQUEST_BYTES_MAX} bytes` };
  try {
    const request = new Pkcs10CertificateRequest(typeof csr === 'string' ? csr : Uint8Array.from(csr));
    const flaw = keyFlaw(createPublicKey({ key: Buffer.from(request.publicKey.rawData), type: 'spki', format: 'der' }));
    if (flaw !== undefined) return { flaw };
    if (!(await request.verify())) return { flaw: 'The request is not signed with its key' };
    return { publicKey: request.publicKey, asked: urisOf(request.extensions) };
  } catch {
    // What the library says of bytes is of no use to anybody.
    return { flaw: 'The request cannot be read: PKCS #10 is needed' };
  }
}

/** Why a key is not good enough; undefined when it is. */
export function keyFlaw(key: KeyObject): string | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const type = key.asymmetricKeyType;
  if (type === 'ed25519' || (type === 'ec' && namedCurve === 'prime256v1')) return undefined;
  if (type === 'rsa' && modulusLength >= RSA_BITS_MIN && modulusLength <= RSA_BITS_MAX) return undefined;
  const what = type === 'rsa' ? `RSA with ${modulusLength} bits` : [type, namedCurve].filter(Boolean).join(' ');
  return `The key is ${what}: P-256, Ed25519 or RSA with ${RSA_BITS_MIN} to ${RSA_BITS_MAX} bits is needed`;
}

/** The certificate of a workload as it was read. */
export interface Svid {
  readonly id: SpiffeId;
  /** The ID as it stands there. */
  readonly identity: string;
  readonly certificate: Certificate;
}

/**
 * The rules for certificates of workloads, which no TLS engine knows (X509-SVID sections 2 to 5). Signature,
 * trust and times are what the handshake has checked.
 */
export function readSvid(der: Uint8Array | string): Svid | Flaw {
  let parsed: X509Certificate;
  let uris: readonly string[];
  try {
    parsed = new X509Certificate(typeof der === 'string' ? der : Uint8Array.from(der));
    uris = urisOf(parsed.extensions);
  } catch {
    return { flaw: 'The certificate cannot be read' };
  }
  if (uris.length !== 1) return { flaw: `The certificate has ${uris.length} URIs: it should have exactly one` };
  const id = readSpiffeId(uris[0]!);
  if ('flaw' in id) return id;
  if (id.path === '') return { flaw: 'The certificate is of a trust domain, not of a workload' };
  const usage = parsed.getExtension(KeyUsagesExtension)?.usages ?? 0;
  const signsOthers = (usage & (KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign)) !== 0;
  if (parsed.getExtension(BasicConstraintsExtension)?.ca === true || signsOthers) {
    return { flaw: 'The certificate is of an authority, not of a workload' };
  }
  if ((usage & KeyUsageFlags.digitalSignature) === 0) return { flaw: 'The certificate may not sign a handshake' };
  return { id, identity: uris[0]!, certificate: certificateOf(parsed) };
}

/** What of an authority's certificate decides whether it can be one of ours. */
export interface AuthorityFacts {
  readonly certificate: Certificate;
  readonly isAuthority: boolean;
  readonly pathLength: number | undefined;
  readonly signsCertificates: boolean;
  readonly isSelfIssued: boolean;
  readonly uris: readonly string[];
  /** Hosts of URIs that it may issue for; empty: any. */
  readonly permitted: readonly string[];
  /** Hosts of URIs that it may not issue for. */
  readonly excluded: readonly string[];
}

/** @throws {Error} when it cannot be read */
export function readAuthority(pem: string): AuthorityFacts {
  const parsed = new X509Certificate(pem);
  const basic = parsed.getExtension<BasicConstraintsExtension>(BASIC_CONSTRAINTS);
  const usage = parsed.getExtension<KeyUsagesExtension>(KEY_USAGE)?.usages ?? 0;
  const constraints = parsed.getExtension(NAME_CONSTRAINTS);
  return {
    certificate: certificateOf(parsed),
    isAuthority: basic?.ca === true,
    pathLength: basic?.pathLength,
    signsCertificates: (usage & KeyUsageFlags.keyCertSign) !== 0,
    isSelfIssued: Buffer.from(parsed.subjectName.toArrayBuffer()).equals(
      Buffer.from(parsed.issuerName.toArrayBuffer()),
    ),
    uris: urisOf(parsed.extensions),
    ...constrainedHosts(Buffer.from(constraints?.value ?? new ArrayBuffer(0))),
  };
}

/** Hosts of URIs in name constraints. */
interface Constrained {
  readonly permitted: readonly string[];
  readonly excluded: readonly string[];
}

/**
 * Finds the names by their tag: trees are lists of names, and no other tag of a name is 0x86. Permitted trees stand
 * under the tag 0xa0, excluded ones under 0xa1 (RFC 5280 section 4.2.1.10).
 */
function constrainedHosts(constraints: Buffer): Constrained {
  const permitted: string[] = [];
  const excluded: string[] = [];
  const walk = (from: number, end: number, into: string[]): void => {
    for (let at = from; at + 2 <= end;) {
      const tag = constraints[at]!;
      const short = constraints[at + 1]!;
      const extra = short > 0x80 ? short & 0x7f : 0;
      const length = extra === 0 ? short : constraints.readUIntBE(at + 2, extra);
      const start = at + 2 + extra;
      if (tag === 0x86) into.push(constraints.toString('latin1', start, start + length));
      else if ((tag & 0x20) !== 0) walk(start, start + length, tag === 0xa1 ? excluded : into);
      at = start + length;
    }
  };
  walk(0, constraints.length, permitted);
  return { permitted, excluded };
}

interface AuthorityKeys {
  readonly key: PublicKey | webcrypto.CryptoKey;
  readonly issuerKeyId: AuthorityKeyIdentifierExtension;
  readonly pathLength: number | undefined;
  /** Of a key that has one already. */
  readonly keyId?: string | undefined;
}

async function authorityExtensions(trustDomain: string, { key, issuerKeyId, pathLength, keyId }: AuthorityKeys) {
  return [
    new BasicConstraintsExtension(true, pathLength, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    // An authority has the ID of its trust domain, without a path (X509-SVID section 3.1).
    new SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${trustDomain}` }]),
    // URIs of this host only (RFC 5280 section 4.2.1.10): a TLS engine refuses what it should not have issued.
    new Extension(NAME_CONSTRAINTS, true, Uint8Array.from(sequence(tagged(0, sequence(uriName(trustDomain)))))),
    keyId === undefined ? await SubjectKeyIdentifierExtension.create(key) : new SubjectKeyIdentifierExtension(keyId),
    issuerKeyId,
  ];
}

/** As the issuer says it itself: there is more than one way to make it, and a brought one has its own. */
async function keyIdOf(issuer: X509Certificate): Promise<AuthorityKeyIdentifierExtension> {
  const said = issuer.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  return said === undefined
    ? AuthorityKeyIdentifierExtension.create(issuer.publicKey)
    : new AuthorityKeyIdentifierExtension(said);
}

function signedBy({ parsed, key, algorithm }: Signer): {
  readonly issuer: Name;
  readonly signingKey: webcrypto.CryptoKey;
  readonly signingAlgorithm: SigningAlgorithm;
} {
  return { issuer: parsed.subjectName, signingKey: key, signingAlgorithm: algorithm };
}

function timesAndSerial(
  { nowMs, lifeMs }: { readonly nowMs: number; readonly lifeMs: number },
  signer?: Signer,
): { readonly serialNumber: string; readonly notBefore: Date; readonly notAfter: Date } {
  const endMs = Math.min(nowMs + lifeMs, signer?.certificate.notAfterMs ?? Infinity);
  return {
    // 128 bits of chance; a byte before them that is not zero and keeps the number positive.
    serialNumber: `01${randomBytes(16).toString('hex')}`,
    notBefore: wholeSeconds(nowMs - backdateMs(lifeMs)),
    notAfter: wholeSeconds(endMs),
  };
}

const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1_000) * 1_000);

/** Two authorities of one name would be one to a TLS engine that looks for an issuer. */
const shortName = (): string => randomBytes(8).toString('hex');

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, type: 'pkcs8', format: 'der' }).export({ type: 'pkcs8', format: 'pem' });
}

function certificateOf(parsed: X509Certificate): Certificate {
  return {
    id: createHash('sha256').update(Buffer.from(parsed.rawData)).digest('hex'),
    pem: `${parsed.toString('pem')}\n`,
    serial: parsed.serialNumber.toLowerCase(),
    notBeforeMs: parsed.notBefore.getTime(),
    notAfterMs: parsed.notAfter.getTime(),
  };
}

function urisOf(extensions: readonly Extension[]): string[] {
  // A copy, because lists of the library make lists of the library.
  return [...extensions]
    .filter((extension) => extension.type === SUBJECT_ALT_NAME)
    .flatMap((extension) => (extension as SubjectAlternativeNameExtension).names.items)
    .flatMap(({ type, value }) => (type === 'url' ? [value] : []));
}
