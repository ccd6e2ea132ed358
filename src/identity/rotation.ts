/**
 * The life of a rotation, as a table. Pure: what is, and what the proxies do, in; what is to be done, out. Each row
 * is carried out by one change of the store, so that a crash leaves a rotation in one of its phases and never between.
 *
 *     rest -> spread -> renew -> withdraw -> rest        root: what is trusted changes
 *     rest -> spread -> renew -> rest                    issuer below the same root: trust stays as it is
 *
 *     spread    both roots are trusted, the old one issues         until every proxy has said that it trusts both
 *     renew     both are trusted, the new one issues               until nobody has a certificate of the old one
 *     withdraw  the new one alone is trusted, the old key is gone  until every proxy has said so
 */

/** A root and the issuer that it stands behind, by their ids. */
export interface Pair {
  readonly root: string;
  readonly issuer: string;
}

export type RotationKind = 'issuer' | 'root';

export type Phase = 'spread' | 'renew' | 'withdraw';

export interface Rotation {
  readonly phase: Phase;
  readonly from: Pair;
  readonly to: Pair;
  /** When it came into this phase. */
  readonly sinceMs: number;
}

/** A root that was, for tokens that name it: with the certificate that leads from it to the one after it. */
export interface FormerRoot {
  readonly root: string;
  readonly cross: string;
}

export interface RotationState {
  readonly active: Pair;
  /** Oldest first. Bound: {@link FORMER_MAX}. */
  readonly former: readonly FormerRoot[];
  /** Somebody asked for it; the leader begins. */
  readonly asked?: RotationKind;
  /** Of what was asked for or runs: proxies are told to renew at once, and not within a part of a life. */
  readonly pace?: 'at-once';
  readonly rotation?: Rotation;
}

/** A token lives for weeks and a root for years: more than a few of them nobody can name. */
export const FORMER_MAX = 8;

export interface RotationFacts {
  /** Certificates in use whose holder has not said that it trusts what is trusted now. */
  readonly behind: number;
  /** Certificates in use that the active issuer has not issued. */
  readonly elsewhere: number;
  /** What is old enough to be replaced. */
  readonly due: RotationKind | undefined;
  /** Former roots that no token names any more. */
  readonly unnamed: readonly string[];
}

export type Move =
  | { readonly does: 'rest' }
  | { readonly does: 'make'; readonly kind: RotationKind }
  /** From now on the new issuer issues. */
  | { readonly does: 'switch' }
  /** The old key is destroyed, and its root trusted no more. */
  | { readonly does: 'retire' }
  | { readonly does: 'finish' }
  | { readonly does: 'forget'; readonly roots: readonly string[] }
  | { readonly does: 'wait'; readonly for: 'trust' | 'renewal'; readonly count: number };

export function nextMove(state: RotationState, facts: RotationFacts): Move {
  const { rotation } = state;
  if (rotation === undefined) {
    const kind = state.asked ?? facts.due;
    if (kind !== undefined) return { does: 'make', kind };
    return facts.unnamed.length > 0 ? { does: 'forget', roots: facts.unnamed } : { does: 'rest' };
  }
  switch (rotation.phase) {
    case 'spread':
      // Below the same root there is nothing new to trust.
      if (facts.behind > 0 && changesTrust(rotation)) return { does: 'wait', for: 'trust', count: facts.behind };
      return { does: 'switch' };
    case 'renew':
      if (facts.elsewhere > 0) return { does: 'wait', for: 'renewal', count: facts.elsewhere };
      return { does: 'retire' };
    case 'withdraw':
      if (facts.behind > 0) return { does: 'wait', for: 'trust', count: facts.behind };
      return { does: 'finish' };
  }
}

/** The state after a move, which the caller keeps before it does anything else. */
export function begun(state: RotationState, to: Pair, nowMs: number): RotationState {
  const { asked: _done, ...rest } = state;
  return { ...rest, rotation: { phase: 'spread', from: state.active, to, sinceMs: nowMs } };
}

export function switched(state: RotationState, nowMs: number): RotationState {
  const rotation = runningIn(state, 'spread');
  return { ...state, active: rotation.to, rotation: { ...rotation, phase: 'renew', sinceMs: nowMs } };
}

export function retired(state: RotationState, nowMs: number): RotationState {
  const rotation = runningIn(state, 'renew');
  if (!changesTrust(rotation)) return ended(state);
  return { ...state, rotation: { ...rotation, phase: 'withdraw', sinceMs: nowMs } };
}

export function finished(state: RotationState): RotationState {
  runningIn(state, 'withdraw');
  return ended(state);
}

/** Back to what was: only while the new one has issued nothing. */
export function cancelled(state: RotationState): RotationState {
  const { to } = runningIn(state, 'spread');
  return { ...ended(state), former: state.former.filter(({ root }) => root !== state.active.root || to.root === root) };
}

function ended({ rotation: _ended, pace: _over, ...rest }: RotationState): RotationState {
  return rest;
}

/** Roots that proxies are to trust, by id. */
export function trustedRoots({ active, rotation }: RotationState): readonly string[] {
  if (rotation === undefined || rotation.phase === 'withdraw' || !changesTrust(rotation)) return [active.root];
  return [rotation.from.root, rotation.to.root];
}

export function changesTrust({ from, to }: Rotation): boolean {
  return from.root !== to.root;
}

/** @throws {RangeError} in another phase: a defect of the caller */
function runningIn({ rotation }: RotationState, phase: Phase): Rotation {
  if (rotation?.phase !== phase)
    throw new RangeError(`Cannot go on as if it were "${phase}": it is "${rotation?.phase ?? 'rest'}"`);
  return rotation;
}

/**
 * What has had half of its life is replaced: then there is as much left for everything that may be in the way.
 * What was brought is left out: only who brought it can replace it.
 */
export function dueKind(
  { root, issuer }: { readonly root?: Life | undefined; readonly issuer?: Life | undefined },
  nowMs: number,
): RotationKind | undefined {
  if (root !== undefined && nowMs >= halfLifeMs(root)) return 'root';
  return issuer !== undefined && nowMs >= halfLifeMs(issuer) ? 'issuer' : undefined;
}

export interface Life {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function halfLifeMs({ notBeforeMs, notAfterMs }: Life): number {
  return notBeforeMs + (notAfterMs - notBeforeMs) / 2;
}
