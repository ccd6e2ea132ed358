/**
 * Turns the authority of a mesh: steps of a rotation where this process leads, news of it where another does, and the
 * wish that proxies renew at once where a rotation is not to take its time.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Holders } from '../identity/authority-store.ts';
import type { Authority } from '../identity/authority.ts';
import { authorityIn } from '../identity/current.ts';
import type { Refusal } from '../identity/refusal.ts';
import { changesTrust, type Phase, type RotationKind } from '../identity/rotation.ts';
import { Rotor } from '../identity/rotor.ts';
import { renewWish } from '../push/renew-wish.ts';
import type { MeshFeeds } from './mesh-feeds.ts';

export interface TurnerOptions {
  readonly authority: Authority;
  readonly feeds: Pick<MeshFeeds, 'wish' | 'size'>;
  readonly leads: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** The authority may be another one now: resolves when everybody here was told. */
  readonly tell: () => Promise<void>;
}

export type Pace = 'at-once' | 'spread-out';

/** Where a rotation stands. */
export interface RotationStatus {
  /** `asked`: the control plane that leads begins it within a moment. */
  readonly phase: 'rest' | 'asked' | Phase;
  readonly kind: RotationKind | undefined;
  readonly pace: Pace;
  /** When it came into this phase, in milliseconds since the epoch. */
  readonly sinceMs: number | undefined;
  /** What is waited for, and of whom; `named` are some of them. */
  readonly waits:
    | { readonly for: 'trust' | 'renewal'; readonly count: number; readonly named: Holders['named'] }
    | undefined;
  /** Ids (SHA-256) of what issues now. */
  readonly root: string;
  readonly issuer: string;
  readonly isBrought: boolean;
}

/** How often it is looked whether something is due, or another control plane changed something. */
const TURN_MS = 10_000;

/** The same while a rotation runs. */
const BUSY_TURN_MS = 500;

/** For each proxy, when all are asked to renew at once: less than come in the same time are let in (push/hub.ts). */
const RENEW_MS_EACH = 5;

/** Who has not renewed is asked again after so long: it may have come meanwhile, or have failed. */
export const RENEW_AGAIN_MS = 5_000;

export class TrustTurner {
  readonly #options: TurnerOptions;
  readonly #stop: () => void;
  #turning: Promise<void> | undefined;
  #cancelSoon: (() => void) | undefined;
  /** Issuer to which all were asked to go, and when the last time. */
  #wished: { readonly issuer: string; atMs: number } | undefined;

  constructor(options: TurnerOptions) {
    this.#options = options;
    this.#stop = options.clock.every(TURN_MS, () => void this.turn());
  }

  /** Does what can be done now. Never rejects; what fails is tried again. */
  turn(): Promise<void> {
    this.#turning ??= this.#turn().finally(() => (this.#turning = undefined));
    return this.#turning;
  }

  /** Another control plane has changed something: what runs may have looked before. */
  async heard(): Promise<void> {
    await this.#turning;
    await this.turn();
  }

  async status(): Promise<RotationStatus> {
    const { authority } = this.#options;
    const { state, move, holders } = await new Rotor(authority).look();
    const { active, rotation, asked, pace = 'spread-out' } = state;
    return {
      phase: rotation?.phase ?? (asked === undefined ? 'rest' : 'asked'),
      kind: rotation === undefined ? asked : changesTrust(rotation) ? 'root' : 'issuer',
      pace,
      sinceMs: rotation?.sinceMs,
      waits: move.does === 'wait' ? { for: move.for, count: move.count, named: holders.named } : undefined,
      ...active,
      isBrought: authorityIn(authority.current.kept, active.issuer).isBrought,
    };
  }

  /** Begins a rotation. @returns why it cannot be */
  ask(kind: RotationKind, pace: Pace): Promise<Refusal | undefined> {
    return this.#order((rotor) => rotor.ask(kind, pace));
  }

  /** The one that runs goes on at once. */
  hurry(): Promise<Refusal | undefined> {
    return this.#order((rotor) => rotor.hurry());
  }

  /** Takes it back. @returns why it cannot be */
  cancel(): Promise<Refusal | undefined> {
    return this.#order((rotor) => rotor.cancel());
  }

  async #order(act: (rotor: Rotor) => Promise<Refusal | undefined>): Promise<Refusal | undefined> {
    const { authority } = this.#options;
    await authority.refresh();
    const refused = await act(new Rotor(authority));
    await this.turn();
    return refused;
  }

  close(): void {
    this.#stop();
    this.#cancelSoon?.();
  }

  async #turn(): Promise<void> {
    const { authority, leads, tell, log } = this.#options;
    this.#cancelSoon?.();
    try {
      const report = leads() ? await new Rotor(authority).step() : undefined;
      if (report === undefined) await authority.refresh();
      await tell();
      await this.#hurry(report?.holders);
    } catch (error) {
      log.warn('The authority could not be looked after; it is tried again', {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
    const { asked, rotation } = authority.current.kept.state;
    if (asked === undefined && rotation === undefined) return;
    this.#cancelSoon = this.#options.clock.after(BUSY_TURN_MS, () => void this.turn());
  }

  /** All of them once, then those that are waited for. */
  async #hurry(known: Holders | undefined): Promise<void> {
    const { authority, feeds, clock } = this.#options;
    const { rotation, pace } = authority.current.kept.state;
    if (pace !== 'at-once' || rotation?.phase !== 'renew') return;
    const { issuer } = rotation.to;
    const nowMs = clock.nowMs();
    if (this.#wished?.issuer !== issuer) {
      this.#wished = { issuer, atMs: nowMs };
      feeds.wish(renewWish(renewSpreadMs(feeds.size)));
    } else if (nowMs - this.#wished.atMs >= RENEW_AGAIN_MS) {
      this.#wished.atMs = nowMs;
      const { named } = known ?? (await new Rotor(authority).look()).holders;
      feeds.wish(renewWish(0), new Set(named.map(({ proxy }) => proxy)));
    }
  }
}

/** Over how long so many proxies are spread that are asked to renew at once. */
export function renewSpreadMs(proxies: number): number {
  return proxies * RENEW_MS_EACH;
}
