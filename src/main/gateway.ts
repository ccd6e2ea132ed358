/**
 * Puts a gateway together whose plan comes from a control plane elsewhere: proxies of this process, and a member of the
 * mesh that gets a plan for them.
 */
import { systemClock } from '../base/clock.ts';
import type { Fleet } from '../control/fleet.ts';
import { formatWorkloadId } from '../identity/spiffe.ts';
import type { Plan } from '../ir/plan.ts';
import type { OwnPlans } from '../sidecar/own-plans.ts';
import { AdminDoor } from './admin-door.ts';
import { everyAddress } from './bind-address.ts';
import type { HostPort } from './host-port.ts';
import { type MemberLink, type MemberSettings, openMember } from './member-link.ts';
import { Metering } from './metering.ts';
import { aboutProxy, proxyView } from './proxy-view.ts';
import { type FleetSettings, startFleet } from './start-fleet.ts';

export interface GatewaySettings extends MemberSettings, FleetSettings {
  /** As `NAMESPACE/NAME`. */
  readonly gateways: readonly string[];
  /** Where the admin API listens; undefined for none. */
  readonly admin: HostPort | undefined;
  /** Address for Gateways that name none; undefined for every address. */
  readonly bind: string | undefined;
  /** At which clients reach it; empty when nobody says. */
  readonly address: string;
  readonly zone: string;
}

export interface RunningGateway extends AsyncDisposable {
  readonly identity: string;
  readonly fleet: Fleet;
  /** Where the admin API listens; undefined when there is none. */
  readonly admin: { readonly address: string; readonly port: number } | undefined;
  /** The plan that it serves; undefined before the first. */
  readonly plan: () => Plan | undefined;
  /** Resolves when it serves a plan: from the control plane, or of its disk. */
  readonly ready: Promise<void>;
  /** Stops accepting, lets running requests finish for at most `deadlineMs`, ends. */
  readonly drain: (deadlineMs: number) => Promise<void>;
}

const CLOCK = systemClock;

/** @throws {StartFailure} when it may not join, or the admin address is taken */
export async function startGateway(settings: GatewaySettings): Promise<RunningGateway> {
  await using cleanup = new AsyncDisposableStack();
  const { log, zone, address, gateways } = settings;
  const bind = settings.bind ?? (await everyAddress());
  const about = aboutProxy(settings);
  const metering = cleanup.adopt(new Metering(CLOCK, { own: about.version, node: about.node }), (opened) =>
    opened.close(),
  );
  let joined: MemberLink | undefined;
  const { fleet } = await startFleet(settings, {
    bind,
    metering,
    cleanup,
    clock: CLOCK,
    onPorts: (ports) => joined?.client.portsChanged(ports),
    onFailing: () => undefined,
  });
  const self = { software: about.version, role: 'gateway', identity: '', zone, gateways, address } as const;
  const { plans, link } = await openMember({
    settings,
    fleet,
    cleanup,
    self: { ...self, instance: settings.instance },
    services: [],
    onPlan: () => undefined,
    onUnknown: (names) =>
      log.warn('A Gateway does not exist, or is not for this proxy: it serves none of it', { gateways: names }),
  });
  joined = link;
  const identity = formatWorkloadId(settings.id);
  const proxy = { instance: settings.instance, identity, role: 'gateway', services: [] } as const;
  const view = proxyView({ fleet, plans, link, metering, about, proxy });
  const door = cleanup.adopt(new AdminDoor(view, log), (opened) => opened.close());
  if (settings.admin !== undefined) await door.open(settings.admin);
  link.client.start();
  return running({ identity, fleet, plans, link, door }, cleanup.move());
}

interface Parts {
  readonly identity: string;
  readonly fleet: Fleet;
  readonly plans: OwnPlans;
  readonly link: MemberLink;
  readonly door: AdminDoor;
}

function running({ identity, fleet, plans, link, door }: Parts, cleanup: AsyncDisposableStack): RunningGateway {
  return {
    identity,
    fleet,
    admin: door.at,
    plan: () => plans.plan,
    ready: plans.ready,
    async drain(deadlineMs) {
      await fleet.drain(deadlineMs);
      await link.kept();
      await cleanup.disposeAsync();
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}
