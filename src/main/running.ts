import type { ProblemReport, StatusList } from '../api/admin/view.ts';
import type { OwnProxies } from '../control/no-proxies.ts';
import type { Outcome } from '../control/pipeline.ts';
import type { Plan } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { ControlPlane } from './control-plane.ts';
import type { HostPort } from './host-port.ts';
import type { MeshControl } from './mesh-control.ts';

/** A gateway that serves, or a control plane alone. */
export interface Running extends AsyncDisposable {
  /** Where the admin API listens; undefined when there is none. */
  readonly admin: { readonly address: string; readonly port: number } | undefined;
  /** Ports of the plan by key, of the proxies of this process. */
  ports(): PortStates;
  /** The plan that every worker has applied. */
  plan(): Plan;
  status(): StatusList;
  problems(): ProblemReport;
  /** Resolves with what becomes of the next change of the configuration. */
  next(): Promise<Outcome>;
  /** Reads everything again, as after a change. Resolves when it is served or refused. */
  reload(): Promise<void>;
  /** @throws {StartFailure} when it cannot listen there */
  openAdmin(at: HostPort): Promise<void>;
  closeAdmin(): Promise<void>;
  /** The control plane of the mesh; undefined when there is none. */
  readonly mesh: MeshControl | undefined;
  /** Stops accepting, lets running requests finish for at most `deadlineMs`, then ends everything. */
  drain(deadlineMs: number): Promise<void>;
  /** Ends everything now. */
  close(): Promise<void>;
}

export interface RunningParts {
  readonly control: ControlPlane;
  readonly proxies: OwnProxies;
  readonly cleanup: AsyncDisposableStack;
}

export class RunningControl implements Running {
  readonly #parts: RunningParts;

  constructor(parts: RunningParts) {
    this.#parts = parts;
  }

  get mesh(): MeshControl | undefined {
    return this.#parts.control.mesh.control;
  }

  get admin(): Running['admin'] {
    return this.#parts.control.door.at;
  }

  ports(): PortStates {
    return this.#parts.proxies.ports;
  }

  plan(): Plan {
    // There is one: without it nothing was started.
    return this.#parts.control.view.plan()!;
  }

  status(): StatusList {
    return this.#parts.control.view.status();
  }

  problems(): ProblemReport {
    return this.#parts.control.view.problems();
  }

  next(): Promise<Outcome> {
    return this.#parts.control.pipeline.next();
  }

  reload(): Promise<void> {
    return this.#parts.control.reload();
  }

  openAdmin(at: HostPort): Promise<void> {
    return this.#parts.control.door.open(at);
  }

  closeAdmin(): Promise<void> {
    return this.#parts.control.door.close();
  }

  async drain(deadlineMs: number): Promise<void> {
    // A change that comes now would only be refused.
    this.#parts.control.unwatch();
    await this.#parts.proxies.drain(deadlineMs);
    await this.close();
  }

  close(): Promise<void> {
    return this.#parts.cleanup.disposeAsync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
