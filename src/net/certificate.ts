/** Names in certificates: which there are, and whether a host is one of them. */
import type { X509Certificate } from 'node:crypto';

/** What a certificate says it is for. */
export interface CertificateNames {
  /** DNS names in lower case, wildcards included. */
  readonly dns: readonly string[];
  readonly uri: readonly string[];
  /** IP addresses as Node prints them. */
  readonly ip: readonly string[];
}

/**
 * Names in the subject alternative names. The common name is not one of them:
 * RFC 9525 section 6.3 has done with it.
 */
export function namesOf(certificate: X509Certificate): CertificateNames {
  return parseAltNames(certificate.subjectAltName ?? '');
}

/** Reads Node's text form: `DNS:a.test, URI:spiffe://a/b, IP Address:10.0.0.1`; a value with commas is a JSON string. */
export function parseAltNames(text: string): CertificateNames {
  const names = { dns: [] as string[], uri: [] as string[], ip: [] as string[] };
  for (const [, kind, quoted, plain] of text.matchAll(
    /(?:^|, )([A-Za-z ]+):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?=, |$)/g,
  )) {
    const value = quoted === undefined ? plain! : (JSON.parse(quoted) as string);
    if (kind === 'DNS') names.dns.push(value.toLowerCase());
    else if (kind === 'URI') names.uri.push(value);
    else if (kind === 'IP Address') names.ip.push(value);
  }
  return names;
}

/**
 * Whether a DNS name of a certificate stands for `host`.
 *
 * A `*` is taken only as the whole left-most label and for exactly one label
 * (RFC 9525 section 6.3). One label after it is enough: `*.org` is a name that
 * its certificate authority answers for, not we.
 *
 * @param pattern  lower case
 * @param host  lower case, without a trailing dot
 */
export function nameCovers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern !== '' && !pattern.includes('*') && pattern === host;
  const suffix = pattern.slice(1);
  if (suffix.length < 2 || suffix.includes('*')) return false;
  const dot = host.indexOf('.');
  return dot > 0 && host.slice(dot) === suffix;
}
