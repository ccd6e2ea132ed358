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

export interface Standing {
  readonly standing: 'good' | 'revoked' | 'unknown';
  /** Epoch time from which on it is to be looked at again. */
  readonly untilMs: number;
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

  standingOf({ parts, x509 }: CertificateFacts): Standing {
    const wallMs = this.#env.wallMs();
    const { whenStale, whenMissing } = this.#crl;
    let untilMs = -Infinity;
    let isStale = false;
    for (const { lists, authorities } of this.#files) {
      for (const list of lists.value) {
        if (!list.issuer.equals(parts.issuer)) continue;
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
