/** One signed user context: what it says, or why nobody is to believe it. */
import { type KeyObject, verify } from 'node:crypto';
import {
  USER_CONTEXT_BYTES_MAX,
  USER_CONTEXT_TYPE,
  type UserContext,
  type UserContextTimes,
} from '../../filter/user-context.ts';
import type { SignerChains } from './signer-chains.ts';

export interface Said {
  readonly context: UserContext;
  /** Epoch time at which it ends. */
  readonly untilMs: number;
}

export interface Refused {
  readonly code: 'user-context.invalid' | 'user-context.expired';
  /** Goes on behind "it": `is signed by …`. Says nothing of what is in it. */
  readonly why: string;
}

export interface Verifying {
  readonly chains: SignerChains;
  /** Our trust domain. */
  readonly audience: string;
  readonly wallMs: number;
}

/** Clocks of two hosts may differ by so much. */
const SKEW_MS = 5_000;

/** A text that lasts longer was not made by any gateway of ours. */
const LIFETIME_S_MAX = 600;

type Payload = UserContext & UserContextTimes;

/** RFC 7515 section 5.2, for the one form that gateways write. The signature is looked at before anything that it covers. */
export function verifyContext(text: string, { chains, audience, wallMs }: Verifying): Said | Refused {
  if (text.length > USER_CONTEXT_BYTES_MAX) return invalid('is too long');
  const parts = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(text);
  if (parts === null) return invalid('is no signed text');
  const [, head = '', body = '', signature = ''] = parts;
  const header = objectIn(head);
  if (header?.['alg'] !== 'ES256' || header['typ'] !== USER_CONTEXT_TYPE || 'crit' in header) {
    return invalid('is signed in another way than gateways sign');
  }
  const signer = chains.signerOf(header['x5c'], wallMs);
  if ('flaw' in signer) return invalid(signer.flaw);
  if (!isSigned(`${head}.${body}`, signature, signer.key)) return invalid('does not fit its signature');
  const payload = payloadIn(body);
  if (payload === undefined) return invalid('does not say what it should');
  if (payload.iss !== signer.id) return invalid('is signed by another than it says');
  if (!payload.aud.includes(audience)) return invalid('is for another mesh');
  const { iat, exp, ...context } = payload;
  return timed({ iat, exp }, wallMs) ?? { context, untilMs: Math.min(exp * 1_000, signer.untilMs) };
}

function timed({ iat, exp }: UserContextTimes, wallMs: number): Refused | undefined {
  if (exp - iat > LIFETIME_S_MAX) return invalid('lasts longer than any that gateways sign');
  if (iat * 1_000 > wallMs + SKEW_MS) return invalid('is of the future');
  if (exp * 1_000 + SKEW_MS <= wallMs) return { code: 'user-context.expired', why: 'has expired' };
  return undefined;
}

function invalid(why: string): Refused {
  return { code: 'user-context.invalid', why };
}

/** RFC 7518 section 3.4: both numbers, 32 bytes each. */
function isSigned(text: string, signature: string, key: KeyObject): boolean {
  const bytes = Buffer.from(signature, 'base64url');
  return bytes.length === 64 && verify('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }, bytes);
}

function payloadIn(text: string): Payload | undefined {
  const found = objectIn(text);
  return found !== undefined && isPayload(found) ? found : undefined;
}

type Unchecked = Readonly<Record<string, unknown>>;

/** By hand: sidecars that check and do nothing else load no schemas. */
function isPayload(found: Unchecked): found is Unchecked & Payload {
  const { iss, aud, sub, sub_iss, methods, consumer, groups, scopes, claims, iat, exp } = found;
  return (
    [iss, sub].every(isText) &&
    [aud, methods].every(isTexts) &&
    [sub_iss, consumer].every((one) => one === undefined || isText(one)) &&
    [groups, scopes].every((one) => one === undefined || isTexts(one)) &&
    (claims === undefined || isObject(claims)) &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp)
  );
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function isObject(value: unknown): value is Unchecked {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectIn(text: string): Unchecked | undefined {
  try {
    const found: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return isObject(found) ? found : undefined;
  } catch {
    return undefined;
  }
}
