/**
 * What ports of Services speak of which nobody has said it: what the first sidecar of a Service has found out. It is kept for
 * as long as the port is there and undeclared, whatever becomes of that sidecar. Services are given on with it.
 */
import type { Log } from '../base/log.ts';
import type { ServicePort } from '../compile/backend.ts';
import { isUndeclared, portKeyOf, saidBy } from '../compile/mesh-port.ts';
import { hasSelector, type SelectingServices, servicesOf } from '../compile/workloads.ts';
import type { LearnedSpeech } from '../ir/plan.ts';
import { describe, keyOf, type Resource, type Service, type Workload } from '../resource/resource.ts';

export class LearnedPorts {
  readonly #log: Log;
  /** By the key of a port: `Service/shop/orders/80`. */
  readonly #known = new Map<string, LearnedSpeech>();
  /** What was given on last, by what it was made of. */
  readonly #filled = new WeakMap<Service, { readonly said: string; readonly resource: Service }>();
  /** As of when workloads were last asked, and those that were. */
  #undeclared: readonly Service[] = [];
  #asked = new WeakSet<Workload>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param workloads  the first that has found it out has the word: whoever comes later is told, and does not ask */
  with(resources: readonly Resource[], workloads: readonly Workload[]): readonly Resource[] {
    const services = resources.filter((one): one is Service => one.kind === 'Service');
    const undeclared = services.filter(({ spec }) => spec.ports.some(isUndeclared));
    this.#forget(undeclared);
    this.#ask(undeclared, services, workloads);
    if (this.#known.size === 0) return resources;
    const filled = new Map(undeclared.map((service) => [service, this.#filledIn(service)]));
    return resources.map((one) => (one.kind === 'Service' ? (filled.get(one) ?? one) : one));
  }

  /** Ports that are gone, or were declared. */
  #forget(undeclared: readonly Service[]): void {
    if (this.#known.size === 0) return;
    const keys = new Set(undeclared.flatMap(undeclaredPorts).map(({ key }) => key));
    for (const key of this.#known.keys()) if (!keys.has(key)) this.#known.delete(key);
  }

  /** Each workload once: there are tens of thousands, and each compile comes by here. */
  #ask(undeclared: readonly Service[], services: readonly Service[], workloads: readonly Workload[]): void {
    const before = this.#undeclared;
    if (undeclared.length !== before.length || undeclared.some((service, i) => service !== before[i])) {
      this.#asked = new WeakSet();
    }
    this.#undeclared = undeclared;
    if (undeclared.length === 0) return;
    const told = workloads.filter((one) => one.spec.protocols !== undefined && !this.#asked.has(one));
    if (told.length === 0) return;
    const byKey = new Map(undeclared.map((service) => [keyOf(service), service]));
    const selecting = Map.groupBy(services.filter(hasSelector), ({ metadata }) => metadata.namespace);
    for (const workload of told) {
      this.#asked.add(workload);
      this.#hear(workload, byKey, selecting);
    }
  }

  #hear(workload: Workload, undeclared: ReadonlyMap<string, Service>, selecting: SelectingServices): void {
    for (const service of servicesOf(workload, selecting).flatMap((key) => undeclared.get(key) ?? [])) {
      for (const { key, port } of undeclaredPorts(service)) {
        const speech = saidBy(workload, port, service);
        if (speech === undefined || !isMore(speech, this.#known.get(key))) continue;
        this.#known.set(key, speech);
        this.#log.info(`Port ${port.port} of ${describe(service)} was found to speak ${speech}`, {
          service: keyOf(service),
          port: port.port,
          speech,
          by: workload.metadata.name,
        });
      }
    }
  }

  /** The same object as long as nothing changed. */
  #filledIn(service: Service): Service {
    const ports = service.spec.ports.map((port): ServicePort => {
      const learned = isUndeclared(port) ? this.#known.get(portKeyOf(service, port)) : undefined;
      return learned === undefined ? port : { ...port, learned };
    });
    const said = ports.map(({ learned = '' }) => learned).join();
    const before = this.#filled.get(service);
    if (before?.said === said) return before.resource;
    const resource = { ...service, spec: { ...service.spec, ports } };
    this.#filled.set(service, { said, resource });
    return resource;
  }
}

/** An answer is more than none. So all control planes come to the same, in whatever order they hear of two that asked at once. */
function isMore(speech: LearnedSpeech, known: LearnedSpeech | undefined): boolean {
  return known === undefined || SPEECHES.indexOf(speech) < SPEECHES.indexOf(known);
}

const SPEECHES: readonly LearnedSpeech[] = ['http', 'h2c', 'tcp'];

function undeclaredPorts(service: Service): { readonly key: string; readonly port: ServicePort }[] {
  return service.spec.ports.filter(isUndeclared).map((port) => ({ key: portKeyOf(service, port), port }));
}
