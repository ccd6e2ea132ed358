/** The certificate of this proxy on its disk, with its key: mode 0600, replaced as a whole. */
import { readFile } from 'node:fs/promises';
import { replaceFile } from '../store/replace-file.ts';
import type { CertificateKeep, Member } from './membership.ts';

export function certificateFile(path: string): CertificateKeep {
  return {
    async load() {
      try {
        const read: unknown = JSON.parse(await readFile(path, 'utf8'));
        return isMember(read) ? read : undefined;
      } catch {
        // None yet, or one that was damaged: a new certificate takes its place.
        return undefined;
      }
    },
    save: (member) => replaceFile({ path, owner: 'new' }, [JSON.stringify(member)]),
  };
}

function isMember(read: unknown): read is Member {
  if (typeof read !== 'object' || read === null) return false;
  const { chainPem, keyPem, trust } = read as Partial<Record<keyof Member, unknown>>;
  return typeof chainPem === 'string' && typeof keyPem === 'string' && isTrust(trust);
}

function isTrust(trust: unknown): trust is Member['trust'] {
  if (typeof trust !== 'object' || trust === null) return false;
  const { hash, trustDomain, roots, federated, issuer } = trust as Partial<Record<keyof Member['trust'], unknown>>;
  const texts = [hash, trustDomain, issuer].every((text) => typeof text === 'string');
  return texts && Array.isArray(roots) && Array.isArray(federated);
}
