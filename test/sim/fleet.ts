/** What a simulated mesh is made of, by its seed: services, endpoints that no proxy of ours stands before, and who calls whom. */
import { seededRandom, type Random } from '../../src/base/random.ts';
import { readManifests } from '../../src/resource/read.ts';
import type { Resource, Service, Workload } from '../../src/resource/resource.ts';
import type { ProxyPlace } from './sim-proxy.ts';

export interface FleetSize {
  readonly seed: number;
  readonly proxies: number;
  readonly services: number;
  /** With those of the proxies. */
  readonly endpoints: number;
  /** Services that a proxy calls. */
  readonly uses: number;
}

const NAMESPACE = 'shop';

const MESH = `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { mtls: strict }
`;

/** One service is called by most, most by few: the number of the service grows with this power of a random number. */
const SKEW = 3;

export class Fleet {
  readonly size: FleetSize;
  readonly places: readonly ProxyPlace[];
  readonly services: readonly Service[];
  readonly #mesh: readonly Resource[];
  /** Endpoints that stand in files. */
  #workloads: readonly Workload[];
  #resources: readonly Resource[] | undefined;

  constructor(size: FleetSize) {
    this.size = size;
    const random = randomOf(size.seed, 'fleet');
    this.#mesh = resourcesIn(MESH);
    const [first] = resourcesIn(serviceText(0)) as Service[];
    this.services = Array.from({ length: size.services }, (_, i) => ({
      ...first!,
      metadata: { ...first!.metadata, name: `s${i}` },
    }));
    this.places = Array.from({ length: size.proxies }, (_, i) => this.#place(i, random));
    const [workload] = resourcesIn(WORKLOAD) as Workload[];
    const others = Math.max(0, size.endpoints - size.proxies);
    this.#workloads = Array.from({ length: others }, (_, i) => this.#endpoint(workload!, i));
  }

  get resources(): readonly Resource[] {
    return (this.#resources ??= [...this.#mesh, ...this.services, ...this.#workloads]);
  }

  /** One endpoint in the files of a service that somebody calls comes, or goes. */
  toggleEndpoint(service: string, how: 'comes' | 'goes'): void {
    const at = this.#workloads.findIndex(({ spec }) => spec.service === service);
    const [workload] = resourcesIn(WORKLOAD) as Workload[];
    if (how === 'goes' && at !== -1) this.#workloads = this.#workloads.toSpliced(at, 1);
    else
      this.#workloads = [...this.#workloads, this.#endpoint(workload!, this.size.endpoints + this.#extra++, service)];
    this.#resources = undefined;
  }

  #extra = 0;

  #place(i: number, random: Random): ProxyPlace {
    const { services, uses } = this.size;
    const called = new Set<string>();
    while (called.size < Math.min(uses, services)) {
      called.add(`s${Math.floor(random.unit() ** SKEW * services)}.${NAMESPACE}`);
    }
    return { i, namespace: NAMESPACE, service: `s${i % services}`, address: addressOf(10, i), uses: [...called] };
  }

  #endpoint(template: Workload, i: number, service = `s${i % this.size.services}`): Workload {
    return {
      ...template,
      metadata: { ...template.metadata, name: `e${i}` },
      spec: { ...template.spec, service, address: addressOf(11, i) },
    };
  }
}

/** Streams of random numbers for different things do not disturb each other. */
export function randomOf(seed: number, what: string): Random {
  let hash = 2_166_136_261;
  for (const letter of `${seed} ${what}`) hash = Math.imul(hash ^ letter.codePointAt(0)!, 16_777_619);
  return seededRandom(hash, seed | 1, hash ^ 0x9e37_79b9, 1);
}

function addressOf(net: number, i: number): string {
  return `${net}.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
}

function resourcesIn(text: string): Resource[] {
  return readManifests(text, 'sim.yaml').documents.flatMap(({ resource }) => resource ?? []);
}

const serviceText = (i: number): string => `
apiVersion: v1
kind: Service
metadata: { name: s${i}, namespace: ${NAMESPACE} }
spec: { ports: [{ name: http, port: 80 }] }
`;

const WORKLOAD = `
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: e, namespace: ${NAMESPACE} }
spec: { service: s0, address: 11.0.0.0, ports: { http: 8080 }, proxyPort: 15008 }
`;
