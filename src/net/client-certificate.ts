/** Who a client is by the certificate that it showed and that was verified. Made once per connection. */
import type { X509Certificate } from 'node:crypto';
import { namesOf } from './certificate.ts';

export interface ClientCertificate {
  /** On one line, the most specific part first: `CN=client,O=Shop` (RFC 4514). */
  readonly subject: string;
  /** Of the subject; empty when there is none. */
  readonly commonName: string;
  /** DNS names of the subject alternative names, lower case. */
  readonly dns: readonly string[];
  readonly uri: readonly string[];
  /** SHA-256 over the certificate, lower-case hex. */
  readonly fingerprint: string;
  readonly der: Buffer;
}

export function readClientCertificate(certificate: X509Certificate): ClientCertificate {
  const { dns, uri } = namesOf(certificate);
  return {
    subject: subjectOf(certificate),
    commonName: /^CN=(.*)$/m.exec(certificate.subject ?? '')?.[1] ?? '',
    dns,
    uri,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    der: certificate.raw,
  };
}

/** Node prints one part per line, the least specific first, each escaped as RFC 4514 has it; the type lies: there may be none. */
function subjectOf({ subject }: { readonly subject: string | undefined }): string {
  return (subject ?? '').split('\n').toReversed().join(',');
}
