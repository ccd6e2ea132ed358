/** What the operator asks of the tokens of one issuer. */
import { parseDuration } from '../../base/duration.ts';
import { type ClaimReader, claimReader, type Claims, textsOf } from '../../filter/claims.ts';
import type { Env } from '../../filter/env.ts';
import { type Issuer, type JWT_FAULTS, PUBLIC_ALGORITHMS } from './config.ts';
import { makeKeySet } from './key-set.ts';
import type { KeySet } from './verify-key.ts';

/** Why a token is refused: a code, and words for the log. */
export interface Refusal {
  readonly code: keyof typeof JWT_FAULTS;
  readonly why: string;
}

/** From the first wrong moment on: `untilMs` of epoch time. */
export interface Accepted {
  readonly untilMs: number;
  readonly subject: string;
}

export class IssuerRule {
  readonly issuer: string;
  readonly keys: KeySet;
  readonly #algorithms: ReadonlySet<string>;
  readonly #types: ReadonlySet<string>;
  readonly #audiences: ReadonlySet<string> | undefined;
  readonly #claims: readonly {
    readonly name: string;
    readonly read: ClaimReader;
    readonly values?: readonly unknown[];
  }[];
  readonly #isExpiryNeeded: boolean;
  readonly #skewMs: number;
  readonly #ageMaxMs: number | undefined;

  constructor(config: Issuer, env: Env) {
    const { issuer, audiences, clockSkew, maxAge, requiredClaims, claims, typ, secretKeys } = config;
    this.issuer = issuer;
    this.#algorithms = new Set(config.algorithms ?? (secretKeys === undefined ? PUBLIC_ALGORITHMS : ['HS256']));
    this.#types = new Set(typ.map(plainType));
    this.#audiences = audiences.includes('*') ? undefined : new Set(audiences);
    this.#claims = [
      ...requiredClaims.map((name) => ({ name, read: claimReader(name) })),
      ...claims.map(({ claim, values }) => ({ name: claim, read: claimReader(claim), values })),
    ];
    this.#isExpiryNeeded = config.expiry === 'required';
    this.#skewMs = parseDuration(clockSkew)!;
    this.#ageMaxMs = maxAge === undefined ? undefined : parseDuration(maxAge)!;
    this.keys = makeKeySet(config, env);
  }

  /** Before the signature: whether it may be looked at at all. */
  headerFault(header: Claims): string | undefined {
    const { alg, typ = 'JWT', crit, kid } = header;
    if (typeof alg !== 'string' || !this.#algorithms.has(alg)) return 'its algorithm is not one that is taken';
    // RFC 7515 section 4.1.11: we understand no extension, and no token of ours needs one.
    if (crit !== undefined) return 'it names an extension as critical';
    if (kid !== undefined && typeof kid !== 'string') return 'its key id is not a text';
    return typeof typ === 'string' && this.#types.has(plainType(typ)) ? undefined : 'its typ is not one that is taken';
  }

  /** Once the signature is good. RFC 7519 section 4.1. */
  accept(claims: Claims, wallMs: number): Accepted | Refusal {
    const { exp, nbf, iat, sub } = claims;
    for (const [name, value] of Object.entries({ exp, nbf, iat })) {
      if (value !== undefined && !Number.isFinite(value))
        return { code: 'jwt.claims', why: `Claim ${name} is no date` };
    }
    if (sub !== undefined && typeof sub !== 'string') return { code: 'jwt.claims', why: 'Claim sub is no text' };
    const times = this.#timesFault({ exp, nbf, iat } as Times, wallMs);
    if ('code' in times) return times;
    if (this.#audiences !== undefined && !textsOf(claims['aud']).some((one) => this.#audiences!.has(one))) {
      return { code: 'jwt.audience', why: 'Claim aud holds none of the audiences' };
    }
    for (const { name, read, values } of this.#claims) {
      const value = read(claims);
      if (value === undefined || value === null) return { code: 'jwt.claims', why: `Claim ${name} is missing` };
      const said: readonly unknown[] = Array.isArray(value) ? value : [value];
      if (values !== undefined && !values.some((one) => said.includes(one))) {
        return { code: 'jwt.claims', why: `Claim ${name} has none of the values` };
      }
    }
    return { untilMs: times.untilMs, subject: sub ?? '' };
  }

  #timesFault({ exp, nbf, iat }: Times, wallMs: number): Refusal | { readonly untilMs: number } {
    if (exp === undefined && this.#isExpiryNeeded) return { code: 'jwt.claims', why: 'Claim exp is missing' };
    if (iat === undefined && this.#ageMaxMs !== undefined) return { code: 'jwt.claims', why: 'Claim iat is missing' };
    if (nbf !== undefined && wallMs < nbf * 1000 - this.#skewMs)
      return { code: 'jwt.not-yet', why: 'It is before nbf' };
    if (iat !== undefined && wallMs < iat * 1000 - this.#skewMs) {
      return { code: 'jwt.not-yet', why: 'It was made in the future' };
    }
    const ends = [Infinity];
    if (exp !== undefined) ends.push(exp * 1000);
    if (iat !== undefined && this.#ageMaxMs !== undefined) ends.push(iat * 1000 + this.#ageMaxMs);
    const untilMs = Math.min(...ends) + this.#skewMs;
    return wallMs < untilMs ? { untilMs } : { code: 'jwt.expired', why: 'It is past exp or maxAge' };
  }
}

interface Times {
  readonly exp: number | undefined;
  readonly nbf: number | undefined;
  readonly iat: number | undefined;
}

/** RFC 7515 section 4.1.9: `application/` may be left out, and media types have no case. */
function plainType(typ: string): string {
  return typ.toLowerCase().replace(/^application\//, '');
}
