/**
 * Puts a sidecar together:
 *
 *     control plane -> plan with our own certificate -> proxies of this process
 *                <- workload, when the application is well
 *
 * Like up.ts it knows nothing of signals, standard output and exit codes.
 */
import { connect } from 'node:net';
import { sleep, systemClock } from '../base/clock.ts';
import type { LogLevel } from '../base/log.ts';
import { ownVersion } from '../cli/version.ts';
import type { Fleet } from '../control/fleet.ts';
import { formatWorkloadId } from '../identity/spiffe.ts';
import type { Plan } from '../ir/plan.ts';
import type { Self, WorkloadReport } from '../push/messages.ts';
import { AskedServices } from '../sidecar/asked-services.ts';
import { ApplicationHealth } from '../sidecar/application-health.ts';
import { LocalPlans } from '../sidecar/local-plans.ts';
import type { LocalPort } from '../sidecar/local-ports.ts';
import type { OwnPlans } from '../sidecar/own-plans.ts';
import type { HostPort } from './host-port.ts';
import { type MemberLink, type MemberSettings, openMember } from './member-link.ts';
import { type CaptureSettings, openCapture } from './capture.ts';
import { Metering } from './metering.ts';
import { startFleet } from './start-fleet.ts';

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

const PROBE_MS = 1_000;

/** @throws {StartFailure} when it may not join or capture, or its ports are taken */
export async function startSidecar(settings: SidecarSettings): Promise<RunningSidecar> {
  await using cleanup = new AsyncDisposableStack();
  const identity = formatWorkloadId(settings.id);
  const versions = { own: ownVersion(), node: process.version };
  const metering = cleanup.adopt(new Metering(CLOCK, versions), (opened) => opened.close());
  const wanted = new Set([...settings.services, ...settings.locals.map(({ service }) => service)]);
  // An application that runs already may ask for names before there is a link.
  let isLive = (): boolean => false;
  const services = new AskedServices((names) => link.client.subscribe(names));
  const { fleet, share } = await startFleet(
    { ...settings, ports: settings.sockets, redisUrl: undefined },
    {
      bind: '127.0.0.1',
      metering,
      cleanup,
      clock: CLOCK,
      askForService: async (name) => void (await services.ask(name)),
      onPorts: (ports) => link.client.portsChanged(ports),
      onFailing: () => undefined,
    },
  );
  const { locals, log } = settings;
  const captor = await openCapture(settings, {
    cleanup,
    ask: async (name) => (isLive() ? services.ask(name) : 'unknown'),
    drop: (name) => wanted.has(name) || link.client.unsubscribe([name]),
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
  const isOpen = (): boolean =>
    Object.values(fleet.ports).some(({ state, port }) => state === 'bound' && port === settings.proxyPort);
  const health: WatchedApplication = cleanup.adopt(new WatchedApplication(settings, { link, isOpen }), (opened) =>
    opened.close(),
  );
  isLive = () => link.client.state.kind === 'live';
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

/** The application beside the proxy: others are told of it while it is well, and the port is open at which they reach it. */
class WatchedApplication {
  readonly #settings: SidecarSettings;
  readonly #link: MemberLink;
  readonly #isOpen: () => boolean;
  readonly #health: ApplicationHealth;
  #said: WorkloadReport['health'] | undefined;

  constructor(
    settings: SidecarSettings,
    { link, isOpen }: { readonly link: MemberLink; readonly isOpen: () => boolean },
  ) {
    this.#settings = settings;
    this.#link = link;
    this.#isOpen = isOpen;
    let wasWell = false;
    this.#health = new ApplicationHealth({
      clock: CLOCK,
      probe: () => probePorts(Object.values(settings.ports)),
      onChange: (wrong) => {
        // One that starts beside its sidecar is not there at once.
        if (wrong !== undefined && !wasWell) settings.log.info(`The application does not answer yet: ${wrong}`);
        else if (wrong !== undefined) settings.log.warn(`The application does not answer: ${wrong}`);
        wasWell ||= wrong === undefined;
        this.#report(wrong === undefined && this.#isOpen() ? 'healthy' : 'unhealthy');
      },
    });
  }

  /** The first plan opens the port. */
  planChanged(): void {
    if (this.#said === 'unhealthy' && this.#health.isWell && this.#isOpen()) this.#report('healthy');
  }

  farewell(): void {
    this.#health.close();
    this.#report('draining');
  }

  close(): void {
    this.#health.close();
  }

  #report(health: WorkloadReport['health']): void {
    this.#said = health;
    if (Object.keys(this.#settings.ports).length === 0) return;
    this.#link.client.report({ kind: 'workload', ...workloadOf(this.#settings), health });
  }
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

function workloadOf({ id, ports, address, proxyPort, zone }: SidecarSettings): Omit<WorkloadReport, 'health'> {
  return {
    service: id.account,
    namespace: id.namespace,
    address,
    ports: Object.entries(ports).map(([name, port]) => ({ name, port, protocol: '' })),
    proxyPort,
    zone,
  };
}

async function isBusy(fleet: Fleet): Promise<boolean> {
  const { workers } = await fleet.stats();
  return workers.some(({ exchanges }) => exchanges > 0);
}

/** What is wrong with the first port that does not take a connection. */
async function probePorts(ports: readonly number[]): Promise<string | undefined> {
  const answers = await Promise.all(ports.map(probePort));
  return answers.find((wrong) => wrong !== undefined);
}

function probePort(port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect({ host: '127.0.0.1', port });
  const settle = (wrong: string | undefined): void => {
    cancel();
    socket.destroy();
    resolve(wrong);
  };
  const cancel = CLOCK.after(PROBE_MS, () => settle(`nothing on port ${port} after ${PROBE_MS} ms`));
  socket.once('connect', () => settle(undefined));
  socket.once('error', (error: NodeJS.ErrnoException) => settle(`port ${port}: ${error.code}`));
  return promise;
}
