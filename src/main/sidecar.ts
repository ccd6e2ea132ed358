/**
 * Puts a sidecar together:
 *
 *     control plane -> plan with our own certificate -> proxies of this process
 *                <- workload, when the application is well
 *
 * Like up.ts it knows nothing of signals, standard output and exit codes.
 */
import { sleep, systemClock } from '../base/clock.ts';
import type { LogLevel } from '../base/log.ts';
import { ownVersion } from '../cli/version.ts';
import type { Fleet } from '../control/fleet.ts';
import { formatWorkloadId } from '../identity/spiffe.ts';
import type { Plan } from '../ir/plan.ts';
import type { Self } from '../push/messages.ts';
import { AskedServices } from '../sidecar/asked-services.ts';
import { LocalPlans } from '../sidecar/local-plans.ts';
import type { LocalPort } from '../sidecar/local-ports.ts';
import type { OwnPlans } from '../sidecar/own-plans.ts';
import { UnusedServices } from '../sidecar/unused-services.ts';
import type { HostPort } from './host-port.ts';
import { type MemberLink, type MemberSettings, openMember } from './member-link.ts';
import { type CaptureSettings, openCapture } from './capture.ts';
import { Metering } from './metering.ts';
import { startFleet } from './start-fleet.ts';
import { WatchedApplication } from './watched-application.ts';

export interface SidecarSettings extends MemberSettings {
  /** Ports of the application by name, on loopback; none: it only calls others. */
  readonly ports: Readonly<Record<string, number>>;
  /** Address by which others reach this host, and the port for their mTLS. */
  readonly address: string;
  readonly proxyPort: number;
  /** Where HTTP_PROXY leads. */
  readonly forward: { readonly address: string; readonly port: number };
  readonly zone: string;
  /** Where the admin API listens, with metrics; undefined for none. */
  readonly admin: HostPort | undefined;
  /** Services that are wanted before anybody calls them: `orders.shop`. */
  readonly services: readonly string[];
  /** Ports of this host that lead to a port of a service each. */
  readonly locals: readonly LocalPort[];
  /** Whose connections are captured; undefined for nobody's. */
  readonly capture: CaptureSettings | undefined;
  /** Worker threads; 0 for a proxy in the main thread. */
  readonly workers: number;
  readonly drainMs: number;
  readonly ticketKeysMs: number;
  readonly logLevel: LogLevel;
  /** Writes lines of the access log; rejects when they are lost. */
  readonly writeLines: (text: string) => Promise<void>;
  /** `shared`: bind beside another process that is taken over. */
  readonly sockets: 'alone' | 'shared';
}

export interface RunningSidecar extends AsyncDisposable {
  readonly identity: string;
  /** The plan that it serves; undefined before the first. */
  plan(): Plan | undefined;
  /** Resolves when it serves a plan: from the control plane, or of its disk. */
  readonly ready: Promise<void>;
  /** Begins to talk to the control plane. Once. */
  connect(): void;
  /**
   * Tells everybody that this instance goes, and waits until no request runs, for at most `deadlineMs`. It goes on serving:
   * what still runs may have to call others.
   */
  farewell(deadlineMs: number): Promise<void>;
  /** Another process goes on as this instance: this one tells the control plane nothing more. */
  letGo(): Promise<void>;
  /** Stops accepting, lets running requests finish for at most `deadlineMs`, ends. */
  drain(deadlineMs: number): Promise<void>;
}

const CLOCK = systemClock;

/** For the farewell to reach the others, and between two looks whether something still runs. */
const FAREWELL_MS = 300;

