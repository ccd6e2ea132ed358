/**
 * Who turns the authority: looks at what is, asks rotation.ts what is to be done, does it as one change of the store.
 * One process does at a time, the leader; if two believe that they are, the store lets one of them.
 */
import type { Holders, NewAuthority, StateChange } from './authority-store.ts';
import type { Authority } from './authority.ts';
import type { BroughtIssuer } from './brought.ts';
import { authorityIn, type Current } from './current.ts';
import { makeIssuerBelow, makePair } from './pair.ts';
import { type Refusal, refusal } from './refusal.ts';
import { BACKDATE_MS } from './renewal.ts';
import {
  begun,
  cancelled,
  dueKind,
  finished,
  FORMER_MAX,
  type Move,
  nextMove,
  retired,
  type RotationFacts,
  type RotationKind,
  type RotationState,
  switched,
} from './rotation.ts';
import { makeCross, openSigner, type Signer } from './x509.ts';

/** More moves than a whole rotation has are those of somebody else, who acts too. */
const MOVES_MAX = 8;

/** Where a rotation stands, for the status. */
export interface RotationReport {
  readonly move: Extract<Move, { readonly does: 'rest' | 'wait' }>;
  /** Who is waited for; counts are those of all, whatever is waited for. */
  readonly holders: Holders;
}

export class Rotor {
  readonly #authority: Authority;

  constructor(authority: Authority) {
    this.#authority = authority;
  }

  /** As far as it goes now: until nothing is to be done, or somebody has to be waited for. May be repeated at any time. */
  async step(): Promise<RotationReport> {
    const { store, clock } = this.#authority.options;
    await store.prune(clock.wallMs() - BACKDATE_MS);
    for (let i = 0; i < MOVES_MAX; i++) {
      /* oxlint-disable no-await-in-loop -- each move starts from what the one before left */
      await this.#authority.refresh();
      const { current } = this.#authority;
      const holders = await this.#holders(current);
      const move = nextMove(current.kept.state, await this.#facts(current, holders));
      if (move.does === 'rest' || move.does === 'wait') return { move, holders };
      const change = await this.#changeFor(move, current);
      if (await store.change(current.kept.revision, change)) this.#tell(move, current);
      /* oxlint-enable no-await-in-loop */
    }
    throw new Error('Cannot turn the authority: its state changes faster than it is read');
  }

  /** Where it stands, from any control plane: changes nothing. */
  async look(): Promise<RotationReport & { readonly state: RotationState }> {
    await this.#authority.refresh();
    const { current } = this.#authority;
    const holders = await this.#holders(current);
    const move = nextMove(current.kept.state, await this.#facts(current, holders));
    const waits: RotationReport['move'] = move.does === 'wait' ? move : { does: 'rest' };
    return { move: waits, holders, state: current.kept.state };
  }

  /** Asks for a rotation, from any control plane; the leader begins it with its next step. */
  async ask(kind: RotationKind, pace: 'at-once' | 'spread-out' = 'spread-out'): Promise<Refusal | undefined> {
    const { current } = this.#authority;
    const { state } = current.kept;
    if (state.rotation !== undefined) return refusal('rotation.busy', 'A rotation is not over yet');
    if (kind === 'issuer' && isBrought(current, state.active.root)) {
      return refusal('rotation.impossible', 'The root was brought: a new issuer has to be brought too');
    }
    const { pace: _before, ...rest } = state;
    return this.#change(current, { state: { ...rest, asked: kind, ...(pace === 'at-once' && { pace }) } });
  }

  /** What was asked for or runs goes on at once. */
  async hurry(): Promise<Refusal | undefined> {
    const { current } = this.#authority;
    const { state } = current.kept;
    if (state.asked === undefined && state.rotation === undefined) {
      return refusal('rotation.impossible', 'No rotation runs');
    }
    return state.pace === undefined ? this.#change(current, { state: { ...state, pace: 'at-once' } }) : undefined;
  }

  /** Takes back what was asked for, or what the new one has issued nothing in yet. */
  async cancel(): Promise<Refusal | undefined> {
    const { current } = this.#authority;
    const { state } = current.kept;
    const { asked, pace: _pace, ...rest } = state;
    if (state.rotation === undefined) {
      if (asked === undefined) return refusal('rotation.impossible', 'No rotation runs');
      return this.#change(current, { state: rest });
    }
    const { phase, from, to } = state.rotation;
    if (phase !== 'spread') {
      return refusal('rotation.impossible', 'The new issuer has issued already: the rotation goes on to its end');
    }
    const next = cancelled(state);
    const crosses = state.former.filter((one) => !next.former.includes(one)).map(({ cross }) => cross);
    const news = from.root === to.root ? [to.issuer] : [to.issuer, to.root];
    return this.#change(current, { state: next, forget: [...news, ...crosses] });
  }

  /** Goes over to an issuer that was brought, with the same overlap as any other. */
  async adopt({ root, issuer }: BroughtIssuer): Promise<Refusal | undefined> {
    const { current } = this.#authority;
    const { state } = current.kept;
    if (state.active.issuer === issuer.id) return undefined;
    if (state.rotation !== undefined) return refusal('rotation.busy', 'A rotation is not over yet');
    const to = { root: root.id, issuer: issuer.id };
    const nowMs = this.#authority.options.clock.wallMs();
    const next = await this.#withCross(current, root, { state: begun(state, to, nowMs), add: [root, issuer] });
    return this.#change(current, next);
  }

  async #change(current: Current, change: StateChange): Promise<Refusal | undefined> {
    const kept = await this.#authority.options.store.change(current.kept.revision, change);
    await this.#authority.refresh();
    return kept ? undefined : refusal('rotation.busy', 'The state was changed by another control plane meanwhile');
  }

  #holders({ bundle, issuer }: Current): Promise<Holders> {
    const { store, clock } = this.#authority.options;
    // Clocks differ: a certificate that has just ended may still be taken somewhere.
    return store.holders({ bundle: bundle.hash, issuer: issuer.id, nowMs: clock.wallMs() - BACKDATE_MS });
  }

