import { Fault } from '../../base/fault.ts';
import type { Env, OwnIdentity } from '../../filter/env.ts';
import type { Filter, FilterCode } from '../../filter/filter.ts';
import type { Identity } from '../../filter/identity.ts';
import {
  USER_CONTEXT_BYTES_MAX,
  USER_CONTEXT_CHAIN_MAX,
  USER_CONTEXT_FIELD,
  USER_CONTEXT_TYPE,
  type UserContext,
  type UserContextTimes,
} from '../../filter/user-context.ts';
import type { SignUserContextConfig } from './config.ts';
import { SIGN_USER_CONTEXT_FAULTS } from './faults.ts';

/** Users whose context is remembered; the oldest goes first. 2,000 of 3 KB are 6 MB. */
const USERS_MAX = 2_000;

/** Of one token and not of its user: with them no context would be used twice. */
const OF_THE_TOKEN: ReadonlySet<string> = new Set(
  'iat exp nbf jti nonce cnf at_hash c_hash s_hash auth_time sid'.split(' '),
);

/** Adds what is known of the user. What clients send under its name is taken out, whoever they are. */
export const code: FilterCode<typeof SignUserContextConfig> = {
  make: (config, env) => new Signer(config, env),
};

interface Signed {
  readonly value: string | Fault;
  /** Epoch time from which on a new one is signed. */
  readonly untilMs: number;
  readonly by: OwnIdentity;
}

class Signer implements Filter {
  readonly #config: SignUserContextConfig;
  readonly #env: Env;
  /** Most methods give the same object for the same client: nothing else need be looked at then. */
  readonly #byObject = new WeakMap<Identity, Signed>();
  readonly #byFacts = new Map<string, Signed>();

  constructor(config: SignUserContextConfig, env: Env) {
    this.#config = config;
    this.#env = env;
  }

  onRequest({ request: { headers }, identity }: Parameters<NonNullable<Filter['onRequest']>>[0]): Fault | undefined {
    headers.deleteAlike(USER_CONTEXT_FIELD);
    if (identity === undefined) return undefined;
    const own = this.#env.ownIdentity();
    // It has none for a moment at its start, and nobody would believe what is not signed.
    if (own === undefined) return undefined;
    const { value } = this.#signedFor(identity, own);
    if (value instanceof Fault) return value;
    headers.add(USER_CONTEXT_FIELD, value);
    return undefined;
  }

  #signedFor(identity: Identity, own: OwnIdentity): Signed {
    const known = this.#byObject.get(identity);
    if (known !== undefined && this.#isGood(known, own)) return known;
    const said = JSON.stringify(this.#said(identity, own));
    let signed = this.#byFacts.get(said);
    if (signed === undefined || !this.#isGood(signed, own)) {
      signed = this.#sign(said, own);
      this.#byFacts.delete(said);
      this.#byFacts.set(said, signed);
      if (this.#byFacts.size > USERS_MAX) this.#byFacts.delete(this.#byFacts.keys().next().value!);
    }
    this.#byObject.set(identity, signed);
    return signed;
  }

  #isGood({ untilMs, by }: Signed, own: OwnIdentity): boolean {
    return by === own && this.#env.wallMs() < untilMs;
  }

  #said({ subject, issuer, methods, consumer, scopes, claims }: Identity, own: OwnIdentity): UserContext {
    const names = this.#config.claims ?? Object.keys(claims).filter((name) => !OF_THE_TOKEN.has(name));
    const passed = names.filter((name) => Object.hasOwn(claims, name)).map((name) => [name, claims[name]] as const);
    return {
      iss: own.id,
      aud: this.#config.audience,
      sub: subject,
      ...(issuer !== '' && { sub_iss: issuer }),
      methods,
      ...(consumer !== undefined && { consumer: consumer.name, groups: consumer.groups }),
      ...(scopes.length > 0 && { scopes }),
      ...(passed.length > 0 && { claims: Object.fromEntries(passed) }),
    };
  }

  /** At most as long as the certificate is good. */
  #sign(said: string, own: OwnIdentity): Signed {
    const wallMs = this.#env.wallMs();
    const lastsMs = Math.min(this.#config.lifetimeMs, own.notAfterMs - wallMs);
    const iat = Math.floor(wallMs / 1_000);
    const times: UserContextTimes = { iat, exp: iat + Math.floor(lastsMs / 1_000) };
    const header = { alg: 'ES256', typ: USER_CONTEXT_TYPE, x5c: own.x5c.slice(0, USER_CONTEXT_CHAIN_MAX) };
    const text = `${encoded(header)}.${encoded({ ...(JSON.parse(said) as object), ...times })}`;
    const token = `${text}.${own.sign(Buffer.from(text)).toString('base64url')}`;
    this.#env.count('signed');
    const value =
      token.length > USER_CONTEXT_BYTES_MAX
        ? new Fault(
            SIGN_USER_CONTEXT_FAULTS['user-context.too-large'],
            `The user context would have ${token.length} bytes`,
          )
        : token;
    return { value, untilMs: wallMs + (lastsMs * 3) / 4, by: own };
  }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
