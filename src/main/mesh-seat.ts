/** The mesh that a gateway may be part of: nothing for a gateway alone, and before it is started. Loads none of it then. */
import type { Compiled } from '../compile/compile.ts';
import type { OwnProxies } from '../control/no-proxies.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import type { Resource } from '../resource/resource.ts';
import type { MeshControl } from './mesh-control.ts';
import type { MeshParts, StartedMesh } from './start-mesh.ts';

const NO_ROOTS: readonly string[] = [];
const NO_DENIALS: readonly string[] = [];

export class MeshSeat implements AsyncDisposable {
  #started: StartedMesh | undefined;

  async start(parts: MeshParts): Promise<void> {
    const { startMesh } = await import('./start-mesh.ts');
    this.#started = await startMesh(parts);
  }

  get control(): MeshControl | undefined {
    return this.#started?.control;
  }

  /** Of its own trust domain. */
  get roots(): readonly string[] {
    return this.control?.roots ?? NO_ROOTS;
  }

  /** By its authority. */
  get denied(): readonly string[] {
    return this.control?.denied ?? NO_DENIALS;
  }

  /** With what proxies have told. */
  with(resources: readonly Resource[]): readonly Resource[] {
    return this.control?.with(resources) ?? resources;
  }

  /** At once after each compile: plans of sidecars can be made of the last one only. */
  publish(compiled: Compiled): Compiled {
    this.control?.publish(compiled);
    return compiled;
  }

  /** To the proxies of this process, with their certificate where they have one. */
  apply(change: Change, proxies: OwnProxies): Promise<ApplyResult> {
    return this.#started?.plans?.apply(change.bundle) ?? proxies.apply(change);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started?.close();
  }
}
