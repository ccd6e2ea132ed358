/** Puts a proxy together: the same in a worker thread and in the main thread. */
import { systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { Resolver } from '../net/dns.ts';
import { TicketKeys } from '../net/ticket-keys.ts';
import { AccessLog } from '../observe/access-log.ts';
import { type SeriesEvent, WorkerMetrics } from '../observe/metrics.ts';
import { TrafficMetrics } from '../observe/traffic-metrics.ts';
import type { AskForService } from '../proxy/forward-proxy.ts';
import type { Node } from '../proxy/node-types.ts';
import { ProxyNode } from '../proxy/node.ts';
import { RedisStore } from '../store/redis.ts';
import { filterLoans } from './filter-loans.ts';
import { OwnPrograms } from './own-programs.ts';
import type { WorkerSettings } from './worker-protocol.ts';

/** What a proxy says to the process around it. */
export interface NodeOutlets {
  readonly log: Log;
  readonly announce: (event: SeriesEvent) => void;
  /** Writes lines of the access log; rejects when they are lost. */
  readonly writeLines: (text: string) => Promise<void>;
  /** Asked for services that the plan does not have; absent where nobody can be. */
  readonly askForService?: AskForService | undefined;
}

export interface MadeNode {
  readonly node: Node;
  readonly metrics: WorkerMetrics;
  readonly ticketKeys: TicketKeys;
  /** Lets go of what would keep the thread. */
  readonly close: () => void;
}

export function makeNode(
  settings: WorkerSettings,
  { log, announce, writeLines, askForService }: NodeOutlets,
): MadeNode {
  const random = systemRandom();
  const metrics = new WorkerMetrics({ slab: settings.slab, announce });
  const written = metrics.counter('fourways_accesslog_lines_total', []);
  const dropped = metrics.counter('fourways_accesslog_dropped_total', []);
  const lookUps = {
    ok: metrics.counter('fourways_dns_lookups_total', ['ok']),
    failed: metrics.counter('fourways_dns_lookups_total', ['failed']),
  };
  const ticketKeys = new TicketKeys(settings.ticketKeys.current, settings.ticketKeys.previous);
  const { redisUrl } = settings;
  const redis = redisUrl === undefined ? undefined : new RedisStore({ url: redisUrl, clock: systemClock, random, log });
  const node = new ProxyNode({
    clock: systemClock,
    random,
    log,
    metrics: new TrafficMetrics(metrics),
    accessLog: new AccessLog({
      clock: systemClock,
      random,
      flush: writeLines,
      onWritten: (lines) => written.add(lines),
      onDropped: (lines) => dropped.add(lines),
    }),
    resolver: new Resolver({ clock: systemClock, random, log, onLookUp: (result) => lookUps[result].add(1) }),
    filters: async (names) => (await import('../filters/named.ts')).filtersNamed(names),
    loans: filterLoans({
      cells: settings.cells,
      marks: settings.marks,
      worker: { number: settings.worker, of: settings.workers },
      redis,
      programs: new OwnPrograms({ clock: systemClock, log }),
    }),
    bind: settings.bind,
    zone: settings.zone,
    ...(askForService !== undefined && { askForService }),
    drainMs: settings.drainMs,
    reusePort: settings.reusePort,
    ticketKeys,
    workers: settings.workers,
    requestFilter: async (source) => {
      const { checkEnded, compileEnded } = await import('../expr/ended.ts');
      return checkEnded(source) ?? compileEnded(source);
    },
  });
  return { node, metrics, ticketKeys, close: () => redis?.close() };
}
