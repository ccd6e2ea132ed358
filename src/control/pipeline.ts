/**
 * A change of the configuration, from what was read to what is served:
 *
 *     offer -> compile -> diff -> every member of the fleet -> published
 *
 * One change at a time. What is offered meanwhile waits, and only the newest of
 * it: an operator who saves ten times gets the tenth. A change that the compiler
 * or a proxy cannot take leaves everything as it was, and is said.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Problem } from '../base/problem.ts';
import type { Compiled } from '../compile/compile.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import { diffPlans } from '../ir/diff.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import type { Loaded } from '../source/source.ts';
import { changeLine } from './change-line.ts';
import { ProblemLog } from './problem-log.ts';

export interface PipelineOptions {
  /** May throw: a defect, which is said and changes nothing. */
  compile(loaded: Loaded): Compiled | Promise<Compiled>;
  readonly fleet: { apply(change: Change): Promise<ApplyResult> };
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
  /** Called when every member has applied what was compiled, before anybody else is told. */
  onPublished(published: Published): void;
}

/** What every member serves. */
export interface Published {
  readonly loaded: Loaded;
  readonly compiled: Compiled;
  readonly ports: PortStates;
}

/** What became of the newest configuration. */
export type Outcome =
  | { readonly kind: 'applied' | 'unchanged'; readonly version: string }
  | { readonly kind: 'refused'; readonly reason: string };

export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #problemLog: ProblemLog;
  #published: Published | undefined;
  #outcome: Outcome | undefined;
  #refused: string | undefined;
  #problems: readonly Problem[] = [];
  #next: Loaded | undefined;
  /** What was offered last. */
  #newest: Loaded | undefined;
  #running: Promise<void> | undefined;
  #waiting: ((outcome: Outcome) => void)[] = [];

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#problemLog = new ProblemLog(options.log, options.clock);
  }

  /** What every member serves; undefined before the first plan. */
  get published(): Published | undefined {
    return this.#published;
  }

  /** Problems of what was read last, served or not. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Why what was read last is not served, or not all of it; undefined when it is. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** What became of what was offered last; undefined while nothing was done yet. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** A new state of the sources. Returns at once; of several that wait, the last is taken. */
  offer(loaded: Loaded): void {
    this.#next = loaded;
    this.#newest = loaded;
    this.#running ??= this.#run();
  }

  /** Compiles once more what was offered last: what it depends on besides has changed. Resolves with what became of it. */
  async again(): Promise<Outcome | undefined> {
    if (this.#newest !== undefined) this.offer({ ...this.#newest, seenMs: this.#options.clock.nowMs() });
    await this.settled();
    return this.#outcome;
  }

  /** Says anew what is published: statuses changed without a change of the plan. */
  restate(): void {
    if (this.#published !== undefined) this.#publish({ ...this.#published });
  }

  /** Resolves when all that was offered is served or refused. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Resolves with what becomes of the next configuration that is dealt with. */
  next(): Promise<Outcome> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The state of ports changed without a change of the plan. */
  portsChanged(ports: PortStates): void {
    if (this.#published !== undefined) this.#publish({ ...this.#published, ports });
  }

  async #run(): Promise<void> {
    // Not in the turn of the caller: what it offers next in that turn replaces this.
    await Promise.resolve();
    while (this.#next !== undefined) {
      const loaded = this.#next;
      this.#next = undefined;
      // oxlint-disable-next-line no-await-in-loop -- one change at a time is the point
      this.#settle(await this.#step(loaded), loaded);
    }
    this.#running = undefined;
  }

  async #step(loaded: Loaded): Promise<Outcome> {
    const { clock, fleet } = this.#options;
    const startMs = clock.nowMs();
    const compiled = await this.#compile(loaded);
    if ('reason' in compiled) return { kind: 'refused', reason: compiled.reason };
    this.#setProblems([...loaded.problems, ...compiled.problems]);

    const { bundle } = compiled;
    const before = this.#published;
    const compiledMs = clock.nowMs();
    const { version } = bundle.plan;
    if (before !== undefined && before.compiled.bundle.plan.version === version) {
      this.#publish({ loaded, compiled, ports: before.ports });
      return { kind: 'unchanged', version };
    }

    const delta = diffPlans(before?.compiled.bundle, bundle);
    const result = await fleet.apply({ bundle, delta });
    if (result.kind === 'nack') return { kind: 'refused', reason: result.reason };
    this.#publish({ loaded, compiled, ports: result.ports });
    const endMs = clock.nowMs();
    this.#options.log.info('Configuration applied', {
      version: version.slice(0, 12),
      ...changeLine(before?.compiled.bundle.plan, delta),
      loadMs: rounded(startMs - loaded.seenMs),
      compileMs: rounded(compiledMs - startMs),
      applyMs: rounded(endMs - compiledMs),
      problems: this.#problems.length,
    });
    this.#options.metrics.histogram('fourways_config_apply_duration_seconds', []).observeMs(endMs - loaded.seenMs);
    return { kind: 'applied', version };
  }

  async #compile(loaded: Loaded): Promise<Compiled | { readonly reason: string }> {
    try {
      return await this.#options.compile(loaded);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#options.log.error('The compiler failed: please report it', {
        error: message,
        stack: error instanceof Error ? error.stack : undefined,
      });
      return { reason: `The compiler failed: ${message}` };
    }
  }

  #publish(published: Published): void {
    const { metrics, clock } = this.#options;
    const before = this.#published;
    this.#published = published;
    const { version } = published.compiled.bundle.plan;
    if (before?.compiled.bundle.plan.version !== version) {
      metrics.info('fourways_config_version_info', [version.slice(0, 12)]);
      metrics.gauge('fourways_config_last_applied_timestamp_seconds', []).set(clock.wallMs() / 1_000);
    }
    this.#options.onPublished(published);
  }

  #setProblems(problems: readonly Problem[]): void {
    const { metrics } = this.#options;
    this.#problems = problems;
    this.#problemLog.update(problems);
    for (const level of ['error', 'warning'] as const) {
      const count = problems.filter((problem) => problem.level === level).length;
      metrics.gauge('fourways_config_problems', [level]).set(count);
    }
  }

  #settle(outcome: Outcome, { broken }: Loaded): void {
    const { metrics, log } = this.#options;
    const served = this.#published?.compiled.bundle.plan.version.slice(0, 12) ?? 'nothing';
    const before = this.#refused;
    this.#refused = outcome.kind === 'refused' ? outcome.reason : BROKEN[broken];
    metrics.counter('fourways_config_reloads_total', [outcome.kind]).add(1);
    metrics.gauge('fourways_config_last_reload_successful', []).set(this.#refused === undefined ? 1 : 0);
    if (this.#refused !== undefined && this.#refused !== before) {
      log.error(`Configuration refused, the last good one goes on serving: ${this.#refused}`, { served });
    } else if (this.#refused === undefined && before !== undefined) {
      log.info('The newest configuration is served again', { served });
    }
    this.#outcome = outcome;
    for (const done of this.#waiting.splice(0)) done(outcome);
  }
}

/** Why what was read is not, or not all, what is served. */
const BROKEN: Readonly<Record<Loaded['broken'], string | undefined>> = {
  no: undefined,
  some: 'parts of it cannot be read; of these, what they said before is served',
  all: 'it cannot be read; what was read before is served',
};

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