  async #facts(current: Current, { behind, elsewhere }: Holders): Promise<RotationFacts> {
    const { root, issuer, kept } = current;
    const nowMs = this.#authority.options.clock.wallMs();
    const own = (id: string): boolean => !isBrought(current, id);
    const due = dueKind(
      { root: own(root.id) ? root : undefined, issuer: own(root.id) && own(issuer.id) ? issuer : undefined },
      nowMs,
    );
    return { behind, elsewhere, due, unnamed: await this.#unnamed(kept.state, nowMs) };
  }

  /** Former roots that no token names which can still be used. */
  async #unnamed({ former }: RotationState, nowMs: number): Promise<string[]> {
    if (former.length === 0) return [];
    const tokens = await this.#authority.options.store.tokens();
    const usable = tokens.filter(({ expiresMs, used, usesMax }) => expiresMs > nowMs && used < usesMax);
    // One leads to the next: those after one that is named stay too.
    const first = former.findIndex(({ root }) => usable.some((token) => token.root === root));
    return (first === -1 ? former : former.slice(0, first)).map(({ root }) => root);
  }

  async #changeFor(move: Exclude<Move, { readonly does: 'rest' | 'wait' }>, current: Current): Promise<StateChange> {
    const { state } = current.kept;
    const nowMs = this.#authority.options.clock.wallMs();
    switch (move.does) {
      case 'make':
        return this.#make(move.kind, current, nowMs);
      case 'switch': {
        const next = { state: switched(state, nowMs) };
        const { from, to } = state.rotation!;
        if (from.root === to.root) return next;
        return { ...next, onlyIf: { bundle: current.bundle.hash, nowMs: nowMs - BACKDATE_MS } };
      }
      case 'retire': {
        const { from, to } = state.rotation!;
        const next = retired(state, nowMs);
        if (from.root === to.root) return { state: next, forget: [from.issuer] };
        const isNamed = state.former.some(({ root }) => root === from.root);
        return {
          state: next,
          forgetKeys: [from.root],
          // Its certificate stays as long as tokens name it.
          forget: isNamed ? [from.issuer] : [from.issuer, from.root],
        };
      }
      case 'finish':
        return { state: finished(state) };
      case 'forget': {
        const goes = state.former.filter(({ root }) => move.roots.includes(root));
        return {
          state: { ...state, former: state.former.filter((one) => !goes.includes(one)) },
          forget: goes.flatMap(({ root, cross }) => [root, cross]),
        };
      }
    }
  }

  async #make(kind: RotationKind, current: Current, nowMs: number): Promise<StateChange> {
    const { trustDomain, lives } = this.#authority.options;
    const { state } = current.kept;
    if (kind === 'root') {
      const { root, issuer } = await makePair({ trustDomain, lives, nowMs });
      const next = begun(state, { root: root.id, issuer: issuer.id }, nowMs);
      return this.#withCross(current, root, { state: next, add: [root, issuer] });
    }
    const signer = await this.#rootSigner(current);
    if (signer === undefined) throw new Error(`Cannot open the key of the root ${current.root.id}`);
    const issuer = await makeIssuerBelow(signer, { trustDomain, nowMs, lifeMs: lives.issuerMs });
    return { state: begun(state, { root: current.root.id, issuer: issuer.id }, nowMs), add: [issuer] };
  }

  /** Tokens name a root: the one of now vouches for the next, so that who has such a token can still join later. */
  async #withCross(current: Current, next: NewAuthority, change: StateChange): Promise<StateChange> {
    const signer = next.id === current.root.id ? undefined : await this.#rootSigner(current);
    // Nobody here has the key of a root that was brought: tokens that name it end with it.
    if (signer === undefined) return change;
    const { trustDomain, clock } = this.#authority.options;
    const nowMs = clock.wallMs();
    const lifeMs = current.root.notAfterMs - nowMs;
    const cross = await makeCross({ trustDomain, nowMs, lifeMs }, next.chainPem, signer);
    const former = [...change.state.former, { root: current.root.id, cross: cross.id }];
    const over = former.slice(0, -FORMER_MAX);
    return {
      ...change,
      state: { ...change.state, former: former.slice(-FORMER_MAX) },
      add: [...(change.add ?? []), { id: cross.id, chainPem: cross.pem, isBrought: false, privateKeyPem: undefined }],
      forget: over.flatMap((one) => [one.root, one.cross]),
    };
  }

  async #rootSigner({ root, kept }: Current): Promise<Signer | undefined> {
    const key = await this.#authority.options.store.privateKey(root.id);
    return key === undefined ? undefined : openSigner(authorityIn(kept, root.id).chainPem, key);
  }

  #tell(move: Move, { kept }: Current): void {
    const { log } = this.#authority.options;
    const to = kept.state.rotation?.to.issuer;
    log.info(`Rotation: ${move.does}`, {
      ...('kind' in move ? { kind: move.kind } : {}),
      ...(to === undefined ? {} : { issuer: to }),
    });
  }
}

function isBrought({ kept }: Current, id: string): boolean {
  return authorityIn(kept, id).isBrought;
}
