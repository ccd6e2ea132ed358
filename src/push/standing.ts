/** What a proxy has and wants, whatever becomes of its streams: a new stream begins from here. */
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import { applyDelta } from '../ir/diff.ts';
import type { PlanBundle, PlanDelta } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import { versionOf } from '../ir/version.ts';
import { type Report, SERVICES_MAX, type Trusts } from './messages.ts';

/** Workloads behind one proxy, and the other kinds of reports. Beyond: the oldest is forgotten. */
const REPORTS_MAX = 64;

export interface StandingOptions {
  /** What was found on disk and is served already. */
  readonly held?: PlanBundle;
  apply(change: Change): Promise<ApplyResult>;
  /** A plan was applied: to be kept for a cold start. */
  keep(bundle: PlanBundle): void;
}

export class Standing {
  readonly #options: StandingOptions;
  readonly services = new Set<string>();
  /** The newest of each kind, by {@link reportKey}. */
  readonly reports = new Map<string, Report>();
  #held: PlanBundle | undefined;
  #ports: PortStates = {};
  #applying: Promise<unknown> | undefined;

  constructor(options: StandingOptions) {
    this.#options = options;
    this.#held = options.held;
  }

  /** The plan that is served. */
  get held(): PlanBundle | undefined {
    return this.#held;
  }

  get ports(): PortStates {
    return this.#ports;
  }

  set ports(ports: PortStates) {
    this.#ports = ports;
  }

  /** As its newest report on its certificate says. */
  get trusts(): Trusts | undefined {
    const said = this.reports.get('certificate');
    return said?.kind === 'certificate' ? { bundle: said.bundle, issuer: said.issuer } : undefined;
  }

  get isApplying(): boolean {
    return this.#applying !== undefined;
  }

  /** Resolves when no change is being applied: only then is it certain what is held. */
  async settled(): Promise<void> {
    await this.#applying;
  }

  /** @returns whether all of them fit */
  subscribe(names: readonly string[]): boolean {
    for (const name of names) {
      if (this.services.size < SERVICES_MAX) this.services.add(name);
    }
    return names.every((name) => this.services.has(name));
  }

  unsubscribe(names: readonly string[]): void {
    for (const name of names) this.services.delete(name);
  }

  report(report: Report): void {
    const key = reportKey(report);
    this.reports.delete(key);
    this.reports.set(key, report);
    if (this.reports.size > REPORTS_MAX) this.reports.delete(this.reports.keys().next().value!);
  }

  /** @returns in words why this is no plan: what arrived, or what we think we hold, is not what the sender thinks */
  planOf(delta: PlanDelta): PlanBundle | string {
    const held = this.#held?.plan.version;
    if (delta.from !== undefined && delta.from !== held) {
      return `The delta starts at version "${delta.from.slice(0, 12)}", and held is "${held?.slice(0, 12) ?? 'nothing'}"`;
    }
    const bundle = applyDelta(this.#held, delta);
    const version = versionOf(bundle.plan);
    return version === delta.to ? bundle : `The parts hash to version "${version.slice(0, 12)}"`;
  }

  /** One change at a time. Never rejects: an applier that throws has refused. */
  async apply(change: Change): Promise<ApplyResult> {
    const applied = this.#options.apply(change).catch((error: unknown): ApplyResult => {
      const reason = error instanceof Error ? error.message : String(error);
      return { kind: 'nack', version: change.bundle.plan.version, reason };
    });
    const done = applied.then((result) => {
      this.#applying = undefined;
      if (result.kind === 'nack') return result;
      this.#held = change.bundle;
      this.#ports = result.ports;
      this.#options.keep(change.bundle);
      return result;
    });
    this.#applying = done;
    return done;
  }
}

/** A proxy may stand before several workloads; of everything else it has one. */
export function reportKey(report: Report): string {
  return report.kind === 'workload' ? `workload ${report.namespace}/${report.service} ${report.address}` : report.kind;
}
