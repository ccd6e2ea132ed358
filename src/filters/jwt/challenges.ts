/** What a refused client is told: that, not why (RFC 6750 section 3, RFC 9449 section 7.1). */
import type { JWT_FAULTS, JwtConfig } from './config.ts';
import type { Nonces } from './nonces.ts';
import type { Presented } from './places.ts';

type Lines = readonly (readonly [name: string, value: string])[];

/** Tries again when keys may be there. */
const RETRY_AFTER: Lines = [['retry-after', '5']];

const NONE: Lines = [];

export const NONCE_HEADER = 'dpop-nonce';

export class Challenges {
  /** For whoever came without a token. */
  readonly plain: string;
  readonly #byScheme: Readonly<Record<Presented['scheme'], string>>;
  readonly #scopes: string;
  readonly #nonces: Nonces | undefined;

  constructor({ realm, scopes, dpop }: JwtConfig, nonces: Nonces | undefined) {
    this.#nonces = nonces;
    const parameters = realm === undefined ? [] : [`realm="${realm}"`];
    const bearer = challenge('Bearer', parameters);
    const proof = challenge('DPoP', [...parameters, `algs="${dpop.algorithms.join(' ')}"`]);
    this.#byScheme = { bearer, dpop: proof };
    this.plain = { accept: `${bearer}, ${proof}`, require: proof, refuse: bearer }[dpop.mode];
    this.#scopes = scopes.join(' ');
  }

  headersFor(code: keyof typeof JWT_FAULTS, scheme: Presented['scheme']): Lines {
    switch (code) {
      case 'jwt.keys-unavailable':
      case 'jwt.proofs-full':
        return RETRY_AFTER;
      case 'jwt.ambiguous':
        return NONE;
      case 'jwt.scope':
        return this.#line(scheme, `error="insufficient_scope", scope="${this.#scopes}"`);
      case 'jwt.proof':
        return this.#line(scheme, 'error="invalid_dpop_proof"');
      case 'jwt.nonce':
        // RFC 9449 section 9.
        return [...this.#line('dpop', 'error="use_dpop_nonce"'), [NONCE_HEADER, this.#nonces!.fresh()]];
      default:
        return this.#line(scheme, 'error="invalid_token"');
    }
  }

  #line(scheme: Presented['scheme'], error: string): Lines {
    const start = this.#byScheme[scheme];
    return [['www-authenticate', `${start}${start.includes('=') ? ',' : ''} ${error}`]];
  }
}

function challenge(scheme: string, parameters: readonly string[]): string {
  return [scheme, parameters.join(', ')].join(' ').trim();
}
