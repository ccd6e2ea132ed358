/** A control plane that serves one plan to everybody, for tests of the streams. */
import type { Fault } from '../../base/fault.ts';
import type { PlanBundle } from '../../ir/plan.ts';
import { bundleOf, CLUSTER, HTTP_LISTENER, HTTP_PORT, routeTo } from '../../ir/testing/plans.ts';
import type { Feed, Feeds, Proxy, ProxyStream } from '../feeds.ts';
import type { Report } from '../messages.ts';

/** A plan of one port and a route for each host. */
export function planOf(...hosts: readonly string[]): PlanBundle {
  return bundleOf({
    ports: { '*:80': HTTP_PORT },
    listeners: { web: HTTP_LISTENER },
    routes: Object.fromEntries(hosts.map((host) => [`HTTPRoute/shop/${host}`, routeTo('web', host)])),
    streams: {},
    clusters: { 'Service/shop/web/80': CLUSTER },
  });
}

export class PlainFeeds implements Feeds {
  bundle: PlanBundle | undefined;
  readonly known = new Set<string>();
  readonly streams = new Map<ProxyStream, Proxy>();
  readonly acks: { readonly identity: string; readonly version: string }[] = [];
  readonly nacks: { readonly version: string; readonly reason: string }[] = [];
  readonly reports: Report[] = [];
  readonly closed: Fault[] = [];
  /** What it says to a proxy that introduces itself, and to a report. */
  refuse: (proxy: Proxy) => Fault | undefined = () => undefined;
  refuseReport: (report: Report, proxy: Proxy) => Fault | undefined = () => undefined;
  asked = 0;
  services: ReadonlySet<string> = new Set();
  /** Called after each ack. */
  onAck: () => void = () => undefined;

  constructor(bundle?: PlanBundle) {
    this.bundle = bundle;
  }

  publish(bundle: PlanBundle): void {
    this.bundle = bundle;
    for (const stream of this.streams.keys()) stream.changed();
  }

  open(proxy: Proxy, stream: ProxyStream): Feed | Fault {
    const fault = this.refuse(proxy);
    if (fault !== undefined) return fault;
    this.streams.set(stream, proxy);
    return {
      bundleOf: (services) => {
        this.asked++;
        this.services = new Set(services);
        return { bundle: this.bundle, unknown: [...services].filter((name) => !this.known.has(name)) };
      },
      acked: (version) => {
        this.acks.push({ identity: proxy.identity, version });
        this.onAck();
      },
      nacked: (version, reason) => void this.nacks.push({ version, reason }),
      reported: (report) => {
        this.reports.push(report);
        return this.refuseReport(report, proxy);
      },
      closed: (reason) => {
        this.streams.delete(stream);
        this.closed.push(reason);
      },
    };
  }
}
