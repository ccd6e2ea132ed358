/**
 * Attachment: which listeners a route is served by. A route asks with its
 * parentRefs, a listener allows with its kinds, namespaces and hostname.
 *
 * A Service as a parent is one whose clients, sidecars all of them, follow the
 * route. Its listeners are its ports; whoever may write a route may attach it,
 * because it concerns clients only (GEP-1294): those of all namespaces when it
 * stands beside the Service, else those of its own.
 */
import { nearest } from '../base/problem.ts';
import { GATEWAY_GROUP } from '../resource/fields.ts';
import { describeKey, type GRPCRoute, type HTTPRoute, resourceKey, type StreamRoute } from '../resource/resource.ts';
import { error, type Finding, warning } from './finding.ts';
import type { ListenerView, ParentView } from './gateways.ts';
import { hostsOn } from './hostname.ts';
import type { Reason } from './listener.ts';
import { letsIn } from './namespace.ts';
import { brokenAt, missing, type Reference } from './reference.ts';
import { settled } from './settled.ts';
import { type Look, lookUp } from './tables.ts';

export type AnyRoute = HTTPRoute | GRPCRoute | StreamRoute;

/** A parentRef with its defaults, as it is repeated in the status. */
export interface ParentRef extends Reference {
  readonly sectionName?: string;
  readonly port?: number;
}

export interface Attachment {
  readonly parent: ParentView;
  readonly listener: ListenerView;
  /** Intersection of the names of route and listener. */
  readonly hosts: readonly string[];
}

/** What became of one parentRef to a parent of ours. */
export interface ParentOutcome {
  readonly ref: ParentRef;
  readonly parent: ParentView;
  readonly notAccepted?: Reason;
  readonly attachments: readonly Attachment[];
}

export interface Attached {
  readonly outcomes: readonly ParentOutcome[];
  readonly findings: readonly Finding[];
}

/** Undefined for what has no routes. */
function parentKind({ group, kind }: ParentRef): 'Gateway' | 'ListenerSet' | 'Service' | undefined {
  if (group === '') return kind === 'Service' ? kind : undefined;
  if (group !== GATEWAY_GROUP) return undefined;
  return kind === 'Gateway' || kind === 'ListenerSet' ? kind : undefined;
}

const ANY_HOST: readonly string[] = ['*'];

/** Listeners that a hint names: more would not be read. */
const NAMED_MAX = 3;

export function attachRoute(route: AnyRoute, look: Look): Attached {
  const outcomes: ParentOutcome[] = [];
  const findings: Finding[] = [];
  for (const { ref, field } of refsOf(route, look)) {
    const kind = parentKind(ref);
    if (kind === undefined) {
      const message =
        ref.kind === 'Service'
          ? `Kind "Service" is not of group "${ref.group}": write group: ""`
          : `Routes cannot be attached to kind "${ref.kind}": use a Gateway, a ListenerSet or a Service`;
      findings.push(error('reference.kind', route, { field, message }));
      continue;
    }
    const key = resourceKey(kind, ref.namespace, ref.name);
    const parent = look(kind === 'Service' ? 'serviceParents' : 'parents', key);
    if (parent !== undefined) outcomes.push(attachTo(route, { ref, parent }, look));
    // A Gateway of another controller is not ours to speak of.
    else if (lookUp(look, kind, ref) === undefined) findings.push(brokenAt(route, field, missing(ref, '')));
  }
  return {
    outcomes: settled(outcomes),
    findings: settled([...findings, ...outcomes.flatMap((outcome) => outcomeFindings(route, outcome))]),
  };
}

/** The parentRefs of a route, and the Gateways that take it unasked (`useDefaultGateways`, GEP-3793). */
function refsOf(route: AnyRoute, look: Look): { ref: ParentRef; field: string }[] {
  const { namespace } = route.metadata;
  const refs = route.spec.parentRefs.map((ref, i) => ({
    ref: { ...ref, namespace: ref.namespace ?? namespace },
    field: `/spec/parentRefs/${i}`,
  }));
  if (route.spec.useDefaultGateways !== 'All') return refs;
  const named = new Set(refs.map(({ ref }) => resourceKey(ref.kind, ref.namespace, ref.name)));
  for (const { metadata } of look('defaultGateways', 'All') ?? []) {
    if (named.has(resourceKey('Gateway', metadata.namespace, metadata.name))) continue;
    const ref = { group: GATEWAY_GROUP, kind: 'Gateway', namespace: metadata.namespace, name: metadata.name };
    refs.push({ ref, field: '/spec/useDefaultGateways' });
  }
  return refs;
}

