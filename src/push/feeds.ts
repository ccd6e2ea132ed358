/** What the control plane is to the streams of its proxies: who may have a plan, and which it is. */
import type { AskTo } from '../base/asking.ts';
import type { Fault } from '../base/fault.ts';
import type { PlanBundle } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { Hello, Report, TrustBundle, Wish } from './messages.ts';

/** A proxy that has introduced itself. */
export interface Proxy {
  /** SPIFFE ID of its certificate. */
  readonly identity: string;
  readonly hello: Hello;
}

/** The plan of one proxy as of now, and the names of its subscriptions that stand for no service. */
export interface Served {
  /** Undefined while there is none yet. Bundles that share parts with the one before cost little to compare. */
  readonly bundle: PlanBundle | undefined;
  readonly unknown: readonly string[];
}

/** The end of a stream that the control plane holds: what it can tell one proxy, at any time. */
export interface ProxyStream {
  /** The plan may be another one now. Called often, it costs one mark; the plan is asked for when it can be sent. */
  changed(): void;
  /** What to trust from now on. What was not sent yet is replaced. */
  trust(bundle: TrustBundle): void;
  wish(wish: Wish): void;
  /** Asks the proxy. Also a stream that has ended may be asked: it says so. */
  readonly ask: AskTo;
  /** Ends the stream: a denied identity, a second stream of the same instance. */
  cut(fault: Fault): void;
}

/** What a stream asks and tells about its proxy. No call may throw, and none may call the stream back in its turn. */
export interface Feed {
  bundleOf(services: ReadonlySet<string>): Served;
  /** The proxy serves this version, with these ports. Also without a change: when it comes, and when a port changes. */
  acked(version: string, ports: PortStates): void;
  /** It refuses this version and goes on with the one before. */
  nacked(version: string, reason: string): void;
  /** @returns a fault when the identity may not say this: the stream is cut */
  reported(report: Report): Fault | undefined;
  /** The stream has ended. Nothing is asked or told afterwards. */
  closed(fault: Fault): void;
}

export interface Feeds {
  /** @returns a fault when this proxy gets no plan */
  open(proxy: Proxy, stream: ProxyStream): Feed | Fault;
}
