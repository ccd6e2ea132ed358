/** What one worker lends to everything that serves its requests. */
import type { Clock } from '../base/clock.ts';
import type { TunnelLimits } from '../base/limits.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { TimerWheel } from '../base/timers.ts';
import type { Forwarding } from '../http/forwarded.ts';
import type { ClientWire } from '../http/serve-conn.ts';
import type { TunnelSides } from '../http/tunnel.ts';
import type { AccessLog, LogGate } from '../observe/access-log.ts';
import type { PortMetrics, TrafficMetrics } from '../observe/traffic-metrics.ts';
import type { PlanListener, PlanPort } from '../ir/plan.ts';
import type { Traces, TreePlace } from './call-tree.ts';
import type { ExchangeWatch } from './look/exchange-watch.ts';
import type { HostMap } from './host-map.ts';
import type { PortListeners } from './listener-table.ts';
import type { ListenerTable } from './route-table.ts';
import type { Rule } from './rule.ts';
import type { StreamTarget } from './stream-target.ts';
import type { TunnelResult } from './run-tunnel.ts';
import type { TraceIds } from './trace-ids.ts';

export interface Runtime {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TrafficMetrics;
  readonly accessLog: AccessLog;
  readonly traceIds: TraceIds;
  /** Of requests that the application of a sidecar is busy with. */
  readonly traces: Traces;
  readonly watch: ExchangeWatch;
  /** `Date` of this second. */
  dateValue(): string;
}

/** One listener of a snapshot. */
export interface ListenerView {
  readonly key: string;
  readonly plan: PlanListener;
  readonly routes: ListenerTable<Rule> | undefined;
  /** Routes below HTTP, by server name; undefined when there is none. */
  readonly streams: HostMap<StreamTarget> | undefined;
  readonly tree: TreePlace | undefined;
  readonly forwarding: Forwarding;
  readonly gate: LogGate;
  /** Requests, and connections below HTTP, that were for it since it came: counted on while its plan changes. */
  readonly use: { times: number };
}

/** One port of a snapshot. */
/** Where in the mesh an answer of our own was made; a call passes a gateway or an outbound sidecar, then an inbound one. */
export type Hop = 'gateway' | 'sidecar-outbound' | 'sidecar-inbound';

export interface PortView {
  readonly key: string;
  readonly hop: Hop;
  readonly plan: PlanPort;
  readonly listeners: PortListeners<ListenerView>;
  /** Whether TLS ends here for some listener. */
  readonly endsTls: boolean;
  /** What clients speak where TLS is not: all that any of the listeners speaks. */
  readonly clearWire: ClientWire;
  /** Whether requests are for a forward proxy: their authority, with its port, chooses. */
  readonly byAuthority: boolean;
}

/** What a bound port shows to its exchanges: always the newest snapshot. */
export interface LivePort {
  readonly runtime: Runtime;
  readonly metrics: PortMetrics;
  /** First 12 digits of the plan's version. */
  readonly planVersion: string;
  readonly view: PortView;
  /** Accepts nothing more; what runs is to come to its end. */
  readonly draining: boolean;
  exchangeStarted(): void;
  exchangeEnded(): void;
  /** Joins both sides and takes care of them until both have ended, or the port is drained. */
  runTunnel(sides: TunnelSides, limits: TunnelLimits, onClosed: (result: TunnelResult) => void): void;
}
