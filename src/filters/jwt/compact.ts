/** Tokens as they come: three parts of base64url with dots between (RFC 7515 section 7.1). Nothing here is believed yet. */
import { readJson } from '../../base/strict-json.ts';
import type { Claims } from '../../filter/claims.ts';

export interface CompactToken {
  readonly header: Claims;
  readonly claims: Claims;
}

/** Header and claims, or in words what is wrong. The signature is not looked at, only its form. */
export function readCompact(token: string): CompactToken | string {
  const parts = token.split('.');
  if (parts.length === 5) return 'it is encrypted';
  if (parts.length !== 3) return 'it does not have three parts';
  const [header, claims] = [readPart(parts[0]!), readPart(parts[1]!)];
  if (header === undefined) return 'its header is not a JSON object in base64url, or names a member twice';
  if (claims === undefined) return 'its claims are not a JSON object in base64url, or name a member twice';
  if (bytesOf(parts[2]!) === undefined) return 'its signature is not base64url';
  return { header, claims };
}

/** What signs tokens nests less; what reads them later does so recursively. */
const DEPTH_MAX = 32;

/** RFC 7515 section 4 lets a reader refuse names that stand twice. Frozen at every level: it is shared by requests. */
function readPart(part: string): Claims | undefined {
  const bytes = bytesOf(part);
  if (bytes === undefined) return undefined;
  const read = readJson(bytes, { depthMax: DEPTH_MAX });
  if (!read.ok || typeof read.value !== 'object' || read.value === null || Array.isArray(read.value)) return undefined;
  return freezeDeep(read.value as Claims);
}

function freezeDeep<T extends object>(value: T): T {
  for (const inner of Object.values(value))
    if (typeof inner === 'object' && inner !== null) freezeDeep(inner as object);
  return Object.freeze(value);
}

/** Only the one spelling of these bytes: no padding, no other alphabet, no bits left over (RFC 7515 section 2). */
function bytesOf(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.length > 0 && bytes.toString('base64url') === part ? bytes : undefined;
}
