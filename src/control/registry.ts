/**
 * The instances that sidecars have told of, here or at another control plane, as Workloads for the compiler. One lives as
 * long as the stream of its proxy; when that is cut without a farewell, a little longer: the proxy may be on its way to
 * another control plane, or to this one after its restart, and its clients would lose an endpoint that serves.
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
  /** What this control plane says of an instance, for others that share its store; undefined: nothing any more. */
  tell?(name: string, body: string | undefined): void;
}

/** After a stream was cut. Longer than a proxy takes to come back, shorter than people take to wonder. */
const GRACE_MS = 15_000;

/** Changes of so many milliseconds are one: a hundred instances that start together cost a few compiles. */
const GATHER_MS = 10;

/** From one time to the next while changes keep coming: in a large mesh each is 20 ms of a core, and others want it too. */
const GATHER_BUSY_MS = 50;

/** Instances in one mesh. Beyond: refused. */
const INSTANCES_MAX = 100_000;

/** What a control plane says of an instance. The one that was said last counts. */
interface Said {
  readonly instance: string;
  /**
   * By the clock of who says it, and later than whatever it knew of the same instance: that a proxy came from another
   * control plane is right even where clocks differ.
   */
  readonly atMs: number;
  /** The registration as JSON; undefined: it has ended. */
  readonly text: string | undefined;
}

interface Own extends Said {
  readonly key: string;
  readonly text: string;
  cancelEnd: (() => void) | undefined;
}

interface Made {
  readonly text: string;
  readonly resource: Workload;
}

/** Who says it: this control plane. */
const OWN = '';

/** That an instance has ended is said for as long as something older may be read of it elsewhere. */
const ENDED_MS = 300_000;

export class Registry {
  readonly #options: RegistryOptions;
  /** By instance. */
  readonly #own = new Map<string, Own>();
  /** By key, then by control plane. */
  readonly #said = new Map<string, Map<string, Said>>();
  readonly #made = new Map<string, Made>();
  #resources: readonly Workload[] | undefined;
  #cancelTelling: (() => void) | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** In the order in which they came. The same list as before when nothing changed. */
  get workloads(): readonly Workload[] {
    return (this.#resources ??= [...this.#made.values()].map(({ resource }) => resource));
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
    const { instance } = who;
    const before = this.#own.get(instance);
    const key = keyOf(said, instance);
    if (!this.#made.has(key) && this.#made.size >= INSTANCES_MAX) {
      return new Fault(REGISTRY_FAULTS['mesh.registration-refused'], `There are ${INSTANCES_MAX} instances already`);
    }
    before?.cancelEnd?.();
    // Another one has taken its name, which it could while it was away.
    if (before !== undefined && before.key !== key) this.#end(before);
    const own: Own = { instance, key, text: JSON.stringify(said), atMs: this.#nextMs(key), cancelEnd: undefined };
    this.#own.set(instance, own);
    this.#say(key, own);
    return undefined;
  }

  /** The proxy has said farewell, or its stream was `cut`. */
  left(instance: string, how: 'farewell' | 'cut'): void {
    const own = this.#own.get(instance);
    if (own === undefined) return;
    if (how === 'farewell') return this.#end(own);
    own.cancelEnd ??= this.#options.clock.after(GRACE_MS, () => {
      const isHere = this.#newest(own.key) === this.#said.get(own.key)?.get(OWN);
      if (isHere) this.#options.log.warn('A workload did not come back: it is taken out', { workload: own.key });
      this.#end(own);
    });
  }

  /** What another control plane says of an instance; undefined: nothing any more. */
  heard(control: string, name: string, body: string | undefined): void {
    this.#put(name, control, body === undefined ? undefined : (JSON.parse(body) as Said));
  }

  close(): void {
    this.#cancelTelling?.();
    for (const own of this.#own.values()) own.cancelEnd?.();
  }

  #nextMs(key: string): number {
    return Math.max(this.#options.clock.wallMs(), (this.#newest(key)?.atMs ?? 0) + 1);
  }

  #end(own: Own): void {
    const { instance, key, atMs } = own;
    own.cancelEnd?.();
    this.#own.delete(instance);
    if (this.#options.tell === undefined) return this.#put(key, OWN, undefined);
    // Of that time: if it has come to another control plane since, it has not ended.
    const ended: Said = { instance, atMs, text: undefined };
    this.#say(key, ended);
    this.#options.clock.after(ENDED_MS, () => {
      if (this.#said.get(key)?.get(OWN) === ended) this.#say(key, undefined);
    });
  }

  #say(key: string, said: Said | undefined): void {
    this.#put(key, OWN, said);
    if (said === undefined) return this.#options.tell?.(key, undefined);
    const { instance, atMs, text } = said;
    this.#options.tell?.(key, JSON.stringify({ instance, atMs, text } satisfies Said));
  }

  #put(key: string, control: string, said: Said | undefined): void {
    const all = this.#said.get(key) ?? new Map<string, Said>();
    if (said === undefined) all.delete(control);
    else all.set(control, said);
    if (all.size === 0) this.#said.delete(key);
    else this.#said.set(key, all);
    const newest = this.#newest(key);
    const text = newest?.text;
    if (text === this.#made.get(key)?.text) return;
    if (text === undefined) this.#made.delete(key);
    else this.#made.set(key, { text, resource: workloadOf(newest!.instance, JSON.parse(text) as Registration) });
    this.#changed();
  }

  #newest(key: string): Said | undefined {
    let newest: Said | undefined;
    for (const said of this.#said.get(key)?.values() ?? []) {
      if (newest === undefined || said.atMs > newest.atMs) newest = said;
    }
    return newest;
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

/** The same at every control plane, and of one identity only: whoever registers is of this namespace and service. */
function keyOf({ namespace, service }: Pick<Registration, 'namespace' | 'service'>, instance: string): string {
  return `${namespace}/${service} ${instance}`;
}

function workloadOf(instance: string, said: Registration): Workload {
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
