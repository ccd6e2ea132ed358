/**
 * Endpoints that others know: of each Backend that names a service of Consul. Its resource is given on with the instances
 * in it, as if they had been written there, so that nothing behind has to know where they came from.
 */
import type { Clock } from '../base/clock.ts';
import type { Problem } from '../base/problem.ts';
import type { Random } from '../base/random.ts';
import { readCaBundle } from '../compile/certificate.ts';
import { error, problemOf, warning } from '../compile/finding.ts';
import { type Backend, keyOf, type Resource, resourceKey } from '../resource/resource.ts';
import { type CatalogInstance, type CatalogService, CatalogWatch } from './consul-catalog.ts';

export interface DiscoveredOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Instances came or went, or there is another problem: once for all changes of one moment. */
  readonly onChange: () => void;
}

const GATHER_MS = 10;

/** A first plan is not held up for longer by an agent that does not answer. */
const FIRST_MS_MAX = 1_000;

interface Entry {
  /** What is asked, with the token: never shown. */
  readonly text: string;
  /** As it was given last. */
  backend: Backend;
  readonly watch: CatalogWatch;
  /** The resource that was given on last, and what it was made of. */
  made?: { readonly backend: Backend; readonly instances: readonly CatalogInstance[]; readonly resource: Backend };
}

export class Discovered {
  readonly #options: DiscoveredOptions;
  readonly #entries = new Map<string, Entry>();
  #cancelTelling: (() => void) | undefined;

  constructor(options: DiscoveredOptions) {
    this.#options = options;
  }

  /** With what is known now. Watches what these resources name, and nothing else any more. */
  with(resources: readonly Resource[]): readonly Resource[] {
    const wanted = resources.filter((one): one is Backend => one.kind === 'Backend' && one.spec.consul !== undefined);
    if (wanted.length === 0 && this.#entries.size === 0) return resources;
    this.#watch(wanted, resources);
    return resources.map((one) => (one.kind === 'Backend' && one.spec.consul !== undefined ? this.#filled(one) : one));
  }

  /** Of those whose catalog does not say all that was asked. */
  problems(): Problem[] {
    return [...this.#entries.values()].flatMap(({ backend, watch }) => {
      const { failure, instances } = watch.state;
      if (failure === undefined) return [];
      const { address, service } = backend.spec.consul!;
      const level = instances === undefined ? error : warning;
      const kept = instances === undefined ? 'none is known' : `${instances.length} are used, those that it named last`;
      const message = `Instances of "${service}" are not known from Consul at ${address}: ${failure}; ${kept}`;
      return problemOf(level('backend.consul', backend, { field: '/spec/consul', message }), () => undefined);
    });
  }

  /** Resolves when every watch was answered or refused once, for at most a second. */
  async first(): Promise<void> {
    const answers = Promise.all([...this.#entries.values()].map(({ watch }) => watch.answered));
    let cancel: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (cancel = this.#options.clock.after(FIRST_MS_MAX, resolve)));
    await Promise.race([answers, late]);
    cancel();
  }

  close(): void {
    this.#cancelTelling?.();
    for (const { watch } of this.#entries.values()) watch.stop();
    this.#entries.clear();
  }

  #watch(backends: readonly Backend[], resources: readonly Resource[]): void {
    const gone = new Set(this.#entries.keys());
    for (const backend of backends) {
      const key = keyOf(backend);
      gone.delete(key);
      const service = serviceOf(backend, resources);
      const before = this.#entries.get(key);
      if (service === undefined) {
        before?.watch.stop();
        this.#entries.delete(key);
        continue;
      }
      const text = JSON.stringify(service);
      if (before?.text === text) {
        before.backend = backend;
        continue;
      }
      before?.watch.stop();
      // Of another token, not of another service: then what is known stays until there is an answer.
      const kept = before !== undefined && isSameService(before.text, service) ? before.watch.state : undefined;
      const watch = new CatalogWatch(service, { ...this.#options, onChange: () => this.#changed() }, kept);
      this.#entries.set(key, { text, backend, watch });
      watch.start();
    }
    for (const key of gone) {
      this.#entries.get(key)?.watch.stop();
      this.#entries.delete(key);
    }
  }

  /** The same object as long as nothing changed. */
  #filled(backend: Backend): Backend {
    const entry = this.#entries.get(keyOf(backend));
    const instances = entry?.watch.state.instances;
    if (entry === undefined || instances === undefined) return backend;
    if (entry.made?.backend === backend && entry.made.instances === instances) return entry.made.resource;
    const resource: Backend = { ...backend, spec: { ...backend.spec, endpoints: [...instances] } };
    entry.made = { backend, instances, resource };
    return resource;
  }

  #changed(): void {
    this.#cancelTelling ??= this.#options.clock.after(GATHER_MS, () => {
      this.#cancelTelling = undefined;
      this.#options.onChange();
    });
  }
}

/** What the Backend asks for; undefined where a reference leads nowhere, which the compiler says. */
function serviceOf({ spec, metadata }: Backend, resources: readonly Resource[]): CatalogService | undefined {
  const { address, service, datacenter, namespace, tags, tokenRef, caCertificateRefs } = spec.consul!;
  const find = (kind: string, name: string): Resource | undefined => {
    const key = resourceKey(kind, metadata.namespace, name);
    return resources.find((one) => one.kind === kind && keyOf(one) === key);
  };
  const secret = tokenRef === undefined ? undefined : find('Secret', tokenRef.name);
  const token = secret?.kind === 'Secret' ? secret.data.get(tokenRef!.key)?.trim() : undefined;
  if (tokenRef !== undefined && token === undefined) return undefined;
  const cas = caCertificateRefs.flatMap(({ kind, name }) => {
    const found = find(kind, name);
    const text =
      found?.kind === 'Secret'
        ? found.data.get('ca.crt')
        : found?.kind === 'ConfigMap'
          ? found.data['ca.crt']
          : undefined;
    const bundle = readCaBundle(text ?? '');
    return 'flaw' in bundle ? [] : [bundle.pem];
  });
  // The token must not go to whom the operator did not mean.
  if (cas.length < caCertificateRefs.length) return undefined;
  return { address, service, datacenter, namespace, tags, token, cas };
}

function isSameService(text: string, { address, service, datacenter, namespace, tags }: CatalogService): boolean {
  const before = JSON.parse(text) as CatalogService;
  return (
    before.address === address &&
    before.service === service &&
    before.datacenter === datacenter &&
    before.namespace === namespace &&
    before.tags.join('\n') === tags.join('\n')
  );
}
