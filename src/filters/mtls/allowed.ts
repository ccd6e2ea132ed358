/** Which certificates an entry of `allow` means. */
import type { CertificateFacts, ClientCertificate } from './certificate-facts.ts';
import type { Allowed } from './config.ts';
import { spiffeIdOf } from '../../base/spiffe.ts';

export type CertificateTest = (certificate: ClientCertificate, facts: CertificateFacts) => boolean;

export function certificateTest(allowed: Allowed): CertificateTest {
  const tests = Object.entries(READERS).flatMap(([field, [read, matcher]]) => {
    const patterns = allowed[field as keyof typeof READERS];
    if (patterns === undefined) return [];
    const matches = matcher(patterns);
    return [((certificate, facts) => read(certificate, facts).some(matches)) satisfies CertificateTest];
  });
  return (certificate, facts) => tests.every((test) => test(certificate, facts));
}

type Reader = (certificate: ClientCertificate, facts: CertificateFacts) => readonly string[];
type Matcher = (patterns: readonly string[]) => (value: string) => boolean;

const exact: Matcher = (patterns) => {
  const known = new Set(patterns);
  return (value) => known.has(value);
};

/** `*` at the end stands for any rest that is not empty. */
const prefix: Matcher = (patterns) => {
  const isKnown = exact(patterns);
  const starts = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  return (value) => isKnown(value) || starts.some((start) => value.length > start.length && value.startsWith(start));
};

const host: Matcher = (patterns) => {
  const isKnown = exact(patterns.map((pattern) => pattern.toLowerCase()));
  // A name with a star in it is not one host: it is only known where it was written as such a name, which is a pattern here.
  return (value) => !value.includes('*') && (isKnown(value) || isKnown(value.replace(/^[^.]+/, '*')));
};

/** The host of a mailbox has no case; what is before it has. */
const mailbox: Matcher = (patterns) => {
  const plain = (text: string): string => {
    const at = text.lastIndexOf('@');
    return text.slice(0, at) + text.slice(at).toLowerCase();
  };
  const isKnown = exact(patterns.map(plain));
  return (value) => {
    const written = plain(value);
    return written.indexOf('@') > 0 && (isKnown(written) || isKnown(`*${written.slice(written.lastIndexOf('@'))}`));
  };
};

const fingerprint: Matcher = (patterns) => exact(patterns.map((pattern) => pattern.replaceAll(':', '').toLowerCase()));

const READERS = {
  spiffe: [({ uri }) => listOf(spiffeIdOf(uri)?.id), prefix],
  dns: [({ dns }) => dns, host],
  uri: [({ uri }) => uri, prefix],
  email: [(_, { emails }) => emails, mailbox],
  commonName: [({ commonName }) => listOf(commonName || undefined), exact],
  subject: [({ subject }) => [subject], exact],
  issuer: [(_, { issuer }) => [issuer], exact],
  fingerprint: [(certificate) => [certificate.fingerprint], fingerprint],
} satisfies Readonly<Partial<Record<keyof Allowed, readonly [Reader, Matcher]>>>;

function listOf(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
}
