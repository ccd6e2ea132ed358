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
import type { ApplyResult } from '../ir/apply-result.ts';
import { diffPlans } from '../ir/diff.ts';
import type { PlanBundle } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import { changeLine } from './change-line.ts';
import type { Change } from './fleet.ts';
import { ProblemLog } from './problem-log.ts';

/** What the compiler makes of a reading. */
export interface Compiled {
  readonly bundle: PlanBundle;
  readonly problems: readonly Problem[];
}

export interface PipelineOptions<R extends Reading, C extends Compiled> {
  /** May throw: a defect, which is said and changes nothing. */
  compile(reading: R): C;
  readonly fleet: { apply(change: Change): Promise<ApplyResult> };
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
  /** Called when every member has applied what was compiled, before anybody else is told. */
  onPublished(published: Published<R, C>): void;
}

/** What a source has read, as far as the pipeline looks at it. */
export interface Reading {
  /** Monotonic time at which the change was seen. */
  readonly seenMs: number;
}

/** What every member serves. */
export interface Published<R, C> {
  readonly bundle: PlanBundle;
  /** Absent for a plan that was kept from an earlier run. */
  readonly from: { readonly reading: R; readonly compiled: C } | undefined;
  readonly ports: PortStates;
}

/** What became of the newest configuration. */
export type Outcome =
  | { readonly kind: 'applied' | 'unchanged'; readonly version: string }
  | { readonly kind: 'refused'; readonly reason: string };

export class Pipeline<R extends Reading, C extends Compiled> {
  readonly #options: PipelineOptions<R, C>;
  readonly #problemLog: ProblemLog;
  #published: Published<R, C> | undefined;
  #outcome: Outcome | undefined;
  #problems: readonly Problem[] = [];
  #next: R | undefined;
  #running: Promise<void> | undefined;
  #waiting: ((outcome: Outcome) => void)[] = [];

  constructor(options: PipelineOptions<R, C>) {
    this.#options = options;
    this.#problemLog = new ProblemLog(options.log);
  }

  /** What every member serves; undefined before the first plan. */
  get published(): Published<R, C> | undefined {
    return this.#published;
  }

  /** Problems of what was read last, served or not. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** What became of what was offered last; undefined while nothing was done yet. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** A new state of the sources. Returns at once; of several that wait, the last is taken. */
  offer(reading: R): void {
    this.#next = reading;
    this.#running ??= this.#run();
  }

  /** Resolves when all that was offered is served or refused. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Resolves with what becomes of the next configuration that is dealt with. */
  next(): Promise<Outcome> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Serves a plan that was kept from an earlier run, because there is nothing to compile. */
  async adopt(bundle: PlanBundle): Promise<ApplyResult> {
    const result = await this.#options.fleet.apply({ bundle, delta: diffPlans(this.#published?.bundle, bundle) });
    if (result.kind === 'ack') this.#publish({ bundle, from: undefined, ports: result.ports });
    return result;
  }

  /** Nothing that could be compiled was read; what is served goes on being served. */
  refuse(reason: string, problems: readonly Problem[]): void {
    this.#setProblems(problems);
    this.#settle({ kind: 'refused', reason });
  }

  /** The state of ports changed without a change of the plan. */
  portsChanged(ports: PortStates): void {
    if (this.#published !== undefined) this.#publish({ ...this.#published, ports });
  }

  async #run(): Promise<void> {
    // Not in the turn of the caller: what it offers next in that turn replaces this.
    await Promise.resolve();
    while (this.#next !== undefined) {
      const reading = this.#next;
      this.#next = undefined;
      // oxlint-disable-next-line no-await-in-loop -- one change at a time is the point
      this.#settle(await this.#step(reading));
    }
    this.#running = undefined;
  }

  async #step(reading: R): Promise<Outcome> {
    const { clock, fleet } = this.#options;
    const startMs = clock.nowMs();
    const compiled = this.#compile(reading);
    if ('reason' in compiled) return { kind: 'refused', reason: compiled.reason };
    this.#setProblems(compiled.problems);

    const { bundle } = compiled;
    const before = this.#published;
    const compiledMs = clock.nowMs();
    const { version } = bundle.plan;
    if (before !== undefined && before.bundle.plan.version === version) {
      this.#publish({ bundle, from: { reading, compiled }, ports: before.ports });
      return { kind: 'unchanged', version };
    }

    const delta = diffPlans(before?.bundle, bundle);
    const result = await fleet.apply({ bundle, delta });
    if (result.kind === 'nack') return { kind: 'refused', reason: result.reason };
    this.#publish({ bundle, from: { reading, compiled }, ports: result.ports });
    const endMs = clock.nowMs();
    this.#options.log.info('Configuration applied', {
      version: version.slice(0, 12),
      ...changeLine(before?.bundle.plan, delta),
      loadMs: rounded(startMs - reading.seenMs),
      compileMs: rounded(compiledMs - startMs),
      applyMs: rounded(endMs - compiledMs),
      problems: compiled.problems.length,
    });
    this.#options.metrics.histogram('fourways_config_apply_duration_seconds', []).observeMs(endMs - reading.seenMs);
    return { kind: 'applied', version };
  }

  #compile(reading: R): C | { readonly reason: string } {
    try {
      return this.#options.compile(reading);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#options.log.error('The compiler failed: please report it', {
        error: message,
        stack: error instanceof Error ? error.stack : undefined,
      });
      return { reason: `The compiler failed: ${message}` };
    }
  }

  #publish(published: Published<R, C>): void {
    const { metrics, clock } = this.#options;
    const before = this.#published;
    this.#published = published;
    const { version } = published.bundle.plan;
    if (before?.bundle.plan.version !== version) {
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

  #settle(outcome: Outcome): void {
    const { metrics, log } = this.#options;
    metrics.counter('fourways_config_reloads_total', [outcome.kind]).add(1);
    metrics.gauge('fourways_config_last_reload_successful', []).set(outcome.kind === 'refused' ? 0 : 1);
    if (outcome.kind === 'refused') {
      const served = this.#published?.bundle.plan.version.slice(0, 12) ?? 'nothing';
      log.error(`Configuration refused, the last good one goes on serving: ${outcome.reason}`, { served });
    } else if (this.#outcome?.kind === 'refused') {
      log.info('The newest configuration is served again', { version: outcome.version.slice(0, 12) });
    }
    this.#outcome = outcome;
    for (const done of this.#waiting.splice(0)) done(outcome);
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
