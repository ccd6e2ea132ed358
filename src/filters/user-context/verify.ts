/** One signed user context: what it says, or why nobody is to believe it. */
import { type KeyObject, verify } from 'node:crypto';
import {
  USER_CONTEXT_BYTES_MAX,
  USER_CONTEXT_TYPE,
  type UserContext,
  type UserContextTimes,
} from '../../filter/user-context.ts';
import { check, type Static, Type } from '../../schema/schema.ts';
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

const Payload = Type.Object({
  iss: Type.String(),
  aud: Type.Array(Type.String()),
  sub: Type.String(),
  sub_iss: Type.Optional(Type.String()),
  methods: Type.Array(Type.String()),
  consumer: Type.Optional(Type.String()),
  groups: Type.Optional(Type.Array(Type.String())),
  scopes: Type.Optional(Type.Array(Type.String())),
  claims: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  iat: Type.Integer(),
  exp: Type.Integer(),
});

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

function payloadIn(text: string): Static<typeof Payload> | undefined {
  const found = objectIn(text);
  return found === undefined ? undefined : check(Payload, found).value;
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const found = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown;
    return typeof found === 'object' && found !== null && !Array.isArray(found)
      ? (found as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
