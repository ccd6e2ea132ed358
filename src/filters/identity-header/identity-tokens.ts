/**
 * Signed tokens by identity. One is used for all requests of its identity until
 * a quarter of its life is left, so a request costs a look-up and no signature.
 */
import { CompactSign } from 'jose';
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import type { Identity } from '../../filter/identity.ts';
import { IDENTITY_HEADER_FAULTS, type Token } from './config.ts';
import type { SigningKey } from './signing-key.ts';

/** Identities whose tokens are remembered; the oldest token goes first. 10,000 of 600 bytes are 6 MB. */
const TOKENS_MAX = 10_000;

/** Of the longest token: servers take heads of 8 to 16 KiB. */
const TOKEN_BYTES_MAX = 8_192;

interface Signed {
  readonly value: string | Fault;
  readonly untilMs: number;
}

export class IdentityTokens {
  readonly #config: Token;
  readonly #key: SigningKey;
  readonly #env: Env;
  readonly #lifetimeMs: number;
  /** Most methods give the same object for the same client: nothing else need be looked at then. */
  readonly #byObject = new WeakMap<Identity, Signed>();
  /** By what the token says, for all others. */
  readonly #byFacts = new Map<string, Signed | Promise<Signed>>();

  constructor(config: Token, key: SigningKey, env: Env) {
    this.#config = config;
    this.#key = key;
    this.#env = env;
    this.#lifetimeMs = parseDuration(config.lifetime)!;
  }

  tokenOf(identity: Identity): string | Fault | Promise<string | Fault> {
    const known = this.#byObject.get(identity);
    if (known !== undefined && this.#env.wallMs() < known.untilMs) return known.value;
    const facts = JSON.stringify(this.#factsOf(identity));
    const signed = this.#byFacts.get(facts);
    if (signed instanceof Promise) return signed.then((late) => this.#use(identity, late));
    if (signed !== undefined && this.#env.wallMs() < signed.untilMs) return this.#use(identity, signed);
    const signing = this.#sign(facts).catch((error: unknown) => {
      this.#byFacts.delete(facts);
      throw error;
    });
    this.#remember(facts, signing);
    return signing.then((late) => this.#use(identity, late));
  }

  #use(identity: Identity, signed: Signed): string | Fault {
    this.#byObject.set(identity, signed);
    return signed.value;
  }

  #remember(facts: string, signed: Signed | Promise<Signed>): void {
    this.#byFacts.delete(facts);
    this.#byFacts.set(facts, signed);
    if (this.#byFacts.size > TOKENS_MAX) this.#byFacts.delete(this.#byFacts.keys().next().value!);
  }

  /** What a token says besides its times. */
  #factsOf({ subject, issuer, methods, consumer, scopes, workload, claims }: Identity): Record<string, unknown> {
    const passed = this.#config.claims
      .filter((name) => Object.hasOwn(claims, name))
      .map((name) => [name, claims[name]]);
    return {
      iss: this.#config.issuer,
      aud: this.#config.audience,
      sub: subject,
      methods,
      // Two issuers may have the same subject.
      ...(issuer !== '' && { sub_iss: issuer }),
      ...(consumer !== undefined && { consumer: consumer.name, groups: consumer.groups }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
      ...(workload !== undefined && { workload }),
      ...(passed.length > 0 && { claims: Object.fromEntries(passed) as unknown }),
    };
  }

  async #sign(facts: string): Promise<Signed> {
    const wallMs = this.#env.wallMs();
    const iat = Math.floor(wallMs / 1000);
    const payload = { ...(JSON.parse(facts) as object), iat, exp: iat + Math.floor(this.#lifetimeMs / 1000) };
    const { algorithm: alg, kid, key } = this.#key;
    const token = await new CompactSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg, kid, typ: 'JWT' })
      .sign(key);
    this.#env.count('signed');
    const isTooLong = token.length > TOKEN_BYTES_MAX;
    const value = isTooLong
      ? new Fault(IDENTITY_HEADER_FAULTS['identity-header.too-large'], `The token would have ${token.length} bytes`)
      : token;
    const signed = { value, untilMs: wallMs + (this.#lifetimeMs * 3) / 4 };
    this.#remember(facts, signed);
    return signed;
  }
}
