/**
 * The check that a proxy makes before it takes a plan: every name resolves and
 * nothing is empty that must not be. A defect here is a bug of the compiler or a
 * damaged file, never a mistake of an operator; the plan is then refused whole.
 */
import { portKey } from './key.ts';
import {
  OWN_IDENTITY,
  type PlanAttachment,
  type PlanBundle,
  type PlanCluster,
  type PlanListener,
  type PlanPort,
  type PlanRoute,
  type PlanRule,
  type PlanSecretRef,
  type PlanStream,
} from './plan.ts';
import { hashSecret, versionOf } from './version.ts';

/** Enough to see what is wrong; a broken plan may have thousands. */
export const DEFECTS_MAX = 10;

/** The first defects of a bundle, at most {@link DEFECTS_MAX}; none means that it can be applied. */
export function checkPlan(bundle: PlanBundle): string[] {
  const defects: string[] = [];
  for (const defect of defectsOf(bundle)) {
    defects.push(defect);
    if (defects.length === DEFECTS_MAX) break;
  }
  return defects;
}

function* defectsOf(bundle: PlanBundle): Generator<string> {
  const { plan } = bundle;
  for (const [name, port] of Object.entries(plan.ports)) {
    if (name !== portKey(port.address, port.port, port.protocol === 'udp' ? 'udp' : 'tcp'))
      yield `Port "${name}" is named differently from its address`;
  }
  for (const [name, listener] of Object.entries(plan.listeners)) yield* listenerDefects(name, listener, bundle);
  for (const [name, route] of Object.entries(plan.routes)) yield* routeDefects(name, route, bundle);
  for (const [name, stream] of Object.entries(plan.streams)) yield* streamDefects(name, stream, bundle);
  for (const [name, cluster] of Object.entries(plan.clusters)) yield* clusterDefects(name, cluster, bundle);
  const version = versionOf(plan);
  if (version !== plan.version) yield `Version is "${plan.version}", but the parts hash to "${version}"`;
}

function* listenerDefects(name: string, listener: PlanListener, { plan, secrets }: PlanBundle): Generator<string> {
  const port = plan.ports[listener.port];
  if (port === undefined) {
    yield `Listener "${name}" names port "${listener.port}", which is not in the plan`;
    return;
  }
  if (!fits(listener, port)) {
    yield `Listener "${name}" does not fit protocol "${port.protocol}" of port "${listener.port}"`;
  }
  if (!choosable(listener, port)) {
    yield `Listener "${name}" is chosen by ${listener.chosenBy ?? 'host'} on port "${listener.port}" of protocol "${port.protocol}"`;
  }
  if (listener.tls?.certificates.length === 0 && listener.tls.acme === undefined)
    yield `Listener "${name}" has no certificate`;
  const { certificates = [], acme } = listener.tls ?? {};
  const refs = acme?.challenge === undefined ? certificates : [...certificates, acme.challenge];
  for (const ref of refs) yield* secretDefects(`Listener "${name}"`, ref, secrets);
}

/** Whether connections that begin like this can be for the listener. */
function fits({ tls, stream }: PlanListener, { protocol }: PlanPort): boolean {
  if (protocol === 'proxy') return tls === undefined && (stream === undefined || stream.kind === 'tcp');
  if (stream?.kind === 'tcp' || stream?.kind === 'udp') return protocol === stream.kind && tls === undefined;
  if (stream?.kind === 'tls') return protocol === 'tls';
  return protocol === (tls === undefined ? 'http' : 'tls');
}

/** Whether its port knows what the listener is chosen by. */
function choosable({ chosenBy }: PlanListener, { protocol }: PlanPort): boolean {
  if (protocol === 'proxy' || chosenBy === 'authority') return protocol === 'proxy' && chosenBy === 'authority';
  return chosenBy !== 'server-name' || protocol === 'tls';
}

function* routeDefects(name: string, route: PlanRoute, { plan }: PlanBundle): Generator<string> {
  yield* attachDefects(name, route.attach, plan);
  for (const rule of route.rules) yield* ruleDefects(rule, plan.clusters);
}

function* streamDefects(name: string, { attach, backends }: PlanStream, { plan }: PlanBundle): Generator<string> {
  yield* attachDefects(name, attach, plan);
  for (const backend of backends) {
    if (!(backend.weight >= 0)) yield `Route "${name}" has a backend of weight ${backend.weight}`;
    if ('cluster' in backend && plan.clusters[backend.cluster] === undefined) {
      yield `Route "${name}" names cluster "${backend.cluster}", which is not in the plan`;
    }
  }
}

function* attachDefects(
  name: string,
  attach: readonly PlanAttachment[],
  { listeners }: PlanBundle['plan'],
): Generator<string> {
  for (const { listener, hosts } of attach) {
    if (listeners[listener] === undefined) {
      yield `Route "${name}" names listener "${listener}", which is not in the plan`;
    }
    if (hosts.length === 0) yield `Route "${name}" is attached to listener "${listener}" without a host`;
  }
}

function* ruleDefects(rule: PlanRule, clusters: Readonly<Record<string, PlanCluster>>): Generator<string> {
  if (rule.matches.length === 0) yield `Rule "${rule.name}" has no match`;
  for (const { target, weight } of rule.backends) {
    if (!(weight >= 0)) yield `Rule "${rule.name}" has a backend of weight ${weight}`;
    if (target.kind === 'cluster' && clusters[target.cluster] === undefined) {
      yield `Rule "${rule.name}" names cluster "${target.cluster}", which is not in the plan`;
    }
  }
  for (const { cluster } of rule.mirrors) {
    if (clusters[cluster] === undefined)
      yield `Rule "${rule.name}" mirrors to cluster "${cluster}", which is not in the plan`;
  }
}

function* clusterDefects(name: string, { tls }: PlanCluster, { secrets }: PlanBundle): Generator<string> {
  if (tls?.clientCertificate !== undefined) yield* secretDefects(`Cluster "${name}"`, tls.clientCertificate, secrets);
}

function* secretDefects(
  owner: string,
  { secret, hash }: PlanSecretRef,
  secrets: PlanBundle['secrets'],
): Generator<string> {
  // It never travels: the proxy puts its own key pair there.
  if (secret === OWN_IDENTITY) return;
  const value = secrets[secret];
  if (value === undefined) yield `${owner} names secret "${secret}", which did not come with the plan`;
  else if (hashSecret(value) !== hash) yield `${owner} names secret "${secret}" with a hash that is not its own`;
}
