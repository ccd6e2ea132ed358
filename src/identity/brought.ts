/** Authorities that operators bring: an issuer of their own PKI, and roots of other trust domains. Checked before they are used. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Position, Problem } from '../base/problem.ts';
import type { NewAuthority } from './authority-store.ts';
import { type AuthorityFacts, keyFlaw, readAuthority } from './x509.ts';

/** An issuer with its key, and the root that it stands behind. */
export interface BroughtIssuer {
  readonly root: NewAuthority;
  readonly issuer: NewAuthority;
}

/** A text of an operator, and where it stands. */
export interface BroughtText {
  readonly text: string;
  /** Of its first line; lines of what is wrong are counted from there. */
  readonly at: Position;
  readonly field: string;
}

export interface BroughtWish {
  /** PEM: the issuer, then what is between it and its root, then the root. */
  readonly chain: BroughtText;
  /** PEM without a passphrase. */
  readonly key: BroughtText;
  readonly trustDomain: string;
  readonly nowMs: number;
}

/** Certificates between a workload and the root: more make every handshake of the mesh longer. */
const CHAIN_MAX = 6;
/** Roots of another trust domain: two while it rotates, a few more for whoever keeps old ones. */
const ROOTS_MAX = 8;
const SPKI_OF_P384 = 'secp384r1';

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

interface Block {
  readonly certificate: X509Certificate;
  readonly facts: AuthorityFacts;
  readonly at: Position;
}

