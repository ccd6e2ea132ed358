/** Who stands at the other end of a TLS connection, read from the certificate that was verified. */
import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { Fault } from '../base/fault.ts';
import { namesOf } from '../net/certificate.ts';
import { pushFault } from './faults.ts';

/** Key pair and roots of one end. */
export interface Credentials {
  /** Leaf first, then its issuers, without the root. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** Roots that the other end must be of. */
  readonly trustPem: string;
}

/** SPIFFE ID, sections 2.1 to 2.3: no port, no query, no empty or relative segment; at most 2,048 bytes. */
const SPIFFE_ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)+)$/;
const SPIFFE_ID_CHARS_MAX = 2_048;

/** X.509-SVID, section 2: exactly one URI, and it is the SPIFFE ID. */
export function identityOf(certificate: X509Certificate, trustDomains: readonly string[]): string | Fault {
  const { uri } = namesOf(certificate);
  const [id = ''] = uri;
  const domain = id.length > SPIFFE_ID_CHARS_MAX ? undefined : SPIFFE_ID.exec(id)?.[1];
  if (uri.length !== 1 || domain === undefined) {
    return pushFault('push.unauthenticated', 'The certificate does not carry exactly one SPIFFE ID');
  }
  if (trustDomains.includes(domain)) return id;
  return pushFault('push.unauthenticated', `"${id}" is not of the trust domain "${trustDomains.join('" or "')}"`);
}

/**
 * Whether a server is the one that is meant: by its SPIFFE ID, or by a host name. Any workload has a certificate
 * of the same root, so the root alone says nothing.
 */
export function serverCheck(expected: string): (host: string, certificate: PeerCertificate) => Error | undefined {
  if (!expected.startsWith('spiffe://')) return (_, certificate) => checkServerIdentity(expected, certificate);
  return (_, { raw }) => {
    const { uri } = namesOf(new X509Certificate(raw));
    if (uri.length === 1 && uri[0] === expected) return undefined;
    return new Error(`The certificate is of "${uri.join('", "')}", not of "${expected}"`);
  };
}

/** Name in the handshake where the server is known by its SPIFFE ID: an address must not stand there (RFC 6066 section 3). */
export function serverNameFor(expected: string): string {
  return expected.startsWith('spiffe://') ? 'control.mesh.internal' : expected;
}

/** The certificates of a PEM text, each as PEM. */
export function certificatesIn(pem: string): readonly string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
