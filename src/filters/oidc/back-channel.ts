/** Logouts that a provider tells by itself (OpenID Connect Back-Channel Logout 1.0 section 2.5). */
import { Fault } from '../../base/fault.ts';
import { type Identity, identityOf } from '../../filter/identity.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange, Reply } from '../../filter/filter.ts';
import { FAULTS } from './config.ts';
import type { Ledger } from './ledger.ts';
import { TOKEN_AGE_S_MAX } from './logout-token.ts';
import type { Provider } from './provider.ts';
import type { Revocations } from './revocations.ts';

/** A logout token has some 600 characters. */
export const LOGOUT_BYTES_MAX = 16_384;

/** Whoever comes is known by what the body says, which comes later than methods are asked; nothing of it gets to an upstream. */
export const TELLER: Identity = identityOf({ method: 'oidc', subject: 'back-channel logout' });

/** Section 2.8: no answer is to be kept; those of faults are not anyway. */
const NOT_KEPT = [['cache-control', 'no-store']] as const;

export class BackChannel {
  readonly #env: Env;
  readonly #path: string;
  readonly #ledger: Ledger;
  readonly #revocations: Revocations;
  readonly #providers: readonly Provider[];

  constructor(
    parts: {
      readonly base: string;
      readonly ledger: Ledger;
      readonly revocations: Revocations;
      readonly providers: readonly Provider[];
    },
    env: Env,
  ) {
    this.#env = env;
    this.#path = `${parts.base}/backchannel-logout`;
    this.#ledger = parts.ledger;
    this.#revocations = parts.revocations;
    this.#providers = parts.providers;
  }

  /** Whether a request is one: then its body is wanted. */
  isTold({ asked, request }: Exchange): boolean {
    return asked.path === this.#path && request.method === 'POST';
  }

  async take({ request: { headers } }: Exchange, body: Buffer): Promise<Reply | Fault> {
    const type = headers.get('content-type') ?? '';
    if (!/^application\/x-www-form-urlencoded *(?:;|$)/i.test(type)) return this.#refuse('The body is no form');
    const tokens = new URLSearchParams(body.toString('latin1')).getAll('logout_token');
    if (tokens.length !== 1) return this.#refuse(`There are ${tokens.length} tokens`);
    for (const provider of this.#providers) {
      const ended = await provider.readLogout(tokens[0]!);
      if (ended === undefined) continue;
      if (typeof ended === 'string') return this.#refuse(`Provider "${provider.config.name}": ${ended}`);
      if (ended instanceof Fault) return ended;
      const { config } = provider;
      // Else whoever has one could end the sessions of a user again and again.
      const isNew = this.#ledger.first('logout', `${config.issuer} ${ended.jti}`, 2 * TOKEN_AGE_S_MAX * 1000);
      if (!isNew) return this.#refuse('It was used before');
      this.#revocations.revoke(config, ended);
      this.#env.count('logout_told');
      return { kind: 'reply', status: 200, reason: 'oidc', headers: NOT_KEPT, body: '' };
    }
    return this.#refuse('It is of no provider of this policy');
  }

  #refuse(why: string): Fault {
    this.#env.count('logout_refused');
    return new Fault(FAULTS['oidc.logout-token'], `Logout token: ${why}`, {
      // RFC 6749 section 5.2, which section 2.8 refers to.
      members: { error: 'invalid_request' },
    });
  }
}
