/**
 * What upstreams are told of a client's verified certificate: `Client-Cert` (RFC
 * 9440) or `X-Forwarded-Client-Cert` as Envoy has it. They believe these fields,
 * so no client may send one: whatever comes is taken out, in every spelling that
 * some server reads as one of them, unless a proxy of ours sent it.
 */
import { type SpiffeId, spiffeIdOf } from '../base/spiffe.ts';
import type { ClientCertificate } from '../net/client-certificate.ts';
import type { Headers } from './headers.ts';

/** By the connection's certificate: read once, asked at every request. */
const WORKLOADS = new WeakMap<ClientCertificate, { readonly id: SpiffeId | undefined }>();

/** Which workload a verified certificate is of; undefined for one that is of none. */
export function workloadOf(certificate: ClientCertificate | undefined): SpiffeId | undefined {
  if (certificate === undefined) return undefined;
  let known = WORKLOADS.get(certificate);
  if (known === undefined) {
    known = { id: spiffeIdOf(certificate.uri) };
    WORKLOADS.set(certificate, known);
  }
  return known.id;
}

/** `none` writes nothing; what clients send is taken out all the same. */
export type IdentityForm = 'none' | 'client-cert' | 'xfcc';

const NAMES: ReadonlySet<string> = new Set(['client-cert', 'client-cert-chain', 'x-forwarded-client-cert']);

/**
 * Takes the fields out of a head.
 *
 * @param which  `misspelt`: with an underscore, which CGI-like servers read as a hyphen and proxies of ours never write
 */
export function dropClientIdentity(headers: Headers, which: 'all' | 'misspelt'): void {
  headers.deleteWhere((lowerName) => {
    const plain = lowerName.replaceAll('_', '-');
    return NAMES.has(plain) && (which === 'all' || plain !== lowerName);
  });
}

interface Written {
  readonly form: IdentityForm;
  readonly line: string;
}

/** By the connection's certificate: its line is the same for every request. */
const WRITTEN = new WeakMap<ClientCertificate, Written>();

/** A complete line for the request on its way upstream, with its CRLF; empty for `none`. */
export function identityLine(form: IdentityForm, certificate: ClientCertificate): string {
  if (form === 'none') return '';
  let written = WRITTEN.get(certificate);
  if (written?.form !== form) {
    const line =
      form === 'client-cert'
        ? `client-cert: :${certificate.der.toString('base64')}:\r\n`
        : `x-forwarded-client-cert: ${elementOf(certificate)}\r\n`;
    written = { form, line };
    WRITTEN.set(certificate, written);
  }
  return written.line;
}

/** Names of one certificate that are passed on. Some have hundreds, and upstreams bound their heads. */
const NAMES_MAX = 16;

function elementOf({ fingerprint, subject, uri, dns }: ClientCertificate): string {
  const pairs = [`Hash=${fingerprint}`];
  // The subject is escaped already (RFC 4514), quotes included.
  pairs.push(`Subject="${printable(subject)}"`);
  for (const name of uri.slice(0, NAMES_MAX)) pairs.push(`URI=${valueOf(name)}`);
  for (const name of dns.slice(0, NAMES_MAX)) pairs.push(`DNS=${valueOf(name)}`);
  return pairs.join(';');
}

/** Quoted where it holds what parts an element. */
function valueOf(text: string): string {
  if (/^[^\s"\\,;=]*$/.test(text)) return printable(text);
  return `"${printable(text.replaceAll(/["\\]/g, '\\$&'))}"`;
}

/** Bytes that a field must not hold are written as RFC 4514 section 2.4 has it: `\C3\A4`. */
function printable(text: string): string {
  return text.replaceAll(/[^ -~]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `\\${byte.toString(16).padStart(2, '0').toUpperCase()}`).join(''),
  );
}
