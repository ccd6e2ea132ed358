/**
 * What a gateway of a mesh tells its sidecars of the user that it has verified: a signed text (JWS, RFC 7515) that goes
 * along with the request. The key is that of the gateway's own certificate, whose chain stands in the text; so there is
 * nothing to hand out, and its rotation is that of the certificates.
 */

/** Applications that make calls of their own hand it on under this name. */
export const USER_CONTEXT_FIELD = 'x-fourways-user';

/** Tells it from every other token that somebody may have a signature of. */
export const USER_CONTEXT_TYPE = 'fourways-user+jwt';

/** Servers take heads of 8 to 16 KiB. */
export const USER_CONTEXT_BYTES_MAX = 8_192;

/** Leaf and those between it and a root. */
export const USER_CONTEXT_CHAIN_MAX = 4;

/** What it says, besides its times. */
export interface UserContext {
  /** SPIFFE ID of the gateway. */
  readonly iss: string;
  /** Trust domains that it is for. */
  readonly aud: readonly string[];
  readonly sub: string;
  /** Who says so: two issuers may have the same subject. */
  readonly sub_iss?: string;
  readonly methods: readonly string[];
  readonly consumer?: string;
  readonly groups?: readonly string[];
  readonly scopes?: readonly string[];
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** Seconds since the epoch. */
export interface UserContextTimes {
  readonly iat: number;
  readonly exp: number;
}
