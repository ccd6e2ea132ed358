/**
 * Serves the ports of a plan on other ports of the loopback address, so that a
 * configuration can be tried where its own ports are taken or not allowed. What
 * clients are told (redirects, X-Forwarded-Port) stays as configured.
 */
import { createServer, type AddressInfo } from 'node:net';
import type { Compiled } from '../compile/compile.ts';
import { portKey } from '../ir/key.ts';
import type { PlanBundle, PlanPort } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import { versionOf } from '../ir/version.ts';

const LOOPBACK = '127.0.0.1';

/** Ports set aside beforehand: a plan is moved without waiting. More in one configuration is an error. */
const PORTS_MAX = 32;

export class Relocation {
  readonly #free: number[];
  /** Port taken for each key of the plan; kept, so that a reload does not move a port. */
  readonly #taken = new Map<string, number>();

  private constructor(free: number[]) {
    this.#free = free;
  }

  static async reserve(): Promise<Relocation> {
    const servers = await Promise.all(Array.from({ length: PORTS_MAX }, listenAnywhere));
    const ports = servers.map((server) => (server.address() as AddressInfo).port);
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    return new Relocation(ports);
  }

  /** The same, on other ports; its statuses speak of the ports as configured. @throws {RangeError} on more ports than were set aside */
  move(compiled: Compiled): Compiled {
    const { plan, secrets } = compiled.bundle;
    const ports = Object.fromEntries(Object.entries(plan.ports).map(([key, port]) => this.#movePort(key, port)));
    const listeners = Object.fromEntries(
      Object.entries(plan.listeners).map(([key, listener]) => [key, { ...listener, port: this.#keyOf(listener.port) }]),
    );
    const parts = { ...plan, ports, listeners };
    const bundle: PlanBundle = { plan: { ...parts, version: versionOf(parts) }, secrets };
    return {
      ...compiled,
      bundle,
      statusOf: (runtime) =>
        compiled.statusOf({
          ...runtime,
          ports: this.#asConfigured(runtime.ports),
          appliedVersion: runtime.appliedVersion === bundle.plan.version ? plan.version : runtime.appliedVersion,
        }),
    };
  }

  /** Port on which a configured port is served; undefined when no listener has it. */
  portOf(configured: number): number | undefined {
    const key = this.#taken.keys().find((candidate) => candidate.endsWith(`:${configured}`));
    return key === undefined ? undefined : this.#taken.get(key);
  }

  get configuredPorts(): readonly number[] {
    return [...this.#taken.keys()].map((key) => Number.parseInt(key.slice(key.lastIndexOf(':') + 1), 10));
  }

  #movePort(key: string, port: PlanPort): [string, PlanPort] {
    let moved = this.#taken.get(key);
    if (moved === undefined) {
      moved = this.#free.pop();
      if (moved === undefined) throw new RangeError(`Cannot move the ports: more than ${PORTS_MAX}`);
      this.#taken.set(key, moved);
    }
    return [this.#keyOf(key), { ...port, address: LOOPBACK, port: moved }];
  }

  /** @param key  of a port that was moved before */
  #keyOf(key: string): string {
    return portKey(LOOPBACK, this.#taken.get(key)!, key.endsWith('/udp') ? 'udp' : 'tcp');
  }

  #asConfigured(ports: PortStates): PortStates {
    const states = [...this.#taken.keys()].flatMap((key) => {
      const state = ports[this.#keyOf(key)];
      return state === undefined ? [] : [[key, state] as const];
    });
    return Object.fromEntries(states);
  }
}

function listenAnywhere(): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, LOOPBACK, () => resolve(server));
  });
}
