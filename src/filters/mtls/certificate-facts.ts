/** What a certificate says besides what its connection knows of it (net/client-certificate.ts). */
import { X509Certificate } from 'node:crypto';
import type { ClientFacts } from '../../http/stream.ts';
import { contentOf, type Element, elementAt, elementsIn, extensionsIn, INTEGER, SEQUENCE, wholeOf } from './der.ts';

export type ClientCertificate = NonNullable<ClientFacts['clientCertificate']>;

export interface CertificateFacts {
  readonly x509: X509Certificate;
  /** On one line, the most specific part first (RFC 4514), as the subject is. */
  readonly issuer: string;
  readonly emails: readonly string[];
  readonly notAfterMs: number;
  readonly parts: CertificateParts;
}

/** Parts that are compared byte by byte. */
export interface CertificateParts {
  /** Content of the serial number, as lower-case hex. */
  readonly serial: string;
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Undefined where the certificate does not say what its key is for. */
  readonly keyUsage: Buffer | undefined;
}

/** @throws {Error} on bytes that are no certificate */
export function factsOf({ der }: ClientCertificate): CertificateFacts {
  const x509 = new X509Certificate(der);
  return {
    x509,
    issuer: x509.issuer.split('\n').toReversed().join(','),
    emails: emailsOf(der),
    notAfterMs: Date.parse(x509.validTo),
    parts: partsOf(der),
  };
}

const KEY_USAGE = '2.5.29.15';
const SUBJECT_ALT_NAME = '2.5.29.17';

/** RFC 5280 section 4.1. */
export function partsOf(der: Buffer): CertificateParts {
  const { fields, extensions } = fieldsOf(der);
  const [serial, , issuer, , subject] = fields as [Element, Element, Element, Element, Element];
  const usage = extensions.find(({ oid }) => oid === KEY_USAGE);
  return {
    serial: contentOf(der, serial).toString('hex'),
    issuer: wholeOf(der, issuer),
    subject: wholeOf(der, subject),
    keyUsage: usage && contentOf(der, usage.value),
  };
}

/** Names of mailboxes in the subject alternative names (RFC 5280 section 4.2.1.6): tag [1], an IA5String. */
function emailsOf(der: Buffer): string[] {
  const names = fieldsOf(der).extensions.find(({ oid }) => oid === SUBJECT_ALT_NAME);
  if (names === undefined) return [];
  return elementsIn(der, names.value)
    .filter(({ tag }) => tag === 0x81)
    .map((name) => contentOf(der, name).toString('latin1'));
}

function fieldsOf(der: Buffer): { fields: Element[]; extensions: ReturnType<typeof extensionsIn> } {
  const [tbs] = elementsIn(der, elementAt(der, 0, der.length, SEQUENCE));
  const all = elementsIn(der, tbs!);
  // The version is [0], and left out where it is the first one.
  const fields = all[0]!.tag === 0xa0 ? all.slice(1) : all;
  if (fields.length < 6 || fields[0]!.tag !== INTEGER) throw new Error('It is no certificate');
  const last = fields.find(({ tag }) => tag === 0xa3);
  const extensions = last === undefined ? [] : extensionsIn(der, elementAt(der, last.start, last.end, SEQUENCE));
  return { fields, extensions };
}
