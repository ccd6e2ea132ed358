/** What a browser keeps of a login, and what is made of it for requests. */
import { timingSafeEqual } from 'node:crypto';
import { identityOf, type Identity } from '../../filter/identity.ts';
import type { OidcConfig } from './config.ts';
import { claimReader } from './claims.ts';

export interface Session {
  /** Random, new with each login: names the session where it was ended. */
  readonly id: string;
  /** How often it was refreshed. */
  readonly turn: number;
  readonly provider: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly subject: string;
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
export class Identities {
  readonly #consumer:
    | { readonly name: (claims: Session['claims']) => unknown; readonly groups: (claims: Session['claims']) => unknown }
    | undefined;

  constructor({ consumer }: OidcConfig) {
    if (consumer === undefined) return;
    const groups = consumer.groups === undefined ? (): undefined => undefined : claimReader(consumer.groups);
    this.#consumer = { name: claimReader(consumer.claim), groups };
  }

  of({ subject, issuer, claims, scopes }: Session): Identity {
    const name = this.#consumer?.name(claims);
    const groups = this.#consumer?.groups(claims);
    return identityOf({
      method: 'oidc',
      subject,
      issuer,
      claims: Object.freeze(claims),
      scopes: Object.freeze([...scopes]),
      consumer:
        typeof name !== 'string'
          ? undefined
          : Object.freeze({ name, groups: Object.freeze(textsOf(groups)), labels: Object.freeze({}) }),
    });
  }
}

function textsOf(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((item) => typeof item === 'string');
}
