/**
 * The plan of a proxy that serves some of the Gateways only: those of their parts that it needs, and no secret of others.
 * All proxies that serve the same Gateways share one.
 */
import type { PlanBundle, PlanCluster, PlanRoute, PlanSecret, PlanStream } from '../ir/plan.ts';
import { type PlanParts, versionOf } from '../ir/version.ts';
import { keyOf } from '../resource/resource.ts';
import type { Found } from './found.ts';
import { listenerKey } from './gateway-pass.ts';
import { gatewayOf, serversOf } from './gateways.ts';

/** Good until the next compile. */
export interface CompiledGateways {
  /** Another one when plans of gateways may be others than before. */
  readonly number: number;
  /** @param key  `Gateway/shop/edge`; false also for one that does not exist */
  mayServe(key: string, who: { readonly namespace: string; readonly account: string }): boolean;
  /** @param keys  of Gateways, sorted. The same object as before when nothing of it changed. */
  planOf(keys: readonly string[]): PlanBundle;
}

/** What routes may name: no other string in them means a cluster or a secret. */
interface Names {
  readonly clusters: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
}

/** Keeps what the next compile can give again. */
export class GatewayPlans {
  #before = new Map<string, PlanBundle>();
  #number = 0;
  #bundle: PlanBundle | undefined;
  #grants = '';

  of(found: Found, bundle: PlanBundle): CompiledGateways {
    const before = this.#before;
    const now = new Map<string, PlanBundle>();
    this.#before = now;
    let cutter: PlanCutter | undefined;
    const gateways = new Map(found.gateways.gateways.map((base) => [keyOf(base.gateway), base]));
    const grants = JSON.stringify(found.gateways.gateways.map(({ gateway }) => [keyOf(gateway), serversOf(gateway)]));
    if (bundle !== this.#bundle || grants !== this.#grants) this.#number++;
    this.#bundle = bundle;
    this.#grants = grants;
    return {
      number: this.#number,
      mayServe(key, { namespace, account }) {
        const base = gateways.get(key);
        if (base === undefined) return false;
        return serversOf(base.gateway).some((one) => one.namespace === namespace && one.account === account);
      },
      planOf(keys) {
        const name = keys.join(' ');
        const known = now.get(name);
        if (known !== undefined) return known;
        cutter ??= new PlanCutter(found, bundle);
        const fresh = cutter.cut(new Set(keys));
        const was = before.get(name);
        // Parts name secrets by hash, so equal parts have equal secrets.
        const plan = was?.plan.version === fresh.plan.version ? was : fresh;
        now.set(name, plan);
        return plan;
      },
    };
  }
}

class PlanCutter {
  readonly #bundle: PlanBundle;
  readonly #found: Found;
  /** Key of the Gateway by key of the listener. */
  readonly #owners = new Map<string, string>();
  /** By key of the route in the plan. */
  readonly #names = new Map<string, Names>();

  constructor(found: Found, bundle: PlanBundle) {
    this.#bundle = bundle;
    this.#found = found;
    for (const base of [...found.gateways.gateways, ...found.gateways.sets]) {
      const { gateway, addresses } = gatewayOf(base);
      for (const listener of base.listeners) {
        for (const [i, address] of addresses.entries()) {
          this.#owners.set(listenerKey(listener, address, i), keyOf(gateway));
        }
      }
    }
    for (const { parts, needs, values } of found.routes) this.#addNames(parts, needs, values.keys());
    for (const { parts, needs } of [...found.streams, ...found.passages]) this.#addNames(parts, needs, []);
  }

  cut(gateways: ReadonlySet<string>): PlanBundle {
    const { plan, secrets } = this.#bundle;
    const ours = new Set(Object.keys(plan.listeners).filter((key) => gateways.has(this.#owners.get(key) ?? '')));
    const listeners = pick(plan.listeners, ours);
    const ports = pick(plan.ports, new Set(Object.values(listeners).map(({ port }) => port)));
    const routes = cutRoutes(plan.routes, ours);
    const streams = cutRoutes(plan.streams, ours);
    const named = this.#namedIn({ ...routes, ...streams });
    const clusters = pick(plan.clusters, named.clusters);
    const wanted = new Set([...named.secrets, ...secretsOf(listeners)]);
    for (const key of Object.keys(clusters)) {
      for (const { ref } of this.#found.clusters.get(key)?.secrets ?? []) wanted.add(ref.secret);
    }
    const parts: PlanParts = { ports, listeners, routes, streams, clusters };
    return { plan: { version: versionOf(parts), ...parts }, secrets: pick<PlanSecret>(secrets, wanted) };
  }

  #addNames(
    parts: readonly (readonly [key: string, part: unknown])[],
    needs: Found['routes'][number]['needs'],
    values: Iterable<string>,
  ): void {
    const names = { clusters: new Set(needs.map(({ key }) => key)), secrets: new Set(values) };
    for (const [key] of parts) this.#names.set(key, names);
  }

  /** Of what a route needs in all, that which the parts that are left do name: it may have others for other Gateways. */
  #namedIn(routes: Readonly<Record<string, PlanRoute | PlanStream>>): Names {
    const clusters = new Set<string>();
    const secrets = new Set<string>();
    for (const [key, route] of Object.entries(routes)) {
      const names = this.#names.get(key);
      if (names === undefined) continue;
      for (const text of textsIn(route)) {
        if (names.clusters.has(text)) clusters.add(text);
        if (names.secrets.has(text)) secrets.add(text);
      }
    }
    return { clusters, secrets };
  }
}

function cutRoutes<T extends PlanRoute | PlanStream>(
  routes: Readonly<Record<string, T>>,
  listeners: ReadonlySet<string>,
): Record<string, T> {
  const left: Record<string, T> = {};
  for (const [key, route] of Object.entries(routes)) {
    const attach = route.attach.filter(({ listener }) => listeners.has(listener));
    if (attach.length > 0) left[key] = attach.length === route.attach.length ? route : { ...route, attach };
  }
  return left;
}

function* secretsOf(listeners: PlanBundle['plan']['listeners']): Generator<string> {
  for (const { tls } of Object.values(listeners)) {
    for (const { secret } of tls?.certificates ?? []) yield secret;
    const challenge = tls?.acme?.challenge;
    if (challenge !== undefined) yield challenge.secret;
  }
}

/** Routes are walked once, however many proxies have them and however often something else changes. */
const textsOf = new WeakMap<object, ReadonlySet<string>>();

function textsIn(route: PlanRoute | PlanStream): ReadonlySet<string> {
  let texts = textsOf.get(route);
  if (texts === undefined) textsOf.set(route, (texts = new Set(walk(route))));
  return texts;
}

function* walk(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) yield* walk(one);
}

function pick<T extends PlanParts[keyof PlanParts][string] | PlanCluster | PlanSecret>(
  all: Readonly<Record<string, T>>,
  keys: ReadonlySet<string>,
): Record<string, T> {
  return Object.fromEntries(Object.entries(all).filter(([key]) => keys.has(key)));
}
