/** What a provider says when a user has logged out there (OpenID Connect Back-Channel Logout 1.0 section 2.4), checked by its section 2.6. */
import { errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose';

/** Which sessions are over: the one of this name, or all of the user. */
export interface Ended {
  readonly sessionId: string | undefined;
  readonly subject: string | undefined;
  /** Of the token, among those of its issuer. */
  readonly jti: string;
}

export interface LogoutExpected {
  readonly issuer: string;
  readonly clientId: string;
  readonly keys: JWTVerifyGetKey;
  /** As the provider signs ID tokens; what is no signature by a key of its set is never taken. */
  readonly algorithms: readonly string[] | undefined;
  readonly toleranceS: number;
  readonly nowMs: number;
}

/** OpenID Connect Back-Channel Logout 1.0 section 2.4. */
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** They are sent when it happens; a provider that could not reach us tries again for minutes at most. */
export const TOKEN_AGE_S_MAX = 600;

/** Names of sessions and users are short: subjects have 255 characters at most (OpenID Connect Core section 2). */
const CHARS_MAX = 1_024;

/** Asymmetric signatures: whoever can check these cannot make them. */
const SIGNATURE = /^(?:RS|PS|ES)(?:256|384|512)$|^EdDSA$|^Ed25519$/;

/** OpenID Connect Discovery section 3: each provider has this one. */
const EVERYBODYS = ['RS256'];

/**
 * @returns in words why it is not taken, or which sessions are over
 * @throws {Error} when the keys cannot be had at the moment
 */
export async function readLogoutToken(token: string, expected: LogoutExpected): Promise<Ended | string> {
  const algorithms = (expected.algorithms ?? EVERYBODYS).filter((one) => SIGNATURE.test(one));
  let claims: JWTPayload;
  try {
    const { payload, protectedHeader } = await jwtVerify(token, expected.keys, {
      algorithms,
      issuer: expected.issuer,
      audience: expected.clientId,
      clockTolerance: expected.toleranceS,
      maxTokenAge: TOKEN_AGE_S_MAX,
      requiredClaims: ['aud', 'exp', 'iat', 'iss', 'jti'],
      currentDate: new Date(expected.nowMs),
    });
    if (!isOfKind(protectedHeader.typ)) return 'its typ is of another kind of token';
    claims = payload;
  } catch (error) {
    if (isOfToken(error)) return error.message;
    throw error;
  }
  const { events, jti, sub, sid } = claims as Readonly<Record<string, unknown>>;
  if (!hasEvent(events)) return 'it tells of no logout';
  // That is how an ID token cannot be passed off as one.
  if (Object.hasOwn(claims, 'nonce')) return 'it has a nonce';
  if (!isName(jti)) return 'its jti is not a short text';
  if (sub === undefined && sid === undefined) return 'it names neither a user nor a session';
  if ((sub !== undefined && !isName(sub)) || (sid !== undefined && !isName(sid)))
    return 'its names are not short texts';
  return { sessionId: sid as string | undefined, subject: sub as string | undefined, jti };
}

/** Section 2.4 recommends a type of its own; providers from before have that of any token, or none. */
function isOfKind(typ: unknown): boolean {
  return typ === undefined || (typeof typ === 'string' && /^(?:application\/)?(?:logout\+)?jwt$/i.test(typ));
}

function hasEvent(events: unknown): boolean {
  if (typeof events !== 'object' || events === null || !Object.hasOwn(events, EVENT)) return false;
  const event = (events as Readonly<Record<string, unknown>>)[EVENT];
  return typeof event === 'object' && event !== null && !Array.isArray(event);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= CHARS_MAX;
}

/** Not of the keys, which may be away for a while: a set that did not come in time, or is none. */
function isOfToken(error: unknown): error is Error {
  if (!(error instanceof errors.JOSEError)) return false;
  return !['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'].includes(error.code);
}
