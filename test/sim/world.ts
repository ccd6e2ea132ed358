/** One mesh in memory, on a clock that is moved by hand: control planes, proxies, and the network between them. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Random } from '../../src/base/random.ts';
import { ManualClock } from '../../src/base/testing/manual-clock.ts';
import type { PlanBundle } from '../../src/ir/plan.ts';
import { SimAuthority } from './authority.ts';
import { ControlPlane, newCompiler } from './control-plane.ts';
import { Fleet, type FleetSize, randomOf } from './fleet.ts';
import { Network } from './network.ts';
import { SharedNotes } from './shared-notes.ts';
import { consumerOf, type ProxyPlace, SimProxy } from './sim-proxy.ts';

export interface WorldOptions {
  readonly size: FleetSize;
  /** Addresses of the control planes. */
  readonly controls?: readonly string[];
  /** Draws how long proxies wait before they come again. */
  readonly waits?: Random | undefined;
}

/** The first start is a deployment: instances come one after the other, some hundred in a second. */
const START_PER_S = 400;

export class World {
  readonly clock = new ManualClock();
  readonly network: Network;
  readonly fleet: Fleet;
  readonly proxies: SimProxy[] = [];
  readonly #addresses: readonly string[];
  readonly #waits: Random;
  readonly #notes = new SharedNotes((by) => {
    for (const { shared } of this.controls.values()) this.network.at(this.clock.nowMs(), () => shared.heard(by));
  });
  /** Of control planes, so far. */
  #runs = 0;
  readonly #random: Random;
  readonly authority: SimAuthority;
  onLeaf: (before: string | undefined, now: string) => void = () => undefined;
  onApplied: (proxy: SimProxy, bundle: PlanBundle) => void = () => undefined;

  constructor({ size, controls = ['c0'], waits }: WorldOptions) {
    this.fleet = new Fleet(size);
    this.#random = randomOf(size.seed, 'world');
    this.network = new Network({ clock: this.clock, random: randomOf(size.seed, 'network') });
    this.#addresses = controls;
    this.#waits = waits ?? randomOf(size.seed, 'waits');
    this.authority = new SimAuthority(this.network, randomOf(size.seed, 'authority'), {
      onTrust: (bundle) => {
        for (const { feeds } of this.controls.values()) feeds.trust(bundle);
        this.edited();
      },
      onWish: (wish, instances) => {
        for (const { feeds } of this.controls.values()) feeds.wish(wish, instances);
      },
      onLeaf: (before, now) => this.onLeaf(before, now),
    });
  }

  /** Control planes that run, by address. */
  get controls(): Map<string, ControlPlane> {
    return this.network.controls;
  }

  /** All control planes, then all proxies, until everybody has its plan. */
  async start(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    for (const address of this.#addresses) await this.startControl(address);
    for (const place of this.fleet.places) {
      this.network.at(this.clock.nowMs() + (place.i * 1_000) / START_PER_S, () => this.startProxy(place));
    }
    await this.run((this.fleet.places.length * 1_000) / START_PER_S);
    await this.settle(300_000);
  }

  /** With what it finds in the database. */
  async startControl(address: string): Promise<ControlPlane> {
    const control = new ControlPlane({
      clock: this.clock,
      name: `${address}#${++this.#runs}`,
      notes: this.#notes,
      isAlone: this.#addresses.length === 1,
      resources: () => this.fleet.resources,
      roots: () => this.authority.bundle.roots,
      trusts: () => this.authority.bundle.hash,
      onCertificate: (said) => this.authority.acknowledge(said),
    });
    control.feeds.trust(this.authority.bundle);
    await control.shared.start();
    control.compile();
    this.controls.set(address, control);
    return control;
  }

  kill(address: string): void {
    this.controls.get(address)?.kill();
    this.network.lose(address);
  }

  startProxy(place: ProxyPlace): SimProxy {
    const proxy = new SimProxy({
      place,
      network: this.network,
      clock: this.clock,
      random: this.#random,
      waits: this.#waits,
      addresses: this.#addresses,
      onTrust: (who, bundle) => this.authority.told(who, bundle),
      onWish: (who, wish) => this.authority.wished(who, wish),
      onApplied: (who, bundle) => this.onApplied(who, bundle),
    });
    this.proxies[place.i] = proxy;
    this.authority.admit(proxy);
    proxy.start();
    return proxy;
  }

  /** Files have changed: every control plane reads them. */
  edited(): void {
    for (const control of this.controls.values()) control.compile();
  }

  /** Moves time on, from one alarm to the next. */
  async run(ms: number): Promise<void> {
    const endMs = this.clock.nowMs() + ms;
    for (;;) {
      /* oxlint-disable no-await-in-loop -- time goes on when all of a moment has happened */
      await turn();
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

  /** Names of parts that came to somebody and are of another identity. */
  get strangers(): string[] {
    return this.proxies.flatMap(({ strangers }) => strangers);
  }

  /** Proxies that serve another plan than a compiler makes which knows all that is. */
  wrong(who: readonly SimProxy[] = this.proxies): SimProxy[] {
    const compiler = newCompiler({ clock: this.clock, roots: () => this.authority.bundle.roots });
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
