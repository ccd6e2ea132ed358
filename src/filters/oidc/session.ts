/** What a browser keeps of a login, and what is made of it for requests. */
import { timingSafeEqual } from 'node:crypto';
import { consumerReader } from '../../filter/claims.ts';
import { identityOf, type Identity } from '../../filter/identity.ts';
import type { OidcConfig } from './config.ts';

export interface Session {
  /** Random, new with each login: names the session where it was ended. */
  readonly id: string;
  /** How often it was refreshed. */
  readonly turn: number;
  readonly provider: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly subject: string;
  /** Name of the session at the provider, where it says one (Back-Channel Logout section 2.1). */
  readonly sid?: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly scopes: readonly string[];
  /** Seconds since the epoch: of the login, of the last refresh, and when the access token runs out. */
  readonly startS: number;
  readonly freshS: number;
  readonly untilS?: number;
  readonly accessToken?: string;
  readonly refreshToken?: string;
  readonly idToken?: string;
}

/** A login that has begun. */
export interface Flow {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly provider: string;
  readonly returnTo: string;
  readonly startS: number;
}

/** When a session was used last. A cookie of its own, so that it cannot carry old tokens over new ones. */
export interface Seen {
  readonly id: string;
  readonly atS: number;
}

/** A login takes no longer. */
export const FLOW_S_MAX = 600;

export function sameText(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Makes identities of sessions, as the configuration says. */
export function identityReader({ consumer }: OidcConfig): (session: Session) => Identity {
  const consumerOf = consumerReader(consumer);
  return ({ subject, issuer, claims, scopes }) =>
    identityOf({
      method: 'oidc',
      subject,
      issuer,
      claims: Object.freeze(claims),
      scopes: Object.freeze([...scopes]),
      consumer: consumerOf(claims),
    });
}
