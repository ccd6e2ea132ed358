/**
 * A drill: a rotation of the issuer and one of the root, at once instead of within days, against the mesh that runs, with a
 * look afterwards whether everybody has a certificate of the new ones. What can be taken back is, when it fails or is
 * aborted; what cannot goes on by itself to its end, as any rotation does.
 */
import { type Clock, sleep } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Authority } from '../identity/authority.ts';
import type { RotationKind } from '../identity/rotation.ts';
import type { RotationStatus, TrustTurner } from './trust-turner.ts';

export interface DrillOptions {
  readonly authority: Authority;
  readonly trust: Pick<TrustTurner, 'ask' | 'cancel' | 'status' | 'turn'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest time of each phase. */
  readonly phaseMsMax: number;
}

export interface DrillReport {
  readonly state: 'running' | 'passed' | 'failed' | 'aborted';
  readonly startedMs: number;
  /** In their order; the last one runs, or is where it ended. */
  readonly phases: readonly DrillPhase[];
  /** Why it did not pass, and in what state that leaves the mesh. */
  readonly reason?: string;
}

export interface DrillPhase {
  /** `check`, `issuer: renew`, `root: spread`, … */
  readonly name: string;
  readonly tookMs: number;
  /** Proxies that are waited for, or that did not do as they should: some of them. */
  readonly missing: readonly { readonly proxy: string; readonly identity: string; readonly why: string }[];
}

/** For each phase: a proxy that does not answer in this time has to be looked at. */
export const DRILL_PHASE_MS = 120_000;

const LOOK_MS = 100;
const MISSING_MAX = 10;

const KINDS: readonly RotationKind[] = ['issuer', 'root'];

/** It does not go on. */
class Stopped extends Error {
  readonly state: 'failed' | 'aborted';

  constructor(state: 'failed' | 'aborted', reason: string) {
    super(reason);
    this.state = state;
  }
}

export class Drill {
  readonly #options: DrillOptions;
  readonly #startedMs: number;
  readonly #phases: DrillPhase[] = [];
  #phaseSinceMs = 0;
  #state: DrillReport['state'] = 'running';
  #reason: string | undefined;
  #isAborted = false;
  readonly ended: Promise<void>;

