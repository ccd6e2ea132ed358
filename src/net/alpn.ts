/** Which protocol a client and a listener agree on, decided from the ClientHello before any TLS engine is started. */
import tls from 'node:tls';
import type { ClientHello } from './client-hello.ts';

/** What is decided for one connection. */
export interface Agreement {
  /** As ALPN names it; empty when the client offers none and so speaks HTTP/1.1. */
  readonly protocol: string;
  /** `h2`: the cipher suites that HTTP/2 forbids must not be used. */
  readonly suites: 'all' | 'h2';
}

/** What of a listener and its certificates has a say. */
export interface AgreementTerms {
  /** The favourite first. */
  readonly alpn: readonly string[];
  readonly versionMin: 'TLSv1.2' | 'TLSv1.3';
  readonly versionMax: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list; empty for Node's default. */
  readonly ciphers: string;
  /** Of the certificates that may be shown: `ec`, `rsa`, … */
  readonly keyTypes: readonly string[];
}

/**
 * The first protocol of the listener that the client offers too. `h2` counts only
 * where the handshake cannot end with a cipher suite that RFC 9113 section 9.2.2
 * forbids: such a client gets `http/1.1` instead of an INADEQUATE_SECURITY later.
 *
 * @returns undefined when there is none: the alert is no_application_protocol (RFC 7301 section 3.2)
 */
export function agreeOnProtocol(hello: ClientHello, terms: AgreementTerms): Agreement | undefined {
  // What is spoken on top of it is not known here: a server that does not know ALPN ignores it (RFC 7301 section 3.1).
  if (terms.alpn.length === 0) return { protocol: '', suites: 'all' };
  // Without ALPN there is no HTTP/2 over TLS (RFC 9113 section 3.2).
  if (hello.alpn.length === 0) return terms.alpn.includes('http/1.1') ? { protocol: '', suites: 'all' } : undefined;
  for (const protocol of terms.alpn) {
    if (!hello.alpn.includes(protocol)) continue;
    if (protocol !== 'h2' || speakTls13(hello, terms)) return { protocol, suites: 'all' };
    if (shareSuiteForH2(hello, terms)) return { protocol, suites: 'h2' };
  }
  return undefined;
}

/** No suite of TLS 1.3 is forbidden. */
function speakTls13({ tls13 }: ClientHello, { versionMax }: AgreementTerms): boolean {
  return tls13 && versionMax === 'TLSv1.3';
}

function shareSuiteForH2({ cipherSuites }: ClientHello, { versionMin, ciphers, keyTypes }: AgreementTerms): boolean {
  if (versionMin !== 'TLSv1.2') return false;
  const ours = suitesOf(ciphers);
  return cipherSuites.some((suite) => {
    const signer = ours.get(suite);
    return signer !== undefined && keyTypes.some((keyType) => (keyType.startsWith('rsa') ? 'rsa' : 'ecdsa') === signer);
  });
}

/**
 * Takes from an OpenSSL list what RFC 9113 appendix A forbids: suites without
 * forward secrecy, and those that are not AEAD, which is where a MAC has a name.
 */
export function withoutForbiddenSuites(ciphers: string): string {
  return `${ciphers || tls.DEFAULT_CIPHERS}:!kRSA:!PSK:!SRP:!aNULL:!eNULL:!MD5:!SHA1:!SHA256:!SHA384`;
}

type Signer = 'ecdsa' | 'rsa';

/** The suites of TLS 1.2 that HTTP/2 allows and OpenSSL has, without DHE, for which we have no parameters. */
const ALLOWED: readonly (readonly [suite: number, name: string, signer: Signer])[] = [
  [0xc02b, 'ECDHE-ECDSA-AES128-GCM-SHA256', 'ecdsa'],
  [0xc02c, 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ecdsa'],
  [0xcca9, 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ecdsa'],
  [0xc0ac, 'ECDHE-ECDSA-AES128-CCM', 'ecdsa'],
  [0xc0ad, 'ECDHE-ECDSA-AES256-CCM', 'ecdsa'],
  [0xc0ae, 'ECDHE-ECDSA-AES128-CCM8', 'ecdsa'],
  [0xc0af, 'ECDHE-ECDSA-AES256-CCM8', 'ecdsa'],
  [0xc05c, 'ECDHE-ECDSA-ARIA128-GCM-SHA256', 'ecdsa'],
  [0xc05d, 'ECDHE-ECDSA-ARIA256-GCM-SHA384', 'ecdsa'],
  [0xc02f, 'ECDHE-RSA-AES128-GCM-SHA256', 'rsa'],
  [0xc030, 'ECDHE-RSA-AES256-GCM-SHA384', 'rsa'],
  [0xcca8, 'ECDHE-RSA-CHACHA20-POLY1305', 'rsa'],
  [0xc060, 'ECDHE-ARIA128-GCM-SHA256', 'rsa'],
  [0xc061, 'ECDHE-ARIA256-GCM-SHA384', 'rsa'],
];

/** By cipher list. Operators write few different ones; beyond the bound it is found out again. */
const SUITES = new Map<string, ReadonlyMap<number, Signer>>();
const SUITES_MAX = 64;

/** The allowed suites of a list. Node does not say what is in one, but whether one is empty: so each is tried alone. */
function suitesOf(ciphers: string): ReadonlyMap<number, Signer> {
  let suites = SUITES.get(ciphers);
  if (suites === undefined) {
    const allowed = ALLOWED.filter(([, name]) => {
      const others = ALLOWED.flatMap(([, other]) => (other === name ? [] : [`!${other}`]));
      return isCipherList([withoutForbiddenSuites(ciphers), '!kDHE', ...others].join(':'));
    });
    suites = new Map(allowed.map(([suite, , signer]) => [suite, signer]));
    if (SUITES.size >= SUITES_MAX) SUITES.clear();
    SUITES.set(ciphers, suites);
  }
  return suites;
}

function isCipherList(ciphers: string): boolean {
  try {
    // With an empty bundle Node does not load all of its own roots.
    tls.createSecureContext({ ciphers, ca: [] });
    return true;
  } catch {
    return false;
  }
}
