/**
 * Key sets that are found by the name of their issuer: it is an address, below
 * which there is a document that names the address of the keys (OpenID Connect
 * Discovery 1.0 section 4, RFC 8414 section 3).
 */
import { readJson } from '../../base/strict-json.ts';
import type { Env } from '../../filter/env.ts';
import { fetchBounded } from './fetch-bounded.ts';
import type { Fetched } from './remote-keys.ts';

export interface Discovered {
  readonly issuer: string;
  /** For all of it together. */
  readonly timeoutMs: number;
  /** Of each document. */
  readonly bytesMax: number;
}

/** Whether an address is one that nobody can change answers of on their way. */
export function isSafeAddress(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname, username } = new URL(address);
  if (username !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname));
}

/** RFC 8414 section 2: an issuer is an address without query and fragment. */
export function isDiscoverable(issuer: string): boolean {
  return isSafeAddress(issuer) && !/[?#\s]/.test(issuer);
}

/** Where the document may be. OpenID Connect puts the path of the issuer before the well-known part, RFC 8414 behind it. */
export function metadataAddresses(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

/** What a document nests; anything deeper is none. */
const DEPTH_MAX = 32;

/** The key set, asked for anew each time: an issuer that moves its keys says so there. Never rejects: in words why not. */
export async function fetchDiscovered(
  env: Env,
  { issuer, timeoutMs, bytesMax }: Discovered,
): Promise<Fetched | string> {
  const untilMs = env.nowMs() + timeoutMs;
  const get = (url: string): Promise<Fetched | string> =>
    fetchBounded(env, { url, timeoutMs: Math.max(1, untilMs - env.nowMs()), bytesMax });
  const reasons: string[] = [];
  for (const address of metadataAddresses(issuer)) {
    const document = await get(address);
    const found = typeof document === 'string' ? { refused: document } : keysAddress(document.text, issuer);
    if (typeof found === 'string') return get(found);
    reasons.push(`${address}: ${found.refused}`);
  }
  return reasons.join('; ');
}

/** The address of the keys, once the document is known to be that of the issuer (RFC 8414 section 3.3). */
function keysAddress(text: string, issuer: string): string | { readonly refused: string } {
  const read = readJson(Buffer.from(text), { depthMax: DEPTH_MAX });
  if (!read.ok || typeof read.value !== 'object' || read.value === null) return { refused: 'it is no JSON object' };
  const { issuer: says, jwks_uri: uri } = read.value as { readonly issuer?: unknown; readonly jwks_uri?: unknown };
  if (says !== issuer) return { refused: 'it is the document of another issuer' };
  if (typeof uri !== 'string' || !isSafeAddress(uri))
    return { refused: 'it names no address of keys that is "https:"' };
  // Else whoever writes the document could make us ask what only this machine can reach.
  if (new URL(uri).protocol === 'http:' && new URL(issuer).protocol !== 'http:')
    return { refused: 'its keys are at an address of this machine' };
  return uri;
}
