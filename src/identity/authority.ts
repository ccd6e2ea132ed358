/**
 * The authority of a trust domain: who is let in, what certificates are issued, what is trusted. Any control plane
 * issues; one at a time, the leader, rotates (rotor.ts). What they share stands in the store.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Acknowledgement, AuthorityStore, KeptDenial, KeptToken } from './authority-store.ts';
import type { BroughtIssuer } from './brought.ts';
import { type Current, currentOf, type TrustBundle } from './current.ts';
import { isSameHash, makeToken, readToken } from './join-token.ts';
import { type Lives, makePair } from './pair.ts';
import { type Refusal, refusal } from './refusal.ts';
import { type Flaw, isSegment } from '../base/spiffe.ts';
import { controlId, parseWorkloadId, type WorkloadId } from './spiffe.ts';
import {
  makeFence,
  makeLeaf,
  openSigner,
  readAuthority,
  type ReadRequest,
  readRequest,
  readSvid,
  type Signer,
} from './x509.ts';

const DAY_MS = 86_400_000;
export const DEFAULT_LIVES: Lives = { leafMs: DAY_MS, issuerMs: 90 * DAY_MS, rootMs: 3_650 * DAY_MS };

export interface AuthorityOptions {
  readonly store: AuthorityStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly trustDomain: string;
  readonly lives: Lives;
  /** What to begin with instead of a root of our own. Counts when there is no state yet. */
  readonly brought?: BroughtIssuer | undefined;
}

/** A certificate that was issued. The key stays where the request came from. */
export interface Issued {
  readonly identity: string;
  /** PEM: the certificate, then those between it and its root. */
  readonly chainPem: string;
  readonly serial: string;
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** What its holder is to trust from now on. */
  readonly bundle: TrustBundle;
}

export interface CertificateWish {
  /** SPIFFE ID. */
  readonly identity: string;
  /** PKCS #10, PEM or DER. */
  readonly csr: string | Uint8Array;
  /** Name of one running proxy: two that share one would be waited for as one. */
  readonly proxy: string;
}

/** Of who joins: what it asks for stands in its request too. */
export type JoinWish = Omit<CertificateWish, 'identity'> & { readonly identity?: string };

export interface TokenTerms {
  /** `*` is any. */
  readonly namespace: string;
  readonly account: string;
  readonly usesMax: number;
  readonly lifeMs: number;
}

/** Who is at the other end of a connection whose certificate the handshake has checked. */
export interface Peer extends WorkloadId {
  readonly identity: string;
  readonly serial: string;
  readonly notAfterMs: number;
}

/** All of them are read to list them, and each was made by hand or by a deployment. Those that have ended do not count. */
const TOKENS_MAX = 10_000;
/** The list goes to every proxy and is gone through at every handshake. What is denied for ever needs no account. */
const DENIALS_MAX = 1_000;
/** Their roots go to every proxy and into every TLS context. */
const FEDERATIONS_MAX = 64;
const PROXY_CHARS_MAX = 256;

/** An issuer may be replaced between signing and keeping, once per rotation; more often in a row it is a defect. */
const TRIES_MAX = 3;

export class Authority {
  readonly options: AuthorityOptions;
  #current: Current;
  #signer: Signer | undefined;

  private constructor(options: AuthorityOptions, current: Current) {
    this.options = options;
    this.#current = current;
  }

  /** Takes what is in the store, or begins. @returns a flaw when the state is of another trust domain */
  static async open(options: AuthorityOptions): Promise<Authority | Flaw> {
    const { store, trustDomain } = options;
    let kept = await store.load();
    if (kept === undefined) {
      await begin(options);
      kept = (await store.load())!;
    }
    if (kept.trustDomain !== trustDomain) {
      return { flaw: `The state is of the trust domain "${kept.trustDomain}", not of "${trustDomain}"` };
    }
    return new Authority(options, currentOf(kept));
  }

  get current(): Current {
    return this.#current;
  }

  get bundle(): TrustBundle {
    return this.#current.bundle;
  }

  /** PEMs that are given to who asks before it has joined; its token says which to believe. */
  get anchors(): readonly string[] {
    return this.#current.anchors;
  }

  get denials(): readonly KeptDenial[] {
    return this.#current.kept.denials;
  }

