/** Whether a certificate was taken back, by the lists of files that may change. */
import type { Env, LoweredFile } from '../../filter/env.ts';
import { FileNotRead, type FileUse, SharedFiles } from '../../filter/shared-file.ts';
import type { CertificateFacts } from './certificate-facts.ts';
import type { Crl } from './config.ts';
import { type Authority, isSignedBy, readAuthorities, readLists, type RevocationList } from './revocation-list.ts';

const LISTS = new SharedFiles(readLists);

const AUTHORITIES = new SharedFiles(function* (bytes) {
  yield;
  return readAuthorities(bytes);
});

/** A certificate, of a client or of an authority. */
type Certified = Pick<CertificateFacts, 'parts' | 'x509'>;

/** Authorities above one another. OpenSSL takes chains of a hundred; real ones have two or three. */
const AUTHORITIES_MAX = 8;

export interface Standing {
  readonly standing: 'good' | 'revoked' | 'unknown';
  /** Epoch time from which on it is to be looked at again. */
  readonly untilMs: number;
}

const GOOD: Standing = { standing: 'good', untilMs: Infinity };
const UNKNOWN: Standing = { standing: 'unknown', untilMs: Infinity };

const RANKS = { good: 0, unknown: 1, revoked: 2 } as const;

function better(a: Standing, b: Standing): Standing {
  if (a.standing === b.standing) return a.untilMs >= b.untilMs ? a : b;
  return RANKS[a.standing] < RANKS[b.standing] ? a : b;
}

/** What of two holds no longer than the first of them. */
function worse(a: Standing, b: Standing): Standing {
  if (a.standing === b.standing) return a.untilMs <= b.untilMs ? a : b;
  return RANKS[a.standing] > RANKS[b.standing] ? a : b;
}

function isRight({ x509 }: Certified, by: Authority): boolean {
  return x509.verify(by.key);
}

interface OneFile {
  readonly lists: FileUse<readonly RevocationList[]>;
  readonly authorities: FileUse<readonly Authority[]>;
  /** Whether a list was ever signed by the authorities: until then they do not belong together. */
  wasRight: boolean;
}

export class Revocation {
  readonly #crl: Crl;
  readonly #env: Env;
  readonly #files: OneFile[] = [];
  /** Who signed a list; undefined for a list that nobody did. Found out once per list. */
  readonly #signers = new WeakMap<
    RevocationList,
    { readonly by: Authority | undefined; readonly of: readonly Authority[] }
  >();

  constructor(crl: Crl, env: Env) {
    this.#crl = crl;
    this.#env = env;
    for (const { file, ca } of crl.lists) {
      const authorities = AUTHORITIES.open(env, ca as LoweredFile);
      this.#files.push({ authorities, lists: LISTS.open(env, file as LoweredFile), wasRight: false });
    }
    try {
      void this.version;
    } catch {
      // It was said what is wrong; the first request asks again.
    }
  }

  /**
   * Changes when a file was read again: what was found out before may not hold any more.
   *
   * @throws {FileNotRead} while a file was never right, or no list in it was signed by its authorities
   */
  get version(): readonly unknown[] {
    return this.#files.flatMap((one) => {
      const [lists, authorities] = [one.lists.value, one.authorities.value];
      one.wasRight ||= lists.some((list) => this.#signerOf(list, authorities) !== undefined);
      if (!one.wasRight) throw new FileNotRead('No list was signed by its authorities');
      return [lists, authorities];
    });
  }

  /** Of a certificate of a client, and of the authorities above it. */
  standingOf(certificate: CertificateFacts): Standing {
    const own = this.#ownStanding(certificate, 'users');
    return this.#crl.scope === 'client' ? own : worse(own, this.#standingAbove(certificate, 1));
  }

  /**
   * Of the best way up to a root, as far as certificates of authorities are known. An authority that was certified anew
   * has several, and its client may have shown any.
   */
  #standingAbove(certificate: Certified, depth: number): Standing {
    let best: Standing | undefined;
    for (const authority of this.#authorities()) {
      if (!authority.parts.subject.equals(certificate.parts.issuer) || !isRight(certificate, authority)) continue;
      // Nobody is above a root: to take it back is to take it out of what the listener trusts.
      if (authority.parts.issuer.equals(authority.parts.subject) && isRight(authority, authority)) return GOOD;
      if (depth > AUTHORITIES_MAX) return UNKNOWN;
      const standing = worse(this.#ownStanding(authority, 'authorities'), this.#standingAbove(authority, depth + 1));
      best = best === undefined ? standing : better(best, standing);
    }
    return best ?? GOOD;
  }

  *#authorities(): Generator<Authority> {
    for (const { authorities } of this.#files) yield* authorities.value;
  }

  /** By the lists of those who issued it. */
  #ownStanding({ parts, x509 }: Certified, kind: 'users' | 'authorities'): Standing {
    const wallMs = this.#env.wallMs();
    const { whenStale, whenMissing } = this.#crl;
    let untilMs = -Infinity;
    let isStale = false;
    for (const { lists, authorities } of this.#files) {
      for (const list of lists.value) {
        if (!list.issuer.equals(parts.issuer) || (list.about !== 'all' && list.about !== kind)) continue;
        const signer = this.#signerOf(list, authorities.value);
        // Another authority may have the same name.
        if (signer === undefined || !x509.verify(signer.key)) continue;
        // Nobody takes a revocation back: an old list is still right about that.
        if (list.revoked.has(parts.serial)) return { standing: 'revoked', untilMs: Infinity };
        if (wallMs < list.nextUpdateMs) untilMs = Math.max(untilMs, list.nextUpdateMs);
        else isStale = true;
      }
    }
    if (untilMs > wallMs) return { standing: 'good', untilMs };
    const policy = isStale ? whenStale : whenMissing;
    return { standing: policy === 'accept' ? 'good' : 'unknown', untilMs: Infinity };
  }

  #signerOf(list: RevocationList, authorities: readonly Authority[]): Authority | undefined {
    const known = this.#signers.get(list);
    if (known?.of === authorities) return known.by;
    const by = authorities.find((authority) => isSignedBy(list, authority));
    if (by === undefined) this.#env.warn('A revocation list was not signed by its authority: it does not count');
    this.#signers.set(list, { by, of: authorities });
    return by;
  }

  close(): void {
    for (const { lists, authorities } of this.#files) {
      lists.close();
      authorities.close();
    }
  }
}
