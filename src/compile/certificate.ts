/** Certificates as operators bring them: PEM text in Secrets and ConfigMaps. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';

export interface KeyPair {
  /** PEM chain, leaf first, nothing but certificates. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** DNS names of the leaf, lower case. */
  readonly dnsNames: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What is wrong with a text: `The certificate cannot be read: …`. */
export interface Flaw {
  readonly flaw: string;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** A chain with its key: the leaf must come first and belong to the key. Expiry is for the caller to judge. */
export function readKeyPair(certificateText: string, keyText: string): KeyPair | Flaw {
  const chain = readCertificates(certificateText);
  if ('flaw' in chain) return chain;
  const leaf = chain.certificates[0]!;
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(keyText))) {
      return { flaw: 'The private key does not belong to the certificate' };
    }
  } catch {
    // The message of OpenSSL is left out: it says nothing that an operator could use.
    return { flaw: 'The private key cannot be read: PEM without a passphrase is needed' };
  }
  const fault = openSslFault({ cert: chain.pem, key: keyText });
  if (fault !== undefined) return { flaw: `OpenSSL refuses the certificate: ${fault}` };
  return {
    certificatePem: chain.pem,
    privateKeyPem: keyText,
    dnsNames: dnsNamesOf(leaf),
    notBeforeMs: Date.parse(leaf.validFrom),
    notAfterMs: Date.parse(leaf.validTo),
  };
}

/** Why a list of cipher suites cannot be used; undefined when it can. */
export function cipherFault(ciphers: string): string | undefined {
  return ciphers === '' ? undefined : openSslFault({ ciphers });
}

/** Whether OpenSSL has a group for the key exchange. */
export function isGroup(name: string): boolean {
  return openSslFault({ ecdhCurve: name }) === undefined;
}

/** What the proxy would be told: keys that are too short, curves that are not allowed, suites that nobody knows. */
function openSslFault(
  options: Pick<SecureContextOptions, 'cert' | 'key' | 'ciphers' | 'ecdhCurve'>,
): string | undefined {
  try {
    // With an empty bundle Node does not load all of its own roots.
    createSecureContext({ ...options, ca: [] });
    return undefined;
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return reason.replace(/^error:[0-9A-F]+:[^:]*:[^:]*:/, '');
  }
}

/** A bundle of certificates to trust, at least one. */
export function readCaBundle(text: string): { readonly pem: string } | Flaw {
  const read = readCertificates(text);
  return 'flaw' in read ? read : { pem: read.pem };
}

function readCertificates(text: string): { certificates: X509Certificate[]; pem: string } | Flaw {
  const blocks = text.match(CERTIFICATE);
  if (blocks === null) return { flaw: 'No PEM certificate is in the text' };
  const certificates: X509Certificate[] = [];
  for (const [i, block] of blocks.entries()) {
    try {
      certificates.push(new X509Certificate(block));
    } catch {
      return { flaw: `Certificate ${i + 1} of ${blocks.length} cannot be read` };
    }
  }
  return { certificates, pem: `${blocks.join('\n')}\n` };
}

function dnsNamesOf(leaf: X509Certificate): string[] {
  // Node writes `DNS:a.test, DNS:*.a.test, URI:…`; a name with odd characters is quoted and then matches nothing.
  return [...(leaf.subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,"\s]+)/g)].map((found) => found[1]!.toLowerCase());
}
