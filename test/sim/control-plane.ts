/** A control plane of the simulation: the real compiler, registry, feeds and hub, without a port, a store and a gateway. */
import type { Clock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { Compiler } from '../../src/compile/compile.ts';
import { MeshFeeds } from '../../src/control/mesh-feeds.ts';
import { Registry } from '../../src/control/registry.ts';
import type { Acknowledgement } from '../../src/identity/authority-store.ts';
import { Hub } from '../../src/push/hub.ts';
import type { Resource } from '../../src/resource/resource.ts';
import { MeteredClock, Work } from './work.ts';

export interface ControlPlaneOptions {
  readonly clock: Clock;
  readonly name: string;
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
  readonly work = new Work();
  readonly #compiler: Compiler;
  readonly #options: ControlPlaneOptions;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { name } = options;
    const clock = new MeteredClock(options.clock, this.work);
    this.registry = new Registry({ clock, log: silentLog, onChange: () => this.compile() });
    this.feeds = new MeshFeeds({
      registry: this.registry,
      clock,
      log: silentLog,
      onCertificate: options.onCertificate,
      onGateways: () => undefined,
      onFarewell: () => undefined,
    });
    this.hub = new Hub({ feeds: this.feeds, clock, log: silentLog, software: '1.0.0', control: name });
    this.#compiler = newCompiler(options);
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
    this.registry.close();
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
