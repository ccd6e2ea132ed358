/**
 * The instances that sidecars have told of, as Workloads for the compiler. One lives as long as the stream of its
 * proxy; when that is cut without a farewell, a little longer: the proxy may be on its way to another control plane, or
 * to this one after its restart, and its clients would lose an endpoint that serves.
 */
import { Fault, faultKinds } from '../base/fault.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Position } from '../base/problem.ts';
import type { LearnedSpeech } from '../ir/plan.ts';
import type { Origin, Workload } from '../resource/resource.ts';

export const REGISTRY_FAULTS = faultKinds({
  'mesh.registration-refused': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 7,
    title: 'The workload may not be registered',
    advice:
      'A proxy told of an instance of a service that is not its own: its identity must be of the namespace of the service, with the name of the service as account.',
  },
});

/** Whose word it is: from the certificate of the proxy. */
export interface Registrant {
  /** Tells the instances of one identity apart; the same after a reconnect. */
  readonly instance: string;
  readonly namespace: string;
  readonly account: string;
}

/** An instance behind a proxy, as the proxy tells it. */
export interface Registration {
  readonly service: string;
  readonly namespace: string;
  readonly address: string;
  readonly ports: Readonly<Record<string, number>>;
  /** What ports were found to speak, by their names; absent for none. */
  readonly protocols?: Readonly<Record<string, LearnedSpeech>>;
  readonly proxyPort: number;
  readonly zone: string;
  readonly health: 'ready' | 'not-ready' | 'draining';
}

export interface RegistryOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Called once for all changes of one moment. */
  onChange(): void;
}

/** After a stream was cut. Longer than a proxy takes to come back, shorter than people take to wonder. */
const GRACE_MS = 15_000;

/** Changes of so many milliseconds are one: a hundred instances that start together cost a few compiles. */
const GATHER_MS = 10;

/** From one time to the next while changes keep coming: in a large mesh each is 20 ms of a core, and others want it too. */
const GATHER_BUSY_MS = 50;

/** Instances in one mesh. Beyond: refused. */
const INSTANCES_MAX = 100_000;

interface Entry {
  readonly resource: Workload;
  /** What it was made of. */
  readonly text: string;
  cancelEnd: (() => void) | undefined;
}

export class Registry {
  readonly #options: RegistryOptions;
  readonly #entries = new Map<string, Entry>();
  #resources: readonly Workload[] | undefined;
  #cancelTelling: (() => void) | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** In the order in which they came. The same list as before when nothing changed. */
  get workloads(): readonly Workload[] {
    return (this.#resources ??= [...this.#entries.values()].map(({ resource }) => resource));
  }

  /** What was said of the instance before is forgotten. */
  register(who: Registrant, said: Registration): Fault | undefined {
    if (said.namespace !== who.namespace || said.service !== who.account) {
      const what = `an instance of service "${said.namespace}/${said.service}"`;
      return new Fault(
        REGISTRY_FAULTS['mesh.registration-refused'],
        `"${who.namespace}/${who.account}" told of ${what}`,
      );
    }
    const text = JSON.stringify(said);
    const before = this.#entries.get(who.instance);
    if (before?.text === text) {
      this.#keep(before);
      return undefined;
    }
    if (before === undefined && this.#entries.size >= INSTANCES_MAX) {
      return new Fault(REGISTRY_FAULTS['mesh.registration-refused'], `There are ${INSTANCES_MAX} instances already`);
    }
    before?.cancelEnd?.();
    this.#entries.set(who.instance, { resource: workloadOf(who, said), text, cancelEnd: undefined });
    this.#changed();
    return undefined;
  }

  /** The proxy has said farewell, or its stream was `cut`. */
  left(instance: string, how: 'farewell' | 'cut'): void {
    const entry = this.#entries.get(instance);
    if (entry === undefined) return;
    if (how === 'farewell') return this.#end(instance);
    entry.cancelEnd ??= this.#options.clock.after(GRACE_MS, () => {
      this.#options.log.warn('A workload did not come back: it is taken out', {
        workload: entry.resource.metadata.name,
      });
      this.#end(instance);
    });
  }

  close(): void {
    this.#cancelTelling?.();
    for (const entry of this.#entries.values()) entry.cancelEnd?.();
  }

  #keep(entry: Entry): void {
    entry.cancelEnd?.();
    entry.cancelEnd = undefined;
  }

  #end(instance: string): void {
    this.#entries.get(instance)?.cancelEnd?.();
    this.#entries.delete(instance);
    this.#changed();
  }

  #changed(): void {
    this.#resources = undefined;
    const { clock } = this.#options;
    const waitMs = Math.max(GATHER_MS, this.#toldMs + GATHER_BUSY_MS - clock.nowMs());
    this.#cancelTelling ??= clock.after(waitMs, () => {
      this.#cancelTelling = undefined;
      this.#toldMs = clock.nowMs();
      this.#options.onChange();
    });
  }
}

function workloadOf({ instance }: Registrant, said: Registration): Workload {
  const { service, namespace, address, ports, protocols, proxyPort, zone, health } = said;
  return {
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Workload',
    metadata: {
      name: `${service}-${instance}`,
      namespace,
      labels: {},
      annotations: {},
      generation: 1,
      creationMs: undefined,
    },
    spec: {
      service,
      address,
      ports,
      ...(protocols !== undefined && { protocols }),
      proxyPort,
      weight: 1,
      health,
      ...(zone !== '' && { zone }),
    },
    origin: REGISTERED,
  };
}

const PLACE: Position = { file: 'registered', line: 1, column: 1 };

/** No file has it: its proxy told of it. */
const REGISTERED: Origin = { file: PLACE.file, line: PLACE.line, locate: () => PLACE };
