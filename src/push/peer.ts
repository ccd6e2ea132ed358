/** Who stands at the other end of a TLS connection, read from the certificate that was verified. */
import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { Fault } from '../base/fault.ts';
import { spiffeIdOf } from '../base/spiffe.ts';
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

/** X.509-SVID, section 2: exactly one URI, and it is the SPIFFE ID. */
export function identityOf(certificate: X509Certificate, trustDomains: readonly string[]): string | Fault {
  const read = spiffeIdOf(namesOf(certificate).uri);
  if (read === undefined) {
    return pushFault('push.unauthenticated', 'The certificate does not carry exactly one SPIFFE ID');
  }
  const { id, trustDomain } = read;
  if (trustDomains.includes(trustDomain)) return id;
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
