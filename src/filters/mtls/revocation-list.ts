/**
 * Certificate revocation lists (RFC 5280 section 5). Read by a small reader of
 * DER of our own: lists of a busy authority have a hundred thousand entries, which
 * libraries refuse or take seconds for (decision 0049).
 */
import { constants, createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto';
import { type CertificateParts, partsOf } from './certificate-facts.ts';
import {
  BIT_STRING,
  contentOf,
  type Element,
  elementAt,
  elementsIn,
  extensionsIn,
  INTEGER,
  oidOf,
  SEQUENCE,
  timeOf,
  UTC_TIME,
  GENERALIZED_TIME,
  wholeOf,
} from './der.ts';

export interface RevocationList {
  /** Name of the authority, as DER. */
  readonly issuer: Buffer;
  /** Which certificates of it the list is about (section 5.2.5). */
  readonly about: 'all' | 'users' | 'authorities';
  /** Content of serial numbers, as lower-case hex. */
  readonly revoked: ReadonlySet<string>;
  /** Infinity where the list does not say when the next one comes. */
  readonly nextUpdateMs: number;
  /** What is signed, by what, and the signature. */
  readonly signed: { readonly bytes: Buffer; readonly algorithm: Buffer; readonly signature: Buffer };
}

/** An authority whose lists are believed. */
export interface Authority {
  readonly x509: X509Certificate;
  readonly key: KeyObject;
  readonly parts: CertificateParts;
}

/** Longest file of lists: two million entries. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

/** Entries between two pauses: a millisecond or two. */
const ENTRIES_PER_STEP = 1_000;

/** The lists of a file, PEM or DER; pauses between steps. @throws {Error} when one is wrong */
export function* readLists(file: Buffer): Generator<undefined, readonly RevocationList[]> {
  if (file.length > FILE_BYTES_MAX) throw new Error(`It is longer than ${FILE_BYTES_MAX} bytes`);
  const lists: RevocationList[] = [];
  for (const der of blocksOf(file, 'X509 CRL')) lists.push(yield* readList(der));
  if (lists.length === 0) throw new Error('It holds no revocation list');
  return lists;
}

/** Certificates of authorities of a file, PEM or DER. @throws {Error} when there is none, or one may not sign lists */
export function readAuthorities(file: Buffer): readonly Authority[] {
  const authorities = blocksOf(file, 'CERTIFICATE').map((der) => {
    const parts = partsOf(der);
    const x509 = new X509Certificate(der);
    // RFC 5280 section 4.2.1.3: bit 6, cRLSign. The first byte counts bits that are not used.
    if (parts.keyUsage !== undefined && ((parts.keyUsage[1] ?? 0) & 0x02) === 0) {
      throw new Error('It holds a certificate whose key is not for signing revocation lists (cRLSign)');
    }
    return { x509, key: createPublicKey(x509.publicKey.export({ format: 'pem', type: 'spki' })), parts };
  });
  if (authorities.length === 0) throw new Error('It holds no certificate');
  return authorities;
}

function blocksOf(file: Buffer, label: string): Buffer[] {
  if (file[0] === SEQUENCE) return [file];
  const pattern = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----`, 'g');
  return Array.from(file.toString('latin1').matchAll(pattern), ([, body]) => Buffer.from(body!, 'base64'));
}

/** RFC 5280 section 5.1. */
function* readList(der: Buffer): Generator<undefined, RevocationList> {
  const [tbs, algorithm, signature] = elementsIn(der, elementAt(der, 0, der.length, SEQUENCE));
  if (tbs?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE || signature?.tag !== BIT_STRING) {
    throw new Error('It is no revocation list');
  }
  const all = elementsIn(der, tbs);
  // The version is left out where it is the first one.
  const [inner, issuer, thisUpdate, ...rest] = all[0]?.tag === INTEGER ? all.slice(1) : all;
  if (inner?.tag !== SEQUENCE || issuer?.tag !== SEQUENCE || thisUpdate === undefined)
    throw new Error('It is no revocation list');
  // Section 5.1.1.2: the algorithm that is signed is the one that is said.
  if (!wholeOf(der, inner).equals(wholeOf(der, algorithm))) throw new Error('It names two signature algorithms');
  const next = rest[0]?.tag === UTC_TIME || rest[0]?.tag === GENERALIZED_TIME ? rest.shift() : undefined;
  const entries = rest[0]?.tag === SEQUENCE ? rest.shift() : undefined;
  timeOf(der, thisUpdate);
  const about = readExtensions(der, rest[0]);
  return {
    issuer: Buffer.from(wholeOf(der, issuer)),
    about,
    revoked: entries === undefined ? new Set() : yield* readEntries(der, entries),
    nextUpdateMs: next === undefined ? Infinity : timeOf(der, next),
    signed: {
      bytes: wholeOf(der, tbs),
      algorithm: wholeOf(der, algorithm),
      // The first byte of a BIT STRING counts bits that are not used: none, of a signature.
      signature: contentOf(der, signature).subarray(1),
    },
  };
}

const ISSUING_DISTRIBUTION_POINT = '2.5.29.28';
const CERTIFICATE_ISSUER = '2.5.29.29';

/** Section 5.2.5: [1] onlyContainsUserCerts, [2] onlyContainsCACerts. */
const ABOUT: Readonly<Record<number, 'users' | 'authorities'>> = { 0x81: 'users', 0x82: 'authorities' };

/** A list that says less than it seems to must not be taken for the whole (section 5.2). */
function readExtensions(der: Buffer, tagged: Element | undefined): RevocationList['about'] {
  let about: RevocationList['about'] = 'all';
  if (tagged === undefined) return about;
  for (const { oid, critical, value } of extensionsIn(der, elementAt(der, tagged.start, tagged.end, SEQUENCE))) {
    if (oid === ISSUING_DISTRIBUTION_POINT) {
      const [first, ...others] = elementsIn(der, value);
      const kind = others.length > 0 ? undefined : ABOUT[first?.tag ?? -1];
      if (first !== undefined && kind === undefined) {
        throw new Error('It is only about some certificates (issuing distribution point)');
      }
      about = kind ?? 'all';
    } else if (critical) throw new Error(`It has a critical extension that is not known: ${oid}`);
  }
  return about;
}

function* readEntries(der: Buffer, entries: Element): Generator<undefined, Set<string>> {
  const revoked = new Set<string>();
  for (let at = entries.start; at < entries.end;) {
    const entry = elementAt(der, at, entries.end, SEQUENCE);
    const serial = elementAt(der, entry.start, entry.end, INTEGER);
    const date = elementAt(der, serial.end, entry.end);
    if (date.end < entry.end) checkEntry(der, elementAt(der, date.end, entry.end, SEQUENCE));
    revoked.add(contentOf(der, serial).toString('hex'));
    at = entry.end;
    if (revoked.size % ENTRIES_PER_STEP === 0) yield;
  }
  return revoked;
}

/** Section 5.3.3: an entry of another authority changes what all entries after it mean. */
function checkEntry(der: Buffer, extensions: Element): void {
  for (const { oid, critical } of extensionsIn(der, extensions)) {
    if (oid === CERTIFICATE_ISSUER) throw new Error('It lists certificates of other authorities (indirect)');
    if (critical) throw new Error(`An entry has a critical extension that is not known: ${oid}`);
  }
}

/** Signature algorithms by their names (RFC 4055, RFC 5758, RFC 8410). What SHA-1 signed is not believed. */
const HASHES: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
  '1.3.101.113': null,
};

const RSA_PSS = '1.2.840.113549.1.1.10';

const PSS_HASHES: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** Whether this authority made the list: by its name and its key. */
export function isSignedBy({ issuer, signed }: RevocationList, { key, parts }: Authority): boolean {
  if (!issuer.equals(parts.subject)) return false;
  const { algorithm, bytes, signature } = signed;
  const [name, parameters] = elementsIn(algorithm, elementAt(algorithm, 0, algorithm.length, SEQUENCE));
  const oid = oidOf(algorithm, name!);
  try {
    if (oid === RSA_PSS) {
      const hash = pssHash(algorithm, parameters);
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return verify(hash, bytes, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_AUTO }, signature);
    }
    const hash = HASHES[oid];
    return hash !== undefined && verify(hash, bytes, key, signature);
  } catch {
    return false;
  }
}

/** RFC 4055 section 3.1: [0] names the hash, and SHA-1 is what is meant without it. */
function pssHash(bytes: Buffer, parameters: Element | undefined): string | undefined {
  const hash = parameters && elementsIn(bytes, parameters).find(({ tag }) => tag === 0xa0);
  if (hash === undefined) throw new Error('SHA-1 is not believed');
  const [name] = elementsIn(bytes, elementAt(bytes, hash.start, hash.end, SEQUENCE));
  const known = PSS_HASHES[oidOf(bytes, name!)];
  if (known === undefined) throw new Error('The hash is not known');
  return known;
}
