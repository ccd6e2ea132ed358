import { compactVerify } from 'jose';
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import { ClaimHeaders, type Claims, consumerReader } from '../../filter/claims.ts';
import { AMBIGUOUS } from '../../filter/credential-places.ts';
import type { Env } from '../../filter/env.ts';
import type { Authentication, Exchange, Filter, FilterCode } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import { type Identity, identityOf } from '../../filter/identity.ts';
import { scopesOf } from './claims.ts';
import { type CompactToken, readCompact } from './compact.ts';
import { type DpopConfig, JWT_FAULTS, type JwtConfig } from './config.ts';
import type { ResponseHead } from '../../http/message.ts';
import { bindingOf } from './binding.ts';
import { Challenges, NONCE_HEADER } from './challenges.ts';
import { ProofCheck } from './dpop.ts';
import { IssuerRule, type Refusal } from './issuer-rule.ts';
import { Nonces } from './nonces.ts';
import { type Presented, TokenPlaces } from './places.ts';
import { type VerifiedToken, VerifiedTokens } from './verified-tokens.ts';
import { candidates, type VerifyKey } from './verify-key.ts';

/** Verifications of one token that runs are shared; tokens beyond that are verified each for itself. */
const RUNNING_MAX = 1_000;

/**
 * Bearer tokens and tokens with proof of possession. A signature is verified
 * once; after that a request costs the look-up of its token, in the same turn.
 *
 * @see RFC 7519, RFC 8725, RFC 6750, RFC 9068, RFC 9449, RFC 8705
 */
export const code: FilterCode<typeof JwtConfig> = {
  make: (config, env) => new JwtFilter(config, env),
};

class JwtFilter implements Filter {
  readonly challenge: string;
  readonly onRequest?: (x: Exchange) => undefined;
  readonly onResponse?: (x: Exchange, response: ResponseHead) => void;
  readonly onEnd?: (x: Exchange) => void;
  readonly #config: JwtConfig;
  readonly #env: Env;
  readonly #places: TokenPlaces;
  readonly #issuers = new Map<string, IssuerRule>();
  readonly #tokens: VerifiedTokens;
  readonly #ttlMs: number;
  readonly #running = new Map<string, Promise<VerifiedToken | Refusal>>();
  readonly #proofs: ProofCheck;
  readonly #challenges: Challenges;
  readonly #headers: ClaimHeaders;
  readonly #consumerOf: ReturnType<typeof consumerReader>;
  /** Tokens whose claims are still to be written into their requests; kept apart, since all methods are asked first. */
  readonly #accepted = new Kept<VerifiedToken>();
  /** Requests whose client needs a new nonce. */
  readonly #removes: boolean;
  readonly #aging = new Kept<true>();

  constructor(config: JwtConfig, env: Env) {
    this.#config = config;
    this.#env = env;
    this.#places = new TokenPlaces(config.from);
    this.#tokens = new VerifiedTokens(config.cache);
    this.#ttlMs = parseDuration(config.cache.ttl)!;
    const nonces = noncesOf(config.dpop, env);
    this.#proofs = new ProofCheck(config.dpop, env, nonces);
    this.#challenges = new Challenges(config, nonces);
    if (nonces !== undefined) this.onResponse = (x, response) => this.#renewNonce(x, response, nonces);
    this.challenge = this.#challenges.plain;
    this.#headers = new ClaimHeaders(config.claimHeaders);
    this.#consumerOf = consumerReader(config.consumer);
    this.#removes = config.forward === 'remove' && !env.isAudited;
    if (!this.#headers.isEmpty || this.#removes) this.onRequest = (x) => this.#rewrite(x);
    // A token that was refused is in no log either, also where queries are logged.
    if (this.#places.isInQuery) this.onEnd = ({ request }) => this.#places.hide(request);
    try {
      for (const issuer of config.issuers) this.#issuers.set(issuer.issuer, new IssuerRule(issuer, env));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  authenticate(x: Exchange): Authentication | Promise<Authentication> {
    const found = this.#places.read(x.request);
    if (found === undefined) return 'absent';
    if (found === AMBIGUOUS) return this.#refuse({ code: 'jwt.ambiguous', why: 'There is more than one' }, 'bearer');
    const known = this.#tokens.get(found.token, this.#env.wallMs());
    if (known !== undefined) {
      this.#env.count('cached');
      return this.#settle(x, found, known);
    }
    if (found.token.length > this.#config.tokenBytesMax) {
      return this.#refuse({ code: 'jwt.invalid', why: 'It is too long' }, found.scheme);
    }
    return this.#verified(found.token).then((verified) =>
      'why' in verified ? this.#refuse(verified, found.scheme) : this.#settle(x, found, verified),
    );
  }

  close(): void {
    for (const { keys } of this.#issuers.values()) keys.close();
  }

  /** Of a token that is good by itself: whether this client may use it, for this. */
  #settle(x: Exchange, presented: Presented, verified: VerifiedToken): Authentication | Promise<Authentication> {
    const { mode } = this.#config.dpop;
    const { proofKey, certificate } = verified;
    if (certificate !== undefined && x.client.clientCertificate?.fingerprint !== certificate) {
      return this.#refuse({ code: 'jwt.binding', why: 'It is bound to another client certificate' }, presented.scheme);
    }
    if (presented.scheme === 'bearer') {
      if (proofKey !== undefined)
        return this.#refuse({ code: 'jwt.binding', why: 'It came without its proof' }, 'dpop');
      if (mode === 'require') return this.#refuse({ code: 'jwt.binding', why: 'It is not bound to a key' }, 'dpop');
      return this.#accept(x, verified);
    }
    if (mode === 'refuse') return this.#refuse({ code: 'jwt.proof', why: 'No proofs are taken here' }, 'bearer');
    if (proofKey === undefined) {
      return this.#refuse({ code: 'jwt.binding', why: 'It came as DPoP and is not bound to a key' }, 'dpop');
    }
    return this.#proofs.check(x, { token: presented.token, proofKey }).then((proven) => {
      if ('why' in proven) return this.#refuse(proven, 'dpop');
      this.#env.count('proofs');
      if (proven.isNonceAging) this.#aging.set(x, true);
      return this.#accept(x, verified);
    });
  }