/** @throws {StartFailure} when it may not join or capture, or its ports are taken */
export async function startSidecar(settings: SidecarSettings): Promise<RunningSidecar> {
  await using cleanup = new AsyncDisposableStack();
  const identity = formatWorkloadId(settings.id);
  const versions = { own: ownVersion(), node: process.version };
  const metering = cleanup.adopt(new Metering(CLOCK, versions), (opened) => opened.close());
  const wanted = new Set([...settings.services, ...settings.locals.map(({ service }) => service)]);
  // An application that runs already may call and ask for names before there is a link.
  let joined: { readonly link: MemberLink; readonly unused: UnusedServices } | undefined;
  const services = new AskedServices((names) => {
    if (joined === undefined) return false;
    // An application that is captured keeps addresses, and would not ask for the name again.
    if (settings.capture === undefined) for (const name of names) if (!wanted.has(name)) joined.unused.asked(name);
    return joined.link.client.subscribe(names);
  });
  const { fleet, share } = await startFleet(
    { ...settings, ports: settings.sockets, redisUrl: undefined },
    {
      bind: '127.0.0.1',
      metering,
      cleanup,
      clock: CLOCK,
      askForService: async (name) => void (await services.ask(name)),
      onPorts: (ports) => joined?.link.client.portsChanged(ports),
      onFailing: () => undefined,
    },
  );
  const { locals, log } = settings;
  const captor = await openCapture(settings, {
    cleanup,
    ask: async (name) => (joined?.link.client.state.kind === 'live' ? services.ask(name) : 'unknown'),
    drop: (name) => wanted.has(name) || joined?.link.client.unsubscribe([name]),
  });
  const { plans, link } = await openMember({
    settings,
    fleet,
    applier: new LocalPlans({ applier: fleet, locals, captor, log }),
    cleanup,
    self: helloOf(settings),
    services: [...wanted],
    onPlan: () => {
      services.settle();
      health.planChanged();
    },
    onUnknown: (names) => services.unknown(names),
  });
  const unused: UnusedServices = cleanup.adopt(
    new UnusedServices({
      clock: CLOCK,
      plan: () => plans.plan,
      used: () => fleet.used(),
      letGo: (name) => link.client.unsubscribe([name]),
    }),
    (opened) => opened.close(),
  );
  joined = { link, unused };
  const isOpen = (): boolean =>
    Object.values(fleet.ports).some(({ state, port }) => state === 'bound' && port === settings.proxyPort);
  const health: WatchedApplication = cleanup.adopt(
    new WatchedApplication(settings, { report: (said) => link.client.report(said), plan: () => plans.plan, isOpen }),
    (opened) => opened.close(),
  );
  await openAdmin(settings, { fleet, plans, link, metering, cleanup });
  return new SidecarProcess({ identity, fleet, share, plans, link, health, cleanup: cleanup.move() });
}

interface AdminParts {
  readonly fleet: Fleet;
  readonly plans: OwnPlans;
  readonly link: MemberLink;
  readonly metering: Metering;
  readonly cleanup: AsyncDisposableStack;
}

const ADMIN_AGAIN_MS = 1_000;

/** Loaded where it is asked for only: most sidecars are looked into from the control plane. */
async function openAdmin(settings: SidecarSettings, { cleanup, ...parts }: AdminParts): Promise<void> {
  const { admin, sockets, log } = settings;
  if (admin === undefined) return;
  const [{ AdminDoor }, { aboutProxy, proxyView }] = await Promise.all([
    import('./admin-door.ts'),
    import('./proxy-view.ts'),
  ]);
  const { id, instance } = settings;
  const services = [`${id.namespace}/${id.account}`];
  const proxy = { instance, identity: formatWorkloadId(id), role: 'sidecar', services } as const;
  const view = proxyView({ ...parts, about: aboutProxy(settings), proxy });
  const door = cleanup.adopt(new AdminDoor(view, log), (opened) => opened.close());
  if (sockets === 'alone') return door.open(admin);
  // The process that is taken over holds the address until it has drained.
  let cancel = (): void => undefined;
  cleanup.defer(() => cancel());
  const attempt = (): void => void door.open(admin).catch(() => (cancel = CLOCK.after(ADMIN_AGAIN_MS, attempt)));
  attempt();
}

interface SidecarParts {
  readonly identity: string;
  readonly fleet: Fleet;
  readonly share: (ports: 'alone' | 'shared') => void;
  readonly plans: OwnPlans;
  readonly link: MemberLink;
  readonly health: WatchedApplication;
  readonly cleanup: AsyncDisposableStack;
}

class SidecarProcess implements RunningSidecar {
  readonly #parts: SidecarParts;

  constructor(parts: SidecarParts) {
    this.#parts = parts;
  }

  get identity(): string {
    return this.#parts.identity;
  }

  get ready(): Promise<void> {
    return this.#parts.plans.ready;
  }

  plan(): Plan | undefined {
    return this.#parts.plans.plan;
  }

  connect(): void {
    const { link, share } = this.#parts;
    share('alone');
    link.client.start();
  }

  async letGo(): Promise<void> {
    const { health, link } = this.#parts;
    health.close();
    link.close();
    await link.kept();
  }

  async farewell(deadlineMs: number): Promise<void> {
    const { health, fleet } = this.#parts;
    health.farewell();
    const endMs = CLOCK.nowMs() + deadlineMs;
    do {
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      await sleep(CLOCK, FAREWELL_MS);
      // oxlint-disable-next-line no-await-in-loop
    } while (CLOCK.nowMs() < endMs && (await isBusy(fleet)));
  }

  async drain(deadlineMs: number): Promise<void> {
    await this.#parts.fleet.drain(deadlineMs);
    await this.#parts.link.kept();
    await this[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.cleanup.disposeAsync();
  }
}

function helloOf({ instance, zone, forward }: SidecarSettings): Self {
  return { software: ownVersion(), instance, role: 'sidecar', identity: '', zone, forward };
}

async function isBusy(fleet: Fleet): Promise<boolean> {
  const { workers } = await fleet.stats();
  return workers.some(({ exchanges }) => exchanges > 0);
}