/** @returns every problem that was found, or what can be used */
export function readBrought(wish: BroughtWish): BroughtIssuer | readonly Problem[] {
  const { chain, key, trustDomain, nowMs } = wish;
  const problems: Problem[] = [];
  const blocks = readBlocks(chain, problems);
  const privateKey = readKey(key, problems);
  const issuer = blocks[0];
  if (issuer === undefined) return problems;
  const say = sayIn(chain, problems);
  if (blocks.length > CHAIN_MAX) {
    say(issuer.at, 'issuer.chain', `The chain has ${blocks.length} certificates: it should have at most ${CHAIN_MAX}`);
  }
  for (const [i, block] of blocks.entries()) checkAuthority({ block, below: i, trustDomain, nowMs }, say);
  for (const [i, block] of blocks.slice(0, -1).entries()) {
    const next = blocks[i + 1]!;
    if (!isIssuedBy(block.certificate, next.certificate)) {
      say(
        block.at,
        'issuer.chain',
        `Certificate ${i + 1} is not signed by certificate ${i + 2}: each one should be signed by the one after it`,
      );
    }
  }
  const root = blocks.at(-1)!;
  if (!root.facts.isSelfIssued)
    say(root.at, 'issuer.root', 'The root is missing: the last certificate should be signed by itself');
  else if (!isIssuedBy(root.certificate, root.certificate))
    say(root.at, 'issuer.root', 'The root is not signed with its own key');
  if (blocks.length === 1 && root.facts.isSelfIssued) {
    say(
      issuer.at,
      'issuer.is-root',
      'The only certificate is a root: an issuer below it should be brought, and the key of the root kept away',
    );
  }
  if (privateKey !== undefined && !issuer.certificate.checkPrivateKey(privateKey)) {
    sayIn(key, problems)(key.at, 'issuer.key', 'The private key does not belong to the first certificate');
  }
  if (problems.length > 0 || privateKey === undefined) return problems;
  return {
    root: {
      id: root.facts.certificate.id,
      chainPem: root.facts.certificate.pem,
      isBrought: true,
      privateKeyPem: undefined,
    },
    issuer: {
      id: issuer.facts.certificate.id,
      chainPem: blocks
        .slice(0, -1)
        .map(({ facts }) => facts.certificate.pem)
        .join(''),
      isBrought: true,
      privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
  };
}

/** Roots of another trust domain. @returns every problem that was found, or their PEMs */
export function readForeignRoots(
  roots: BroughtText,
  {
    trustDomain,
    ownTrustDomain,
    nowMs,
  }: { readonly trustDomain: string; readonly ownTrustDomain: string; readonly nowMs: number },
): { readonly pems: readonly string[] } | readonly Problem[] {
  const problems: Problem[] = [];
  const say = sayIn(roots, problems);
  if (trustDomain === ownTrustDomain)
    say(roots.at, 'federation.own', `"${trustDomain}" is the own trust domain: its roots are known`);
  const blocks = readBlocks(roots, problems);
  if (blocks.length > ROOTS_MAX)
    say(roots.at, 'federation.roots', `There are ${blocks.length} roots: there should be at most ${ROOTS_MAX}`);
  for (const block of blocks) {
    checkAuthority({ block, below: undefined, trustDomain, nowMs }, say);
    if (!block.facts.isSelfIssued)
      say(block.at, 'federation.roots', 'The certificate is not signed by itself: roots are needed');
  }
  return problems.length > 0 ? problems : { pems: blocks.map(({ facts }) => facts.certificate.pem) };
}

type Say = (at: Position, code: string, message: string) => void;

function sayIn({ field }: BroughtText, problems: Problem[]): Say {
  return (at, code, message) => problems.push({ level: 'error', code, at, field, message });
}

function readBlocks(from: BroughtText, problems: Problem[]): readonly Block[] {
  const say = sayIn(from, problems);
  const blocks: Block[] = [];
  let count = 0;
  for (const found of from.text.matchAll(BLOCK)) {
    count++;
    const line = from.at.line + from.text.slice(0, found.index).split('\n').length - 1;
    const at = { file: from.at.file, line, column: line === from.at.line ? from.at.column : 1 };
    try {
      blocks.push({ certificate: new X509Certificate(found[0]), facts: readAuthority(found[0]), at });
    } catch {
      say(at, 'certificate.unreadable', `Certificate ${count} cannot be read`);
    }
  }
  if (count === 0) say(from.at, 'certificate.missing', 'No PEM certificate is in the text');
  return blocks;
}

function readKey(from: BroughtText, problems: Problem[]): KeyObject | undefined {
  const say = sayIn(from, problems);
  try {
    const key = createPrivateKey(from.text);
    const flaw = key.asymmetricKeyDetails?.namedCurve === SPKI_OF_P384 ? undefined : keyFlaw(key);
    // WebCrypto signs with it; Ed25519 would be fine for TLS 1.3 of ours, and not for browsers and older clients.
    if (flaw === undefined && key.asymmetricKeyType !== 'ed25519') return key;
    say(from.at, 'issuer.key', flaw ?? 'The key is Ed25519: an issuer should have P-256, P-384 or RSA');
  } catch {
    // The message of OpenSSL is left out: it says nothing that an operator could use.
    say(from.at, 'issuer.key', 'The private key cannot be read: PEM without a passphrase is needed');
  }
  return undefined;
}

interface AuthorityCheck {
  readonly block: Block;
  /** Authorities below it, for its path length; undefined where that is not known. */
  readonly below: number | undefined;
  readonly trustDomain: string;
  readonly nowMs: number;
}

function checkAuthority({ block, below, trustDomain, nowMs }: AuthorityCheck, say: Say): void {
  const { at, facts } = block;
  const { certificate, isAuthority, signsCertificates, pathLength, uris, permitted, excluded } = facts;
  if (!isAuthority)
    say(at, 'certificate.not-authority', 'The certificate is not of an authority: its basic constraints should say CA');
  else if (!signsCertificates)
    say(at, 'certificate.not-authority', 'The certificate may not sign others: its key usage should have keyCertSign');
  if (below !== undefined && pathLength !== undefined && pathLength < below) {
    say(at, 'issuer.path-length', `The certificate allows ${pathLength} authorities below it: there are ${below}`);
  }
  const of = `spiffe://${trustDomain}`;
  const other = uris.find((uri) => uri.startsWith('spiffe:') && uri !== of);
  if (other !== undefined)
    say(at, 'certificate.trust-domain', `The certificate is of "${other}": it should be of "${of}"`);
  // A host, or what a host ends with (RFC 5280 section 4.2.1.10).
  const covers = (host: string): boolean =>
    host === trustDomain || (host.startsWith('.') && trustDomain.endsWith(host));
  if (permitted.length > 0 && !permitted.some(covers)) {
    say(
      at,
      'certificate.constraints',
      `The certificate permits "${permitted.join('", "')}" only: "${trustDomain}" is needed`,
    );
  }
  if (excluded.some(covers)) {
    say(at, 'certificate.constraints', `The certificate excludes "${trustDomain}": it should not`);
  }
  if (nowMs >= certificate.notAfterMs)
    say(at, 'certificate.expired', `The certificate has ended on ${dateOf(certificate.notAfterMs)}`);
  if (nowMs < certificate.notBeforeMs)
    say(at, 'certificate.early', `The certificate begins on ${dateOf(certificate.notBeforeMs)}`);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.issuer === issuer.subject && certificate.verify(issuer.publicKey);
}

const dateOf = (ms: number): string => new Date(ms).toISOString();
