/**
 * Ports of this host that lead to one port of a Service each, without HTTP_PROXY: what the forward proxy chooses by
 * name has a listener in the plan, and such a port is one more way to it. They are of this process, as its certificate
 * is: the control plane does not know them, and a plan of the disk has them as well.
 */
import { portKey } from '../ir/key.ts';
import type { Plan, PlanAttachment, PlanListener, PlanPort } from '../ir/plan.ts';

export interface LocalAddress {
  readonly address: string;
  readonly port: number;
}

/** As the command line has it: `--local orders.shop:80=127.0.0.1:7001`. */
export interface LocalPort {
  /** `orders.shop`. */
  readonly service: string;
  /** Of the Service; undefined: its only one. */
  readonly port: number | undefined;
  readonly at: LocalAddress;
}

/** Local addresses by the key of the listener that they are one more way to, and behind it a mark of the way: `@local`. */
export type LocalWays = ReadonlyMap<string, readonly LocalWay[]>;

export interface LocalWay {
  /** Tells the ways to one listener apart. */
  readonly mark: '@local' | '@captured';
  readonly at: LocalAddress;
}

/** A port of a Service that this proxy knows by name. */
export interface NamedPort {
  /** Of its listener: `Service/shop/orders/80`. */
  readonly key: string;
  /** What it may be called, lower case, without the port. */
  readonly hosts: readonly string[];
  readonly port: number;
}

/** What the forward proxy knows by name. */
export function namedPortsOf({ listeners }: Plan): NamedPort[] {
  return Object.entries(listeners).flatMap(([key, { chosenBy, hostname, alsoNamed = [], publicPort }]) =>
    chosenBy === 'authority'
      ? [{ key, hosts: [hostname, ...alsoNamed].map((name) => name.replace(/:\d+$/, '')), port: publicPort }]
      : [],
  );
}

/** @returns the key of the listener that is meant, or in words why there is none */
export function listenerFor(
  { service, port }: Pick<LocalPort, 'service' | 'port'>,
  named: readonly NamedPort[],
): { readonly key: string } | { readonly flaw: string } {
  const ofService = named.filter(({ hosts }) => hosts.includes(service));
  const [first, second] = port === undefined ? ofService : ofService.filter((one) => one.port === port);
  if (first !== undefined && second === undefined) return { key: first.key };
  const ports = ofService.map((one) => one.port).join(', ');
  if (ofService.length === 0) return { flaw: `There is no service "${service}" (yet)` };
  return port === undefined
    ? { flaw: `Service "${service}" has the ports ${ports}: write ${service}:${ofService[0]!.port}` }
    : { flaw: `Service "${service}" has no port ${port}, but ${ports}` };
}

/** The plan with these ways. Its version stays that of the plan which came: it is what this proxy answers for. */
export function withLocalPorts(plan: Plan, ways: LocalWays): Plan {
  if (ways.size === 0) return plan;
  const ports: Record<string, PlanPort> = { ...plan.ports };
  const listeners: Record<string, PlanListener> = { ...plan.listeners };
  for (const [key, several] of ways) {
    const listener = plan.listeners[key];
    const forward = listener === undefined ? undefined : plan.ports[listener.port];
    if (listener === undefined || forward === undefined) continue;
    for (const { mark, at } of several) {
      const planPort = portKey(at.address, at.port);
      const { limits, timeouts } = forward;
      ports[planPort] = { ...at, protocol: listener.stream?.kind === 'tcp' ? 'tcp' : 'http', limits, timeouts };
      listeners[`${key}${mark}`] = localListener(listener, planPort);
    }
  }
  return { ...plan, ports, listeners, routes: alsoThere(plan.routes, ways), streams: alsoThere(plan.streams, ways) };
}

/** Where there is nothing else to choose. */
function localListener({ publicPort, settings, stream }: PlanListener, port: string): PlanListener {
  const kind = stream === undefined ? { callTree: 'join' as const } : { stream };
  return { port, hostname: '*', publicPort, ...kind, settings };
}

interface Attached {
  readonly attach: readonly PlanAttachment[];
}

/** What was made of a part before: whoever compares does so by identity. */
const made = new WeakMap<Attached, Attached>();

/** Routes of a listener are followed on its local ports, too. */
function alsoThere<P extends Attached>(
  parts: Readonly<Record<string, P>>,
  ways: LocalWays,
): Readonly<Record<string, P>> {
  const next: Record<string, P> = {};
  for (const [key, part] of Object.entries(parts)) {
    const more = part.attach.flatMap(({ listener, hosts }) =>
      (ways.get(listener) ?? []).map(({ mark }): PlanAttachment => ({ listener: `${listener}${mark}`, hosts })),
    );
    next[key] = more.length === 0 ? part : sameOr(part, { ...part, attach: [...part.attach, ...more] });
  }
  return next;
}

function sameOr<P extends Attached>(part: P, fresh: P): P {
  const before = made.get(part) as P | undefined;
  const names = ({ attach }: Attached): string => attach.map(({ listener }) => listener).join(' ');
  if (before !== undefined && names(before) === names(fresh)) return before;
  made.set(part, fresh);
  return fresh;
}
