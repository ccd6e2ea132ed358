/**
 * What a proxy asks for a certificate with: a key that never leaves it, and a request
 * (PKCS #10, RFC 2986) that proves that it has the key. Without a library: a proxy that
 * loaded the one of x509.ts would have 24 MB more.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { bitString, octetString, oid, sequence, set, smallInteger, tagged, uriName } from './der.ts';

export interface CertificateRequest {
  /** PEM. */
  readonly csr: string;
  /** The same, as it travels. */
  readonly csrDer: Buffer;
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string;
}

/** ecdsa-with-SHA256, extensionRequest, subjectAltName. */
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const EXTENSION_REQUEST = oid('2a864886f70d01090e');
const SUBJECT_ALT_NAME = oid('551d11');

/** A new P-256 key and a request with it. @param identity  SPIFFE ID that is asked for */
export function makeRequest(identity: string): CertificateRequest {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const names = sequence(sequence(SUBJECT_ALT_NAME, octetString(sequence(uriName(identity)))));
  const body = sequence(
    smallInteger(0),
    // An empty subject: who it is stands in the alternative name.
    sequence(),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0, sequence(EXTENSION_REQUEST, set(names))),
  );
  const der = sequence(body, ECDSA_SHA256, bitString(sign('sha256', body, privateKey)));
  return {
    csr: requestPem(der),
    csrDer: der,
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}

/** @param der  PKCS #10 */
export function requestPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}
