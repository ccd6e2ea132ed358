/**
 * Puts the proxy's own certificate where a plan names it. The control plane names it and never has it: the private key
 * is made here and stays here. What comes of it is the plan of this proxy, with a version of its own.
 */
import type { PlanBundle, PlanCluster, PlanKeyPair, PlanListener, PlanSecretRef } from '../ir/plan.ts';
import { hashSecret, versionOf } from '../ir/version.ts';

/** How plans name the certificate of the proxy that they are for. */
export const OWN_CERTIFICATE = 'Identity/self';

export class OwnCertificate {
  readonly #pair: PlanKeyPair;
  readonly #ref: PlanSecretRef;
  /** Parts that name the certificate, as they were before by what they became: the same objects as long as both stay. */
  readonly #listeners = new WeakMap<PlanListener, PlanListener>();
  readonly #clusters = new WeakMap<PlanCluster, PlanCluster>();

  constructor(pair: PlanKeyPair) {
    this.#pair = pair;
    this.#ref = { secret: OWN_CERTIFICATE, hash: hashSecret(pair) };
  }

  /** @returns the same object when nothing of it names the certificate */
  putInto({ plan, secrets }: PlanBundle): PlanBundle {
    const listeners = changed(plan.listeners, (listener) => this.#listener(listener));
    const clusters = changed(plan.clusters, (cluster) => this.#cluster(cluster));
    if (listeners === plan.listeners && clusters === plan.clusters) return { plan, secrets };
    const parts = { ports: plan.ports, listeners, routes: plan.routes, streams: plan.streams, clusters };
    return {
      plan: { version: versionOf(parts), origin: plan.origin ?? plan.version, ...parts },
      secrets: { ...secrets, [OWN_CERTIFICATE]: this.#pair },
    };
  }

  #listener(listener: PlanListener): PlanListener {
    const { tls } = listener;
    if (tls === undefined || !tls.certificates.some(isOwn)) return listener;
    let localised = this.#listeners.get(listener);
    if (localised === undefined) {
      const certificates = tls.certificates.map((ref) => (isOwn(ref) ? this.#ref : ref));
      this.#listeners.set(listener, (localised = { ...listener, tls: { ...tls, certificates } }));
    }
    return localised;
  }

  #cluster(cluster: PlanCluster): PlanCluster {
    const { tls } = cluster;
    if (tls?.clientCertificate === undefined || !isOwn(tls.clientCertificate)) return cluster;
    let localised = this.#clusters.get(cluster);
    if (localised === undefined) {
      this.#clusters.set(cluster, (localised = { ...cluster, tls: { ...tls, clientCertificate: this.#ref } }));
    }
    return localised;
  }
}

function isOwn({ secret }: PlanSecretRef): boolean {
  return secret === OWN_CERTIFICATE;
}

/** The same object when no part became another. */
function changed<T>(parts: Readonly<Record<string, T>>, change: (part: T) => T): Readonly<Record<string, T>> {
  let result: Record<string, T> | undefined;
  for (const name of Object.keys(parts)) {
    const was = parts[name]!;
    const is = change(was);
    if (is !== was) (result ??= { ...parts })[name] = is;
  }
  return result ?? parts;
}
