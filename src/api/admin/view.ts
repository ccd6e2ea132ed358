/** What the admin API may know of the process. Lent by main/. */
import type { Problem } from '../../base/problem.ts';
import type { FleetStats } from '../../control/fleet.ts';
import type { MemberHealth } from '../../control/member.ts';
import type { Plan } from '../../ir/plan.ts';
import type { Exposition } from '../../observe/exposition.ts';

export interface AdminView {
  readiness(): Readiness;
  /** @param accept  the Accept header of the scrape */
  metrics(accept: string | undefined): Promise<Exposition>;
  /** Every object with its `.status`, as of the plan that every worker has applied. */
  status(): StatusList;
  /** The plan that every worker has applied; undefined before the first. */
  plan(): Plan | undefined;
  problems(): ProblemReport;
  about(): About;
  stats(): Promise<FleetStats>;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, in words; empty when ready. */
  readonly reason: string;
  readonly version: string | undefined;
  readonly workers: readonly MemberHealth[];
}

/** A Kubernetes `List`. */
export interface StatusList {
  readonly apiVersion: 'v1';
  readonly kind: 'List';
  readonly items: readonly object[];
}

export interface ProblemReport {
  /** Version of the plan that is served. */
  readonly version: string | undefined;
  /** Why the newest configuration is not served; absent when it is. */
  readonly refused?: string;
  /** Of the configuration that was read last, served or not. */
  readonly problems: readonly Problem[];
}

export interface About {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  /** File or folder that is watched. */
  readonly source: string;
  /** RFC 3339. */
  readonly startedAt: string;
}