  #accept(x: Exchange, verified: VerifiedToken): Authentication {
    if (!verified.hasScopes) return this.#refuse({ code: 'jwt.scope', why: 'It lacks a scope' }, 'bearer');
    if (!this.#headers.isEmpty) this.#accepted.set(x, verified);
    return verified.identity;
  }

  #refuse({ code: kind, why }: Refusal, scheme: Presented['scheme']): Fault {
    this.#env.count('refused');
    return new Fault(JWT_FAULTS[kind], `Token: ${why}`, { headers: this.#challenges.headersFor(kind, scheme) });
  }

  /** The request as upstreams get it: what a client sent under the names of claims is never passed on. */
  #rewrite(x: Exchange): undefined {
    const { request } = x;
    if (this.#removes) {
      this.#places.hide(request);
      request.headers.delete('dpop');
    }
    this.#headers.strip(request.headers);
    const accepted = this.#accepted.get(x);
    if (accepted !== undefined) for (const [name, value] of accepted.headers) request.headers.add(name, value);
    return undefined;
  }

  /** RFC 9449 section 8.2: whoever keeps such an answer would give an old nonce to others. */
  #renewNonce(x: Exchange, { headers }: ResponseHead, nonces: Nonces): void {
    if (this.#aging.get(x) === undefined) return;
    headers.set(NONCE_HEADER, nonces.fresh());
    headers.set('cache-control', 'no-store');
  }

  /** One verification for all requests that come with the same token meanwhile. */
  #verified(token: string): Promise<VerifiedToken | Refusal> {
    const running = this.#running.get(token);
    if (running !== undefined) return running;
    const verification = this.#verify(token);
    if (this.#running.size >= RUNNING_MAX) return verification;
    const shared = verification.finally(() => this.#running.delete(token));
    this.#running.set(token, shared);
    return shared;
  }

  async #verify(token: string): Promise<VerifiedToken | Refusal> {
    const read = readCompact(token);
    if (typeof read === 'string') return { code: 'jwt.invalid', why: read };
    const { header, claims } = read;
    // Only a selector so far: which keys it must have been signed with.
    const rule = typeof claims['iss'] === 'string' ? this.#issuers.get(claims['iss']) : undefined;
    if (rule === undefined) return { code: 'jwt.issuer', why: 'Claim iss is none of the issuers' };
    const wrong = rule.headerFault(header);
    if (wrong !== undefined) return { code: 'jwt.invalid', why: wrong };
    const key = await this.#signer(token, read, rule);
    if ('why' in key) return key;
    this.#env.count('verified');
    const wallMs = this.#env.wallMs();
    const accepted = rule.accept(claims, wallMs);
    if ('why' in accepted) return accepted;
    const binding = bindingOf(claims);
    if ('why' in binding) return binding;
    const verified: VerifiedToken = {
      identity: this.#identityOf(claims, accepted.subject),
      key,
      untilMs: Math.min(accepted.untilMs, wallMs + this.#ttlMs),
      ...binding,
      hasScopes: this.#config.scopes.every((scope) => scopesOf(claims).includes(scope)),
      headers: this.#headers.linesOf(claims, () => this.#env.count('claim_dropped')),
    };
    this.#tokens.set(token, verified);
    return verified;
  }

  /** The key that the signature is good with. */
  async #signer(token: string, { header }: CompactToken, { keys: set }: IssuerRule): Promise<VerifyKey | Refusal> {
    const alg = header['alg'] as string;
    const kid = header['kid'] as string | undefined;
    if (set.keys() === undefined) await set.waitForKeys();
    let keys = set.keys();
    if (keys === undefined) return { code: 'jwt.keys-unavailable', why: 'There are no keys of its issuer' };
    let able = candidates(keys, alg, kid);
    if (able.length === 0) {
      await set.askAgain();
      keys = set.keys() ?? [];
      able = candidates(keys, alg, kid);
    }
    if (able.length === 0) return { code: 'jwt.invalid', why: 'Its issuer has no such key' };
    for (const candidate of able) {
      try {
        await compactVerify(token, candidate.key, { algorithms: [alg] });
        return candidate;
      } catch {
        // The next one may fit: a token need not name its key.
      }
    }
    return { code: 'jwt.invalid', why: 'Its signature is wrong' };
  }

  #identityOf(claims: Claims, subject: string): Identity {
    return identityOf({
      method: 'jwt',
      subject,
      issuer: claims['iss'] as string,
      consumer: this.#consumerOf(claims),
      claims,
      scopes: scopesOf(claims),
    });
  }
}

/** @throws {Error} on a secret that is too short: the rule answers 500 then */
function noncesOf({ nonce }: DpopConfig, env: Env): Nonces | undefined {
  if (nonce === undefined) return undefined;
  return new Nonces(env.secret(nonce.secret), parseDuration(nonce.lifetime)!, () => env.wallMs());
}