  /** Begins. */
  constructor(options: DrillOptions) {
    this.#options = options;
    this.#startedMs = options.clock.wallMs();
    this.ended = this.#run();
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  report(): DrillReport {
    return {
      state: this.#state,
      startedMs: this.#startedMs,
      phases: this.#phases.map((phase, i) =>
        this.isRunning && i === this.#phases.length - 1 ? { ...phase, tookMs: this.#phaseMs() } : phase,
      ),
      ...(this.#reason !== undefined && { reason: this.#reason }),
    };
  }

  abort(): void {
    this.#isAborted = true;
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#check();
      for (const kind of KINDS) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await this.#rotate(kind);
      }
      this.#end();
      this.#state = 'passed';
      log.info('The drill has passed', { tookMs: this.#options.clock.wallMs() - this.#startedMs });
    } catch (error) {
      this.#end();
      this.#reason = error instanceof Error ? error.message : String(error);
      this.#state = error instanceof Stopped ? error.state : 'failed';
      log.error(`The drill has ${this.#state}: ${this.#reason}`);
    }
  }

  /** Nothing begins while something else runs, or somebody has not heard of what is. */
  async #check(): Promise<void> {
    const { trust, authority, clock } = this.#options;
    this.#begin('check');
    const first = await trust.status();
    if (first.isBrought) {
      throw new Stopped('failed', 'The issuer was brought: a new one has to be brought, and nothing was changed');
    }
    if (first.phase !== 'rest')
      throw new Stopped('failed', 'A rotation runs already, and goes on: nothing was changed');
    await trust.turn();
    await this.#until('nothing was changed', async () => {
      const { bundle } = authority;
      const leaves = await authority.options.store.leaves(clock.wallMs());
      return leaves.flatMap((leaf) =>
        leaf.bundle === bundle.hash && leaf.issuer === bundle.issuer
          ? []
          : [{ ...leaf, why: 'it has not said that it works by what is trusted now' }],
      );
    });
  }

  async #rotate(kind: RotationKind): Promise<void> {
    const { trust, authority, clock } = this.#options;
    const before = new Set((await authority.options.store.leaves(clock.wallMs())).map(({ serial }) => serial));
    const { issuer } = authority.bundle;
    this.#begin(`${kind}: asked`);
    const refused = await trust.ask(kind, 'at-once');
    if (refused !== undefined) throw new Stopped('failed', `${refused.reason}: nothing was changed`);
    await this.#follow(kind);
    this.#begin(`${kind}: verify`);
    if (authority.bundle.issuer === issuer) throw new Stopped('failed', `The ${kind} is the one of before`);
    await this.#until(`they are not on the new ${kind}`, async () => {
      const leaves = await authority.options.store.leaves(clock.wallMs());
      const now = authority.bundle;
      return leaves.flatMap((leaf) => {
        const why = whyNot(leaf, { before, issuer: now.issuer, bundle: now.hash });
        return why === undefined ? [] : [{ ...leaf, why }];
      });
    });
  }

  /** From phase to phase, until it rests. */
  async #follow(kind: RotationKind): Promise<void> {
    const { trust, clock } = this.#options;
    for (;;) {
      /* oxlint-disable no-await-in-loop -- one look after the other */
      const status = await trust.status();
      if (status.phase === 'rest') return;
      const name = `${kind}: ${status.phase}`;
      if (this.#phases.at(-1)?.name !== name) this.#begin(name);
      this.#miss((status.waits?.named ?? []).map((one) => ({ ...one, why: WHY[status.waits!.for] })));
      if (this.#isAborted || this.#phaseMs() > this.#options.phaseMsMax) await this.#takeBack(status);
      await sleep(clock, LOOK_MS);
      /* oxlint-enable no-await-in-loop */
    }
  }

  async #takeBack({ phase, waits }: RotationStatus): Promise<never> {
    const refused = await this.#options.trust.cancel();
    const why = this.#isAborted
      ? 'It was aborted'
      : `${waits?.count ?? 0} certificates are waited for after ${this.#options.phaseMsMax / 1_000} s`;
    const left =
      refused === undefined
        ? 'the rotation was taken back, and all is as before'
        : `both are trusted, and the rotation goes on by itself from "${phase}" to its end`;
    throw new Stopped(this.#isAborted ? 'aborted' : 'failed', `${why}: ${left}`);
  }

  async #until(otherwise: string, look: () => Promise<DrillPhase['missing']>): Promise<void> {
    for (;;) {
      /* oxlint-disable no-await-in-loop -- one look after the other */
      const missing = await look();
      this.#miss(missing);
      if (missing.length === 0) return;
      if (this.#isAborted) throw new Stopped('aborted', `It was aborted: ${otherwise}`);
      if (this.#phaseMs() > this.#options.phaseMsMax) {
        throw new Stopped('failed', `${missing.length} proxies are not up to date: ${otherwise}`);
      }
      await sleep(this.#options.clock, LOOK_MS);
      await this.#options.trust.turn();
      /* oxlint-enable no-await-in-loop */
    }
  }

  #begin(name: string): void {
    this.#end();
    this.#phaseSinceMs = this.#options.clock.nowMs();
    this.#phases.push({ name, tookMs: 0, missing: [] });
  }

  /** The phase of now took as long. */
  #end(): void {
    const last = this.#phases.pop();
    if (last !== undefined) this.#phases.push({ ...last, tookMs: this.#phaseMs() });
  }

  #miss(missing: DrillPhase['missing']): void {
    const last = this.#phases.pop()!;
    const some = missing.slice(0, MISSING_MAX).map(({ proxy, identity, why }) => ({ proxy, identity, why }));
    this.#phases.push({ ...last, missing: some });
  }

  #phaseMs(): number {
    return Math.round(this.#options.clock.nowMs() - this.#phaseSinceMs);
  }
}

function whyNot(
  { serial, issuer, bundle }: { readonly serial: string; readonly issuer: string; readonly bundle: string },
  now: { readonly before: ReadonlySet<string>; readonly issuer: string; readonly bundle: string },
): string | undefined {
  if (now.before.has(serial)) return 'it has its certificate of before';
  if (issuer !== now.issuer) return 'its certificate is of another issuer';
  return bundle === now.bundle ? undefined : 'it has not said that it works by the new trust';
}

const WHY = {
  trust: 'it has not said that it works by the new trust',
  renewal: 'it has a certificate of the issuer before',
} as const;
