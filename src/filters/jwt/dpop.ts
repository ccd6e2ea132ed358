/** Proof of possession by the client's own key (RFC 9449): a token that is only good together with a fresh signature. */
import { createHash } from 'node:crypto';
import { calculateJwkThumbprint, compactVerify, type JWK } from 'jose';
import { parseDuration } from '../../base/duration.ts';
import type { Claims } from '../../filter/claims.ts';
import { type Cells, type Demand, openCells } from '../../filter/cells.ts';
import type { HashState } from '../../filter/keyed-hash.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange } from '../../filter/filter.ts';
import { readCompact } from './compact.ts';
import type { DpopConfig } from './config.ts';
import type { Refusal } from './issuer-rule.ts';
import type { Nonces } from './nonces.ts';
import type { SeenProofs } from './seen-proofs.ts';
import { makeShared, proofsOf } from './shared.ts';
import { type Jwk, publicKeyOf, type VerifyKey } from './verify-key.ts';

/** A proof holds a public key and six short claims; an RSA key of 4096 bits makes it some 1,900 bytes. */
const PROOF_BYTES_MAX = 4096;

/** Clocks of clients run ahead, too. */
const AHEAD_MS = 10_000;

const JTI_CHARS_MAX = 256;

/** Members that only a private or a secret key has (RFC 7518 section 6). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

export interface Bound {
  readonly token: string;
  /** Thumbprint that the token names in `cnf.jkt`. */
  readonly proofKey: string;
}

/** A proof that was read, and not verified yet. */
interface Proof {
  readonly text: string;
  readonly jwk: JWK;
  readonly key: VerifyKey;
  readonly claims: Claims;
}

export interface Proven {
  readonly isNonceAging: boolean;
}

export class ProofCheck {
  readonly #config: DpopConfig;
  readonly #env: Env;
  readonly #windowMs: number;
  readonly #keepMs: number;
  readonly #seen: SeenProofs;
  /** Of all workers. Bounded for all filters together: in a flood one may be forgotten there, and not in `#seen`. */
  readonly #cells: Cells;
  readonly #space: HashState;
  readonly #nonces: Nonces | undefined;

  constructor(config: DpopConfig, env: Env, nonces: Nonces | undefined) {
    this.#nonces = nonces;
    this.#config = config;
    this.#env = env;
    this.#windowMs = parseDuration(config.window)!;
    this.#keepMs = this.#windowMs + AHEAD_MS;
    this.#seen = proofsOf(env.shared(makeShared), this.#keepMs);
    const { cells, worker } = env;
    this.#cells = openCells(cells, { worker: worker.number, randomBytes: (count) => env.randomBytes(count) });
    this.#space = this.#cells.space('jwt.dpop');
  }

  /** Why the proof is not accepted, or whether its nonce is to be renewed. Never rejects. RFC 9449 section 4.3. */
  async check(x: Exchange, bound: Bound): Promise<Refusal | Proven> {
    const read = this.#read(x, bound.token);
    if (typeof read === 'string') return { code: 'jwt.proof', why: read };
    const nonceAge = this.#nonces?.ageOf(read.claims['nonce']) ?? 'fresh';
    if (nonceAge === 'bad') return { code: 'jwt.nonce', why: 'Its proof has no nonce that is good' };
    const wrong = (await this.#signatureFault(read, bound)) ?? (await this.#takeOnce(bound.proofKey, read));
    if (wrong === 'full') return { code: 'jwt.proofs-full', why: 'No more proofs can be remembered' };
    return wrong === undefined ? { isNonceAging: nonceAge === 'aging' } : { code: 'jwt.proof', why: wrong };
  }

  /** What costs nothing: whoever sends nonsense shall not make us verify it. */
  #read(x: Exchange, token: string): Proof | string {
    const proofs = x.request.headers.getAll('dpop');
    if (proofs.length !== 1) return proofs.length === 0 ? 'it is missing' : 'there is more than one';
    const proof = proofs[0]!;
    if (proof.length > PROOF_BYTES_MAX) return `it is longer than ${PROOF_BYTES_MAX} bytes`;
    const read = readCompact(proof);
    if (typeof read === 'string') return read;
    const key = this.#keyOf(read.header);
    if (typeof key === 'string') return key;
    const { header, claims } = read;
    return this.#claimsFault(x, claims, token) ?? { text: proof, jwk: header['jwk'] as JWK, key, claims };
  }