function attachTo(
  route: AnyRoute,
  { ref, parent }: { readonly ref: ParentRef; readonly parent: ParentView },
  look: Look,
): ParentOutcome {
  const refuse = (reason: string, message: string): ParentOutcome => {
    return { ref, parent, attachments: [], notAccepted: { reason, message } };
  };
  const named = parent.listeners.filter(
    ({ name, port }) => (ref.sectionName ?? name) === name && (ref.port ?? port) === port,
  );
  if (named.length === 0) return refuse('NoMatchingParent', noListener(ref, parent));

  const pair = { owner: parent.namespace, guest: route.metadata.namespace };
  const ofKind = named.filter(({ kinds }) => kinds.includes(route.kind));
  if (ofKind.length === 0) {
    return refuse('NotAllowedByListeners', noneOfKind(route.kind, { ref, parent }));
  }
  const allowing = ofKind.filter(({ namespaces }) => letsIn(namespaces, pair, look));
  if (allowing.length === 0) {
    const message = `${describeKey(parent.key)} lets in no routes of namespace "${pair.guest}": its owner must allow them in allowedRoutes`;
    return refuse('NotAllowedByListeners', message);
  }
  const attachments = allowing.flatMap((listener): Attachment[] => {
    // Clients of a Service are told apart by where they connect to, not by what they call it (GEP-1294).
    const hosts = parent.isService ? ANY_HOST : hostsOn(listener.hostname, hostnamesOf(route));
    return hosts.length === 0 ? [] : [{ parent, listener, hosts }];
  });
  if (attachments.length === 0) {
    const hosts = allowing.map(({ hostname }) => hostname).join(', ');
    const message = `No hostname of the route (${hostnamesOf(route).join(', ')}) fits a listener of ${describeKey(parent.key)} (${hosts})`;
    return refuse('NoMatchingListenerHostname', message);
  }
  return { ref, parent, attachments };
}

/** Connections of TCP and datagrams name no host. */
function hostnamesOf({ spec }: AnyRoute): readonly string[] {
  return 'hostnames' in spec ? spec.hostnames : [];
}

function noListener(ref: ParentRef, { key, listeners, isService }: ParentView): string {
  if (isService) {
    const ports = listeners.map(({ name, port }) => (name === String(port) ? name : `${port} "${name}"`));
    const has = ports.length === 0 ? 'it has none' : `it has ${ports.join(', ')}`;
    return `${describeKey(key)} has no port ${wantedPort(ref)}: ${has}`;
  }
  if (listeners.length === 0) return `${describeKey(key)} has no listener that is let in`;
  const names = listeners.map(({ name }) => name);
  const near = ref.sectionName === undefined ? undefined : nearest(ref.sectionName, names);
  const hint = near === undefined || near === ref.sectionName ? '' : `: did you mean "${near}"`;
  return `${describeKey(key)} has no listener ${wanted(ref)}${hint}`;
}

/** Who names a listener is told about that one: another may well carry such routes. */
function noneOfKind(kind: string, { ref, parent }: { readonly ref: ParentRef; readonly parent: ParentView }): string {
  const owner = describeKey(parent.key);
  if (parent.isService) {
    const isAny = ref.sectionName === undefined && ref.port === undefined;
    const what = isAny ? `No port of ${owner} carries` : `Port ${wantedPort(ref)} of ${owner} does not carry`;
    return `${what} routes of kind ${kind}${hintFor(kind)}`;
  }
  if (ref.sectionName === undefined && ref.port === undefined)
    return `No listener of ${owner} carries routes of kind ${kind}`;
  const others = parent.listeners.filter(({ kinds }) => kinds.includes(kind)).map(({ name }) => `"${name}"`);
  const hint = others.length === 0 ? '' : `: listeners that do: ${others.slice(0, NAMED_MAX).join(', ')}`;
  return `The listener ${wanted(ref)} of ${owner} carries no routes of kind ${kind}${hint}`;
}

/** A port carries what it is said to speak. */
function hintFor(kind: string): string {
  if (kind === 'UDPRoute') return '';
  const speech = kind === 'HTTPRoute' || kind === 'GRPCRoute' ? 'http' : 'tcp';
  return `: set its appProtocol to "${speech}", or the defaultProtocol of the mesh`;
}

function wantedPort({ sectionName, port }: ParentRef): string {
  return [port, sectionName === undefined ? undefined : `"${sectionName}"`]
    .filter((part) => part !== undefined)
    .join(' ');
}

function wanted({ sectionName, port }: ParentRef): string {
  const name = sectionName === undefined ? undefined : `named "${sectionName}"`;
  const number = port === undefined ? undefined : `on port ${port}`;
  return [name, number].filter((part) => part !== undefined).join(' ');
}

function outcomeFindings(route: AnyRoute, { ref, parent, notAccepted, attachments }: ParentOutcome): Finding[] {
  const field = fieldOf(route, ref);
  const related = [parent.key];
  if (notAccepted !== undefined) {
    return [error('route.not-attached', route, { field, message: notAccepted.message, related })];
  }
  if (parent.isService) {
    if (hostnamesOf(route).length === 0 || route.spec.parentRefs.some(({ kind }) => kind !== 'Service')) return [];
    const message = 'Host names have no effect: clients of a Service follow the route whatever they call it';
    return [warning('route.no-effect', route, { field: '/spec/hostnames', message })];
  }
  if (attachments.some(({ listener }) => listener.keys.length > 0)) return [];
  const message = `The route is attached to ${describeKey(parent.key)}, none of whose listeners for it can be served`;
  return [warning('route.not-served', route, { field, message, related })];
}

function fieldOf({ spec }: AnyRoute, ref: ParentRef): string {
  const at = spec.parentRefs.findIndex(
    ({ kind, name, sectionName, port }) =>
      kind === ref.kind && name === ref.name && sectionName === ref.sectionName && port === ref.port,
  );
  return at < 0 ? '/spec/useDefaultGateways' : `/spec/parentRefs/${at}`;
}
