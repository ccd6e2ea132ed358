/** A control plane of the simulation: the real compiler, registry, feeds and hub, without a port, a store and a gateway. */
import type { Clock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { Compiler } from '../../src/compile/compile.ts';
import { MeshFeeds } from '../../src/control/mesh-feeds.ts';
import { Registry } from '../../src/control/registry.ts';
import { SharedRegistry } from '../../src/control/shared-registry.ts';
import type { Acknowledgement } from '../../src/identity/authority-store.ts';
import { Hub } from '../../src/push/hub.ts';
import type { Resource } from '../../src/resource/resource.ts';
import type { SharedNotes } from './shared-notes.ts';
import { MeteredClock, Work } from './work.ts';

export interface ControlPlaneOptions {
  readonly clock: Clock;
  /** Tells this run of it apart. */
  readonly name: string;
  readonly notes: SharedNotes;
  /** Whether it is the only one. */
  readonly isAlone: boolean;
  readonly resources: () => readonly Resource[];
  readonly roots: () => readonly string[];
  /** Hash of the trust bundle that has them. */
  readonly trusts: () => string;
  readonly onCertificate: (said: Acknowledgement) => void;
}

export class ControlPlane {
  readonly registry: Registry;
  readonly feeds: MeshFeeds;
  readonly hub: Hub;
  readonly shared: SharedRegistry;
  readonly work = new Work();
  readonly #compiler: Compiler;
  readonly #options: ControlPlaneOptions;
  #isKilled = false;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { name, notes, isAlone } = options;
    const clock = new MeteredClock(options.clock, this.work);
    this.registry = new Registry({
      clock,
      log: silentLog,
      onChange: () => this.compile(),
      tell: (workload, body) => this.shared.tell('workload', workload, body === undefined ? undefined : () => body),
    });
    this.feeds = new MeshFeeds({
      registry: this.registry,
      clock,
      log: silentLog,
      onCertificate: options.onCertificate,
      onGateways: () => undefined,
      onProxy: () => undefined,
      onFarewell: () => undefined,
    });
    this.hub = new Hub({ feeds: this.feeds, clock, log: silentLog, software: '1.0.0', control: name });
    this.#compiler = newCompiler(options);
    this.shared = new SharedRegistry({
      store: notes,
      isOpen: () => !this.#isKilled,
      isAlone,
      id: name,
      name,
      leads: () => false,
      clock,
      log: silentLog,
      hear: ({ control, name: workload, body }) => this.registry.heard(control, workload, body),
    });
  }

  compile(): void {
    const { work } = this;
    work.turn(() => {
      const compiled = work.of('compile', () =>
        this.#compiler.compile([...this.#options.resources(), ...this.registry.workloads]),
      );
      work.of('publish', () => this.feeds.publish(compiled, this.#options.trusts()));
    });
  }

  /** It is killed: nothing is said to anybody. */
  kill(): void {
    this.#isKilled = true;
    this.registry.close();
    void this.shared.close();
  }
}

export function newCompiler({ clock, roots }: Pick<ControlPlaneOptions, 'clock' | 'roots'>): Compiler {
  return new Compiler({
    controllerName: 'fourways.io/gateway-controller',
    bindDefault: '::',
    wallMs: () => clock.wallMs(),
    meshRoots: roots,
  });
}