  async #signatureFault({ text, jwk, key }: Proof, { proofKey }: Bound): Promise<string | undefined> {
    try {
      const thumbprint = await calculateJwkThumbprint(jwk, 'sha256');
      if (thumbprint !== proofKey) return 'it is by another key than the token is bound to';
      await compactVerify(text, key.key, { algorithms: [...this.#config.algorithms] });
      return undefined;
    } catch {
      return 'its signature is wrong';
    }
  }

  #keyOf(header: Claims): VerifyKey | string {
    const { typ, alg, jwk, crit } = header;
    if (typ !== 'dpop+jwt') return 'its typ is not dpop+jwt';
    if (crit !== undefined) return 'it names an extension as critical';
    if (typeof alg !== 'string' || !(this.#config.algorithms as readonly string[]).includes(alg)) {
      return 'its algorithm is not one that is taken';
    }
    if (typeof jwk !== 'object' || jwk === null) return 'it has no key';
    if (PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member))) return 'it holds a private key';
    return publicKeyOf(jwk as Jwk, [alg]);
  }

  #claimsFault({ request, asked }: Exchange, claims: Claims, token: string): string | undefined {
    const { jti, htm, htu, iat, ath } = claims;
    if (typeof jti !== 'string' || jti === '' || jti.length > JTI_CHARS_MAX) return 'its jti is not a short text';
    if (htm !== request.method) return 'it is for another method';
    const origin = this.#config.origin ?? `${request.scheme}://${asked.authority}`;
    const here = plainUri(origin + asked.path);
    if (typeof htu !== 'string' || here === undefined || plainUri(htu) !== here) return 'it is for another address';
    const ageMs = typeof iat === 'number' ? this.#env.wallMs() - iat * 1000 : Number.NaN;
    if (!(ageMs <= this.#windowMs && ageMs >= -AHEAD_MS)) return 'it is not of now';
    return ath === hashOf(token) ? undefined : 'it is for another token';
  }

  /** By its hash: what a client chooses shall not choose how much is remembered. */
  async #takeOnce(proofKey: string, { claims }: Proof): Promise<string | undefined> {
    const proof = hashOf(`${proofKey} ${claims['jti'] as string}`).slice(0, 24);
    const { redis } = this.#env;
    const said = this.#seen.take(proof, this.#env.nowMs(), this.#config.proofsMax);
    if (said !== 'new') return said === 'full' ? 'full' : 'it was used before';
    if (!this.#isNewToWorkers(proof)) return 'it was used before';
    if (redis === undefined || !redis.isUp) return undefined;
    // Other proxies: the first one to say it has it.
    try {
      const first = await redis.command('SET', `fourways:dpop:${proof}`, '1', 'NX', 'PX', this.#keepMs);
      return first === null ? 'it was used before' : undefined;
    } catch {
      return undefined;
    }
  }

  /** Of a limit of one use in the time that it is remembered, this is the first. */
  #isNewToWorkers(proof: string): boolean {
    this.#cells.hash.read(this.#space, proof);
    const { lo, hi } = this.#cells.hash;
    const demand: Demand = { lo, hi, cost: 1, burst: 1, perUnitMs: this.#keepMs, used: 0, waitMs: 0 };
    return this.#cells.spend([demand], 1, this.#env.nowMs());
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('base64url');
}

/**
 * An address without query and fragment in the one form for all that mean the
 * same (RFC 3986 sections 6.2.2 and 6.2.3); undefined for what is none.
 */
export function plainUri(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, username, password, host, pathname } = new URL(text);
  if ((protocol !== 'http:' && protocol !== 'https:') || username !== '' || password !== '') return undefined;
  const path = pathname.replaceAll(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
  });
  return `${protocol}//${host}${path}`;
}
