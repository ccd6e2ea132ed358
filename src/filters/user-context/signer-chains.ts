/** Certificates in signed texts: whose they are, verified up to a root of the trust domain that they name. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { spiffeIdOf } from '../../base/spiffe.ts';
import { USER_CONTEXT_CHAIN_MAX } from '../../filter/user-context.ts';
import type { UserContextConfig } from './config.ts';

export interface Signer {
  readonly id: string;
  readonly key: KeyObject;
  /** Epoch time at which the first of its certificates ends. */
  readonly untilMs: number;
}

export interface Flaw {
  readonly flaw: string;
}

/** Chains that are remembered: gateways have few, each for half a day. */
const CHAINS_MAX = 32;

/** In base64; certificates of workloads have 600. */
const CERTIFICATE_CHARS_MAX = 4_096;

export class SignerChains {
  readonly #signers: ReadonlySet<string>;
  readonly #roots: ReadonlyMap<string, readonly X509Certificate[]>;
  readonly #known = new Map<string, Signer>();

  /** @throws {Error} on roots that cannot be read */
  constructor({ signers, trust }: UserContextConfig) {
    this.#signers = new Set(signers);
    this.#roots = new Map(
      Object.entries(trust).map(([domain, pems]) => [domain, pems.flatMap((pem) => certificatesIn(pem))]),
    );
  }

  /** @param x5c  leaf first, each DER in base64 (RFC 7515 section 4.1.6) */
  signerOf(x5c: unknown, wallMs: number): Signer | Flaw {
    if (!isChain(x5c)) return { flaw: 'has no certificates' };
    const name = x5c.join(' ');
    const known = this.#known.get(name);
    if (known !== undefined && wallMs < known.untilMs) return known;
    const found = this.#verify(x5c, wallMs);
    if ('flaw' in found) return found;
    this.#known.set(name, found);
    if (this.#known.size > CHAINS_MAX) this.#known.delete(this.#known.keys().next().value!);
    return found;
  }

  #verify(x5c: readonly string[], wallMs: number): Signer | Flaw {
    let chain: X509Certificate[];
    try {
      chain = x5c.map((text) => new X509Certificate(Buffer.from(text, 'base64')));
    } catch {
      return { flaw: 'has certificates that cannot be read' };
    }
    const [leaf] = chain as [X509Certificate];
    const id = spiffeIdOf(urisOf(leaf));
    if (id === undefined || leaf.ca) return { flaw: 'is signed by a certificate that is of no workload' };
    // Whom else a root would vouch for does not matter: first who may, then whether it is so.
    if (!this.#signers.has(id.id)) return { flaw: `is signed by ${id.id}, which may not say who a user is` };
    const path = pathOf(chain, this.#roots.get(id.trustDomain) ?? []);
    if (path === undefined) return { flaw: 'has certificates that no root vouches for' };
    const untilMs = Math.min(...path.map(({ validToDate }) => validToDate.getTime()));
    if (wallMs >= untilMs || path.some(({ validFromDate }) => wallMs < validFromDate.getTime() - SKEW_MS)) {
      return { flaw: 'has certificates that do not hold now' };
    }
    return { id: id.id, key: leaf.publicKey, untilMs };
  }
}

const SKEW_MS = 5_000;

function isChain(x5c: unknown): x5c is readonly string[] {
  return (
    Array.isArray(x5c) &&
    x5c.length > 0 &&
    x5c.length <= USER_CONTEXT_CHAIN_MAX &&
    x5c.every((one) => typeof one === 'string' && one.length <= CERTIFICATE_CHARS_MAX)
  );
}

/** Each by the one behind it, which may issue, up to a root (RFC 5280 section 6.1); undefined where no root is. */
function pathOf(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): readonly X509Certificate[] | undefined {
  for (const [i, one] of chain.entries()) {
    const root = roots.find((known) => isIssued(one, known));
    if (root !== undefined) return [...chain.slice(0, i + 1), root];
    const next = chain[i + 1];
    if (next === undefined || !isIssued(one, next)) return undefined;
  }
  return undefined;
}

function isIssued(certificate: X509Certificate, by: X509Certificate): boolean {
  return by.ca && certificate.checkIssued(by) && certificate.verify(by.publicKey);
}

/** None of names that Node has to quote: a comma in one of them would look like another name. */
function urisOf({ subjectAltName = '' }: X509Certificate): string[] {
  if (subjectAltName.includes('"')) return [];
  return subjectAltName.split(', ').flatMap((name) => /^URI:(.*)$/.exec(name)?.[1] ?? []);
}

function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