  /** Takes what another control plane has changed. @returns whether something was */
  async refresh(): Promise<boolean> {
    const { store } = this.options;
    if ((await store.revision()) === this.#current.kept.revision) return false;
    const kept = await store.load();
    if (kept === undefined) throw new Error('Cannot go on: the state of the authority is gone');
    this.#current = currentOf(kept);
    return true;
  }

  /** A certificate for who has a token. The token is spent if and only if one was issued. */
  async join({ identity, ...wish }: JoinWish, tokenText: string): Promise<Issued | Refusal> {
    const { store, clock } = this.options;
    const read = readToken(tokenText);
    if ('flaw' in read) return refusal('token.malformed', read.flaw);
    const token = await store.token(read.id);
    if (token === undefined || !isSameHash(token.hash, read.hash)) {
      return refusal('token.unknown', 'The join token is not known');
    }
    const nowMs = clock.wallMs();
    const request = await readRequest(wish.csr);
    if ('flaw' in request) return refusal('request.malformed', request.flaw);
    const asked = identity ?? request.asked[0];
    if (asked === undefined) return refusal('request.malformed', 'The request names no identity');
    const flaw = tokenRefusal(token, asked, nowMs) ?? this.#foreign(asked);
    return flaw ?? this.#issue({ ...wish, identity: asked }, request, { token: token.id, nowMs });
  }

  /**
   * A certificate for who is known already: by the certificate of its connection ({@link peer}), or because it is
   * this control plane itself.
   */
  async renew(wish: CertificateWish): Promise<Issued | Refusal> {
    const read = parseWorkloadId(wish.identity);
    if ('flaw' in read || read.trustDomain !== this.options.trustDomain) {
      return refusal('identity.foreign', `The identity "${wish.identity}" is not of this trust domain`);
    }
    const request = await readRequest(wish.csr);
    return 'flaw' in request ? refusal('request.malformed', request.flaw) : this.#issue(wish, request);
  }

  /** @param certificate  DER or PEM, checked by the handshake against this trust domain's roots */
  peer(certificate: Uint8Array | string): Peer | Refusal {
    const svid = readSvid(certificate);
    if ('flaw' in svid) return refusal('certificate.malformed', svid.flaw);
    const { identity, certificate: read } = svid;
    const id = parseWorkloadId(identity);
    if ('flaw' in id || id.trustDomain !== this.options.trustDomain) {
      return refusal('identity.foreign', `The identity "${identity}" is not of a workload of this trust domain`);
    }
    if (this.#current.denied.has(identity)) return deniedRefusal(identity);
    // A handshake happened before; a connection that outlives its certificate asks again.
    if (this.options.clock.wallMs() >= read.notAfterMs) {
      return refusal('certificate.malformed', 'The certificate has ended');
    }
    return { ...id, identity, serial: read.serial, notAfterMs: read.notAfterMs };
  }

  /** What proxies say that they use and trust. */
  acknowledge(said: readonly Acknowledgement[]): Promise<void> {
    return this.options.store.acknowledge(said.map((one) => ({ ...one, serial: one.serial.toLowerCase() })));
  }

  release(proxy: string, identity: string): Promise<void> {
    return this.options.store.release(proxy, identity);
  }

  /** @returns the token, which is shown once and can be read nowhere */
  async createToken({
    namespace,
    account,
    usesMax,
    lifeMs,
  }: TokenTerms): Promise<{ readonly id: string; readonly text: string } | Flaw> {
    for (const part of [namespace, account]) {
      if (part !== '*' && !isSegment(part)) return { flaw: `"${part}" cannot be part of an identity` };
    }
    if (!Number.isSafeInteger(usesMax) || usesMax < 1) return { flaw: 'A join token can be used once or more' };
    if (!(lifeMs > 0)) return { flaw: 'A join token lasts for some time' };
    if ((await this.tokens()).length >= TOKENS_MAX) {
      return { flaw: `There are ${TOKENS_MAX} join tokens already: one has to be revoked` };
    }
    const root = this.#current.kept.state.active.root;
    const { id, hash, text } = makeToken(root);
    const createdMs = this.options.clock.wallMs();
    await this.options.store.addToken({
      id,
      hash,
      root,
      namespace,
      account,
      used: 0,
      usesMax,
      createdMs,
      expiresMs: createdMs + lifeMs,
    });
    return { id, text };
  }

  tokens(): Promise<readonly KeptToken[]> {
    return this.options.store.tokens();
  }

  revokeToken(id: string): Promise<boolean> {
    return this.options.store.forgetToken(id);
  }

  /** From now on it is issued nothing, and every proxy turns it away once it has the list. */
  async deny(identity: string, reason: string): Promise<Refusal | undefined> {
    const flaw = this.#foreign(identity);
    if (flaw !== undefined) return flaw;
    if (this.denials.length >= DENIALS_MAX && !this.#current.denied.has(identity)) {
      return refusal('limit.reached', `${DENIALS_MAX} identities are denied already: one has to be allowed`);
    }
    await this.options.store.deny({ identity, reason, atMs: this.options.clock.wallMs() });
    this.options.log.warn('An identity is denied', { identity, reason });
    await this.refresh();
    return undefined;
  }

  async allow(identity: string): Promise<boolean> {
    const was = await this.options.store.allow(identity);
    await this.refresh();
    return was;
  }

  /** Trusts the workloads of another trust domain, by its roots. Again: those it has now. */
  async federate(trustDomain: string, rootPems: readonly string[]): Promise<Refusal | undefined> {
    const { federations } = this.#current.kept;
    if (federations.length >= FEDERATIONS_MAX && !federations.some((one) => one.trustDomain === trustDomain)) {
      return refusal('limit.reached', `${FEDERATIONS_MAX} trust domains are known already`);
    }
    const nowMs = this.options.clock.wallMs();
    const fences = await Promise.all(
      rootPems.map((pem) => {
        const lifeMs = readAuthority(pem).certificate.notAfterMs - nowMs;
        return makeFence({ trustDomain, nowMs, lifeMs }, pem);
      }),
    );
    await this.options.store.federate({ trustDomain, anchors: fences.flat() });
    await this.refresh();
    return undefined;
  }

  async unfederate(trustDomain: string): Promise<boolean> {
    const was = await this.options.store.unfederate(trustDomain);
    await this.refresh();
    return was;
  }

  async #issue(
    { identity, proxy }: CertificateWish,
    request: ReadRequest,
    spends?: { readonly token: string; readonly nowMs: number },
  ): Promise<Issued | Refusal> {
    if (this.#current.denied.has(identity)) return deniedRefusal(identity);
    // What it says of itself counts for nothing, unless it is something else than what it gets.
    const other = request.asked.find((uri) => uri !== identity);
    if (other !== undefined) {
      return refusal('request.malformed', `The request is for "${other}", not for "${identity}"`);
    }
    if (proxy === '' || proxy.length > PROXY_CHARS_MAX) {
      return refusal('request.malformed', `The name of a proxy has 1 to ${PROXY_CHARS_MAX} characters`);
    }
    for (let i = 0; i < TRIES_MAX; i++) {
      /* oxlint-disable no-await-in-loop -- each try needs the outcome of the one before */
      const { store, clock, lives } = this.options;
      const current = this.#current;
      const signer = await this.#signerOf(current);
      if (signer === undefined) {
        // Another control plane has retired it meanwhile.
        if (await this.refresh()) continue;
        throw new Error(`Cannot open the key of the issuer ${current.issuer.id}`);
      }
      const leaf = await makeLeaf(
        { identity, publicKey: request.publicKey, nowMs: clock.wallMs(), lifeMs: lives.leafMs },
        signer,
      );
      const { serial, notBeforeMs, notAfterMs, pem } = leaf;
      const issuer = current.issuer.id;
      const became = await store.issue({ serial, proxy, identity, issuer, notAfterMs }, spends);
      if (became === 'kept') {
        const chainPem = pem + current.issuerChainPem;
        return { identity, chainPem, serial, issuer, notBeforeMs, notAfterMs, bundle: current.bundle };
      }
      if (became === 'spent') return refusal('token.spent', 'The join token was used already');
      await this.refresh();
      if (became === 'denied') return deniedRefusal(identity);
      /* oxlint-enable no-await-in-loop */
    }
    throw new Error('Cannot issue: the issuer was replaced each time');
  }

  async #signerOf({ issuer, issuerChainPem }: Current): Promise<Signer | undefined> {
    if (this.#signer?.certificate.id === issuer.id) return this.#signer;
    const key = await this.options.store.privateKey(issuer.id);
    if (key === undefined) return undefined;
    this.#signer = await openSigner(issuerChainPem, key);
    return this.#signer;
  }

  /** Of this trust domain, and nobody who commands the others. */
  #foreign(identity: string): Refusal | undefined {
    const { trustDomain } = this.options;
    const read = parseWorkloadId(identity);
    if ('flaw' in read) return refusal('identity.foreign', read.flaw);
    if (read.trustDomain !== trustDomain) {
      return refusal('identity.foreign', `The trust domain is "${trustDomain}", not "${read.trustDomain}"`);
    }
    if (identity !== controlId(trustDomain)) return undefined;
    return refusal('identity.foreign', 'The identity is that of the control plane');
  }
}

function tokenRefusal(token: KeptToken, identity: string, nowMs: number): Refusal | undefined {
  if (nowMs >= token.expiresMs) return refusal('token.expired', 'The join token has ended');
  if (token.used >= token.usesMax) return refusal('token.spent', 'The join token was used already');
  const id = parseWorkloadId(identity);
  if ('flaw' in id) return refusal('identity.foreign', id.flaw);
  const allows = (pattern: string, text: string): boolean => pattern === '*' || pattern === text;
  if (allows(token.namespace, id.namespace) && allows(token.account, id.account)) return undefined;
  return refusal(
    'token.elsewhere',
    `The join token is for "${token.namespace}/${token.account}", not for "${id.namespace}/${id.account}"`,
  );
}

function deniedRefusal(identity: string): Refusal {
  return refusal('identity.denied', `The identity "${identity}" is denied`);
}

/** The first root and issuer: brought, or made. Several control planes may begin at once; one wins. */
async function begin({ store, clock, trustDomain, lives, brought }: AuthorityOptions): Promise<void> {
  if (brought !== undefined) {
    const { root, issuer } = brought;
    await store.begin(trustDomain, {
      state: { active: { root: root.id, issuer: issuer.id }, former: [] },
      add: [root, issuer],
    });
    return;
  }
  const nowMs = clock.wallMs();
  const made = await makePair({ trustDomain, lives, nowMs });
  await store.begin(trustDomain, {
    state: { active: { root: made.root.id, issuer: made.issuer.id }, former: [] },
    add: [made.root, made.issuer],
  });
}
