/** One mesh in memory, on a clock that is moved by hand: control planes, proxies, and the network between them. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Random } from '../../src/base/random.ts';
import { ManualClock } from '../../src/base/testing/manual-clock.ts';
import type { PlanBundle } from '../../src/ir/plan.ts';
import type { Acknowledgement } from '../../src/identity/authority-store.ts';
import type { TrustBundle } from '../../src/push/messages.ts';
import { ControlPlane, newCompiler } from './control-plane.ts';
import { Fleet, type FleetSize, randomOf } from './fleet.ts';
import { Network } from './network.ts';
import { consumerOf, type ProxyPlace, SimProxy } from './sim-proxy.ts';

export interface WorldOptions {
  readonly size: FleetSize;
  /** Addresses of the control planes. */
  readonly controls?: readonly string[];
}

/** The first start is a deployment: instances come one after the other, some hundred in a second. */
const START_PER_S = 400;

export class World {
  readonly clock = new ManualClock();
  readonly network: Network;
  readonly fleet: Fleet;
  readonly controls = new Map<string, ControlPlane>();
  readonly proxies: SimProxy[] = [];
  readonly #addresses: readonly string[];
  readonly #random: Random;
  /** What is done outside of this thread: time stands still meanwhile. */
  readonly #outside = new Set<Promise<unknown>>();
  roots: readonly string[] = [
    '-----BEGIN CERTIFICATE-----\nthe root of this mesh, as long as a real one is\n-----END CERTIFICATE-----\n'.padEnd(
      700,
    ),
  ];
  /** Hash of the trust bundle that has {@link roots}. */
  trusts = 'first';
  onCertificate: (said: Acknowledgement) => void = () => undefined;
  onTrust: (proxy: SimProxy, bundle: TrustBundle) => void = () => undefined;
  onApplied: (proxy: SimProxy) => void = () => undefined;

  constructor({ size, controls = ['c0'] }: WorldOptions) {
    this.fleet = new Fleet(size);
    this.#random = randomOf(size.seed, 'world');
    this.network = new Network({ clock: this.clock, random: randomOf(size.seed, 'network') });
    this.#addresses = controls;
  }

  /** All control planes, then all proxies, until everybody has its plan. */
  async start(): Promise<void> {
    for (const address of this.#addresses) this.startControl(address);
    for (const place of this.fleet.places) {
      this.network.at(this.clock.nowMs() + (place.i * 1_000) / START_PER_S, () => this.startProxy(place));
    }
    await this.run((this.fleet.places.length * 1_000) / START_PER_S);
    await this.settle(300_000);
  }

  startControl(address: string): ControlPlane {
    const control = new ControlPlane({
      clock: this.clock,
      name: address,
      resources: () => this.fleet.resources,
      roots: () => this.roots,
      trusts: () => this.trusts,
      onCertificate: (said) => this.onCertificate(said),
    });
    control.compile();
    this.controls.set(address, control);
    this.network.hubs.set(address, control.hub);
    return control;
  }

  kill(address: string): void {
    this.network.lose(address);
    this.controls.get(address)?.kill();
    this.controls.delete(address);
  }

  startProxy(place: ProxyPlace, held?: PlanBundle): SimProxy {
    const proxy = new SimProxy(
      {
        place,
        network: this.network,
        clock: this.clock,
        random: this.#random,
        addresses: this.#addresses,
        onTrust: (who, bundle) => this.onTrust(who, bundle),
        onApplied: (who) => this.onApplied(who),
      },
      held,
    );
    this.proxies[place.i] = proxy;
    proxy.start();
    return proxy;
  }

  /** Files have changed: every control plane reads them. */
  edited(): void {
    for (const control of this.controls.values()) control.compile();
  }

  /** Waits for it before time goes on. */
  outside<T>(work: Promise<T>): Promise<T> {
    const done = work.finally(() => this.#outside.delete(done));
    this.#outside.add(done);
    return done;
  }

  /** Moves time on, from one alarm to the next. */
  async run(ms: number): Promise<void> {
    const endMs = this.clock.nowMs() + ms;
    for (;;) {
      /* oxlint-disable no-await-in-loop -- time goes on when all of a moment has happened */
      await turn();
      while (this.#outside.size > 0) {
        await Promise.all(this.#outside);
        await turn();
      }
      const atMs = this.clock.nextMs;
      if (atMs === undefined || atMs > endMs) break;
      this.clock.advance(atMs - this.clock.nowMs());
      /* oxlint-enable no-await-in-loop */
    }
    this.clock.advance(endMs - this.clock.nowMs());
  }

  /** Until every proxy serves what it should. @returns milliseconds that took; -1 when it did not happen */
  async settle(msMax: number, who: readonly SimProxy[] = this.proxies): Promise<number> {
    const startMs = this.clock.nowMs();
    const stepMs = 100;
    while (this.clock.nowMs() - startMs < msMax) {
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      await this.run(stepMs);
      if (this.isSettled(who)) return this.clock.nowMs() - startMs;
    }
    return -1;
  }

  isSettled(who: readonly SimProxy[] = this.proxies): boolean {
    if (!who.every(({ isLive }) => isLive)) return false;
    const rows = [...this.controls.values()].flatMap(({ feeds }) => feeds.list());
    const behind = new Set(
      rows.filter(({ lagMs, wanted }) => lagMs > 0 || wanted === undefined).map(({ instance }) => instance),
    );
    return who.every(({ instance }) => !behind.has(instance));
  }

  /** Proxies that serve another plan than a compiler makes which knows all that is. */
  wrong(who: readonly SimProxy[] = this.proxies): SimProxy[] {
    const compiler = newCompiler({ clock: this.clock, roots: () => this.roots });
    const workloads = new Map(
      [...this.controls.values()].flatMap(({ registry }) => registry.workloads.map((one) => [one.metadata.name, one])),
    );
    const { mesh } = compiler.compile([...this.fleet.resources, ...workloads.values()]);
    return who.filter(({ held, options: { place } }) => {
      const keys = place.uses.flatMap((name) => mesh.keysOf(name, place.namespace));
      return held?.plan.version !== mesh.planOf(consumerOf(place, keys.toSorted())).plan.version;
    });
  }
}
