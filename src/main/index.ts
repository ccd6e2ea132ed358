/** The package export `fourways`: runs a gateway inside another program. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { DRAIN_MS, TICKET_KEYS_MS } from '../base/limits.ts';
import { type Log, silentLog } from '../base/log.ts';
import type { HostPort } from './host-port.ts';
import type { Running } from './running.ts';
import { up as start } from './up.ts';

export type { Log, LogFields } from '../base/log.ts';
export type { Position, Problem, ProblemLevel } from '../base/problem.ts';
export type { Outcome } from '../control/pipeline.ts';
export type { Plan, PlanCluster, PlanListener, PlanPort, PlanRoute, PlanRule } from '../ir/plan.ts';
export type { PortState, PortStates } from '../ir/port-state.ts';
export type { HostPort } from './host-port.ts';
export type { Running } from './running.ts';

export interface UpOptions {
  /** File or folder of the configuration, which is watched. */
  readonly path: string;
  /** IP address for Gateways that name none; default every address. */
  readonly bind?: string;
  /** Where the admin API listens; default none. */
  readonly admin?: HostPort;
  /** Worker threads; default one for each core, 0 for a proxy in this thread. */
  readonly workers?: number;
  /** Folder that keeps the last good configuration for a start without sources; default none. */
  readonly dataDir?: string;
  /** What the process has to say; default nothing. */
  readonly log?: Log;
  /** Takes lines of the access log, each with its newline; default nobody. Rejects when they are lost. */
  readonly writeLines?: (text: string) => Promise<void>;
}

/**
 * Starts a gateway. Resolves when every worker serves the configuration.
 *
 * @throws {StartFailure} when it cannot: no configuration, the admin address or every port taken
 */
export function up(options: UpOptions): Promise<Running> {
  const { path, bind, admin, dataDir, log = silentLog } = options;
  return start({
    path: resolve(path),
    bind,
    admin,
    ticketKeysMs: TICKET_KEYS_MS,
    workers: options.workers ?? availableParallelism(),
    dataDir: dataDir === undefined ? undefined : resolve(dataDir),
    // Without a folder nothing is left behind, so nothing is ordered either.
    ...(dataDir !== undefined && { state: { databaseUrl: undefined, key: undefined, keyFile: undefined } }),
    ports: 'alone',
    drainMs: DRAIN_MS,
    log,
    // What is said at which level is for the log to decide.
    logLevel: log === silentLog ? 'error' : 'debug',
    writeLines: options.writeLines ?? (() => Promise.resolve()),
  });
}
