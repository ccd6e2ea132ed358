/** Where the endpoints of a plan are: addresses as they stand there, and what DNS says of the names. */
import { isIP } from 'node:net';
import type { PlanCluster, PlanEndpoint } from '../../ir/plan.ts';
import type { Resolver } from '../../net/dns.ts';
import type { SrvRecord } from '../../net/srv-query.ts';

/** What a cluster and {@link firstAddresses} need of a resolver. */
export type Names = Pick<Resolver, 'watch' | 'watchService' | 'state' | 'serviceState'>;

/** An endpoint of the plan at one address. */
export interface Placed {
  readonly planned: PlanEndpoint;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  /** Smaller ones first. */
  readonly priority: number;
  /** The name that it was found by. */
  readonly resolvedFrom: string | undefined;
}

/** The DNS names among the endpoints of a cluster. */
export function namesOf({ endpoints }: PlanCluster): { readonly hosts: Set<string>; readonly services: Set<string> } {
  const hosts = new Set<string>();
  const services = new Set<string>();
  for (const { address, records } of endpoints) {
    if (records === 'srv') services.add(address);
    else if (isIP(address) === 0) hosts.add(address);
  }
  return { hosts, services };
}

export class Addresses {
  readonly #resolver: Names;
  readonly #onChange: () => void;
  #hosts = new Map<string, Watch<string>>();
  #services = new Map<string, Watch<SrvRecord>>();

  /** @param onChange  not called while {@link Addresses.watch} runs */
  constructor(resolver: Names, onChange: () => void) {
    this.#resolver = resolver;
    this.#onChange = onChange;
  }

  /** Watches the names of this plan and no others. What is known of those that stay is kept. */
  watch(plan: PlanCluster): void {
    const { hosts, services } = namesOf(plan);
    this.#services = settle(this.#services, services, (name, found) =>
      this.#resolver.watchService(name, (records) => {
        found(records);
        this.#watchHosts(hosts);
        this.#onChange();
      }),
    );
    this.#watchHosts(hosts);
  }

  /** Those of the plan, and the targets of services. */
  #watchHosts(planned: ReadonlySet<string>): void {
    const targets = [...this.#services.values()].flatMap(({ found }) => found.map(({ name }) => name));
    const wanted = new Set([...planned, ...targets.filter((name) => isIP(name) === 0)]);
    this.#hosts = settle(this.#hosts, wanted, (name, found) =>
      this.#resolver.watch(name, (addresses) => {
        found(addresses);
        this.#onChange();
      }),
    );
  }

  place(endpoints: readonly PlanEndpoint[]): Placed[] {
    return endpoints.flatMap((planned) =>
      planned.records === 'srv' ? this.#placeService(planned) : this.#place(planned),
    );
  }

  #place(planned: PlanEndpoint): Placed[] {
    const { address, port, weight, priority = 0, records } = planned;
    const family = records === 'a' ? 4 : records === 'aaaa' ? 6 : undefined;
    return this.#at(address)
      .filter((found) => family === undefined || isIP(found) === family)
      .map((found) => {
        const resolvedFrom = found === address ? undefined : address;
        return { planned, address: found, port, weight, priority, resolvedFrom };
      });
  }

  #placeService(planned: PlanEndpoint): Placed[] {
    const { address: service, priority: first = 0 } = planned;
    const records = this.#services.get(service)?.found ?? [];
    const isWeighted = new Set(records.filter(({ weight }) => weight > 0).map(({ priority }) => priority));
    return records.flatMap(({ name, port, priority, weight }) =>
      this.#at(name).map((address) => ({
        planned,
        address,
        port,
        // Where others have a weight, 0 means: seldom (RFC 2782).
        weight: isWeighted.has(priority) ? Math.max(1, weight * SELDOM) : 1,
        priority: first + priority,
        resolvedFrom: service,
      })),
    );
  }

  #at(address: string): readonly string[] {
    return isIP(address) === 0 ? (this.#hosts.get(address)?.found ?? []) : [address];
  }

  /** Why the name that this was found by could not be resolved the last time. */
  failureOf({ planned: { address, records } }: Placed): string | undefined {
    return (records === 'srv' ? this.#resolver.serviceState(address) : this.#resolver.state(address))?.failure;
  }

  close(): void {
    for (const { stop } of [...this.#hosts.values(), ...this.#services.values()]) stop();
    this.#hosts.clear();
    this.#services.clear();
  }
}

/** How much more often a record of weight 1 is used than one of weight 0. */
const SELDOM = 100;

interface Watch<T> {
  found: readonly T[];
  readonly stop: () => void;
}

function settle<T>(
  before: Map<string, Watch<T>>,
  wanted: ReadonlySet<string>,
  begin: (name: string, found: (found: readonly T[]) => void) => () => void,
): Map<string, Watch<T>> {
  for (const [name, watch] of before) {
    if (wanted.has(name)) continue;
    watch.stop();
    before.delete(name);
  }
  for (const name of wanted) {
    if (before.has(name)) continue;
    const watch: { found: readonly T[]; stop: () => void } = { found: [], stop: () => undefined };
    watch.stop = begin(name, (found) => (watch.found = found));
    before.set(name, watch);
  }
  return before;
}
