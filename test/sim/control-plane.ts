/** A control plane of the simulation: the real compiler, registry, feeds and hub, without a port, a store and a gateway. */
import { silentLog } from '../../src/base/log.ts';
import type { ManualClock } from '../../src/base/testing/manual-clock.ts';
import { type Compiled, Compiler } from '../../src/compile/compile.ts';
import { MeshFeeds } from '../../src/control/mesh-feeds.ts';
import { Registry } from '../../src/control/registry.ts';
import type { Acknowledgement } from '../../src/identity/authority-store.ts';
import { Hub } from '../../src/push/hub.ts';
import type { Resource } from '../../src/resource/resource.ts';

export interface ControlPlaneOptions {
  readonly clock: ManualClock;
  readonly name: string;
  readonly resources: () => readonly Resource[];
  readonly roots: () => readonly string[];
  /** Hash of the trust bundle that has them. */
  readonly trusts: () => string;
  readonly onCertificate: (said: Acknowledgement) => void;
}

/** Processor time, which no two runs have alike. */
export interface Work {
  compiles: number;
  compileMs: number;
  compileMsMax: number;
  publishMs: number;
  publishMsMax: number;
}

export class ControlPlane {
  readonly registry: Registry;
  readonly feeds: MeshFeeds;
  readonly hub: Hub;
  readonly work: Work = { compiles: 0, compileMs: 0, compileMsMax: 0, publishMs: 0, publishMsMax: 0 };
  readonly #compiler: Compiler;
  readonly #options: ControlPlaneOptions;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { clock, name } = options;
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
    let compiled: Compiled;
    const compileMs = cpuOf(() => {
      compiled = this.#compiler.compile([...this.#options.resources(), ...this.registry.workloads]);
    });
    const publishMs = cpuOf(() => this.feeds.publish(compiled, this.#options.trusts()));
    work.compiles++;
    work.compileMs += compileMs;
    work.compileMsMax = Math.max(work.compileMsMax, compileMs);
    work.publishMs += publishMs;
    work.publishMsMax = Math.max(work.publishMsMax, publishMs);
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

export function cpuOf(action: () => void): number {
  const before = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
