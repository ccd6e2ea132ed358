/** What a filter of one rule is lent. */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { TimerWheel } from '../base/timers.ts';
import type { Env, Redis, WorkerPlace } from '../filter/env.ts';
import type { Programs } from '../filter/own-program.ts';
import { OWN_IDENTITY, type PlanFilter, type PlanSecret } from '../ir/plan.ts';
import type { TrafficMetrics } from '../observe/traffic-metrics.ts';
import type { Cluster } from './cluster/cluster.ts';
import { ownIdentityOf } from './own-identity.ts';
import { refetch } from './refetch.ts';
import { SeldomWarn } from './seldom-warn.ts';
import { askUpstream } from './upstream-question.ts';

/** What comes from the process around the proxy. */
export interface FilterLoans {
  readonly fetch: Env['fetch'];
  readonly cells: SharedArrayBuffer;
  readonly marks: SharedArrayBuffer;
  readonly worker: WorkerPlace;
  /** What is added to the clock of this thread so that all threads of the process read the same. */
  readonly clockOffsetMs: number;
  readonly redis: Redis | undefined;
  readonly programs: Programs;
  /** Cryptographically strong. */
  randomBytes(count: number): Buffer;
  /** @throws {Error} when it cannot be read */
  readFile(path: string): Buffer;
  /** Calls when the file may have changed. @returns how to stop */
  watchFile(path: string, onChange: () => void): () => void;
}

/** What the node knows. */
export interface FilterSurroundings {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: TrafficMetrics;
  readonly loans: FilterLoans;
  /** What filters of one kind share, by its name. */
  readonly shared: Map<string, object>;
  secretOf(key: string): PlanSecret | undefined;
  /** @throws {Error} on a key that is not in the plan: the plan is refused */
  cluster(key: string): Cluster;
}

/** Counters by event are found once: names of metrics are put together only then. */
export function filterEnv(rule: string, { filter, owner, audit }: PlanFilter, around: FilterSurroundings): Env {
  const { clock, wheel, log, metrics, loans } = around;
  const warning = new SeldomWarn({ wheel, log });
  const counters = new Map<string, { add(count: number): void }>();
  return {
    nowMs: () => wheel.nowMs + loans.clockOffsetMs,
    wallMs: () => clock.wallMs(),
    randomBytes: (count) => loans.randomBytes(count),
    after: (delayMs, run) => clock.after(delayMs, run),
    count: (event, count = 1) => {
      let counter = counters.get(event);
      if (counter === undefined) counters.set(event, (counter = metrics.filterEvent(filter, event)));
      counter.add(count);
    },
    warn: (message, fields) => warning.warn(message, { filter, owner, rule, ...fields }),
    secret: ({ secret: key }) => {
      const secret = around.secretOf(key);
      if (secret === undefined || !('value' in secret)) throw new Error(`Plan does not hold the secret "${key}"`);
      return secret.value;
    },
    readFile: ({ file }) => loans.readFile(file),
    watchFile: ({ file }, onChange) => loans.watchFile(file, onChange),
    ownIdentity: () => ownIdentityOf(around.secretOf(OWN_IDENTITY)),
    upstream: ({ cluster: key }) => {
      const cluster = around.cluster(key);
      return { ask: (question) => askUpstream(cluster, question, clock) };
    },
    refetch: (x, how) => refetch(x, how, clock),
    shared: <T extends object>(make: () => T): T => {
      const there = around.shared.get(filter) as T | undefined;
      if (there !== undefined) return there;
      const made = make();
      around.shared.set(filter, made);
      return made;
    },
    fetch: (url, init) => loans.fetch(url, init),
    cells: loans.cells,
    marks: loans.marks,
    worker: loans.worker,
    redis: loans.redis,
    programs: loans.programs,
    owner,
    rule,
    isAudited: audit === true,
  };
}
