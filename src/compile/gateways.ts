/**
 * Gateways and ListenerSets: which are ours, what they bind, and what routes
 * see of them. The neighbours on a port are looked at in ports.ts.
 */
import { isIP } from 'node:net';
import { type AllowedRoutes } from '../resource/kinds/gateway.ts';
import { describe, type Gateway, type GatewayClass, keyOf, type ListenerSet } from '../resource/resource.ts';
import { error, type Finding } from './finding.ts';
import { type ListenerBase, readListener, type Reason } from './listener.ts';
import { letsIn } from './namespace.ts';
import type { AskedFilter } from './policies.ts';
import { brokenAt, resolveKeyPair, toReference } from './reference.ts';
import { type Look, lookUp } from './tables.ts';
import { nameSecret, type NamedSecret } from './secret.ts';

/** Address of a port that stands for the proxy's `--bind`. */
export const DEFAULT_ADDRESS = '*';

/** Name of the class that needs no GatewayClass where there is none at all. */
const IMPLIED_CLASS = 'fourways';

export interface GatewayBase {
  readonly gateway: Gateway;
  readonly notAccepted: Reason | undefined;
  /** Addresses to bind; {@link DEFAULT_ADDRESS} for the default. Never empty. */
  readonly addresses: readonly string[];
  readonly listeners: readonly ListenerBase[];
  /** Shown to backends of routes of this Gateway. */
  readonly clientCertificate: NamedSecret | undefined;
  readonly unresolved: Reason | undefined;
  readonly findings: readonly Finding[];
}

export interface SetBase {
  readonly set: ListenerSet;
  readonly gateway: GatewayBase;
  readonly notAccepted: Reason | undefined;
  /** Empty when the Gateway does not let the set in. */
  readonly listeners: readonly ListenerBase[];
  readonly findings: readonly Finding[];
}

/** The Gateway whose addresses the listeners are bound to. */
export function gatewayOf(base: GatewayBase | SetBase): GatewayBase {
  return 'set' in base ? base.gateway : base;
}

/** A listener as routes see it. */
export interface ListenerView {
  readonly name: string;
  readonly port: number;
  readonly hostname: string;
  /** Whether TLS is passed on unread. */
  readonly encrypted: boolean;
  readonly kinds: readonly string[];
  readonly namespaces: AllowedRoutes['namespaces'];
  /** Keys in the plan, one for each address; empty when the listener is not served. */
  readonly keys: readonly string[];
  readonly filters: readonly (readonly AskedFilter[])[];
  /** It takes workloads of the mesh and nobody else: who may connect can be asked below HTTP, too. */
  readonly isEgress: boolean;
}

/** A Gateway, ListenerSet or Service as routes see it; the same object as long as it looks the same to them. */
export interface ParentView {
  /** `Gateway/NS/NAME`, `ListenerSet/NS/NAME` or `Service/NS/NAME`. */
  readonly key: string;
  readonly namespace: string;
  /** Key of the Gateway itself; of a Service its own. */
  readonly gatewayKey: string;
  /** Its listeners are ports that sidecars send to: nothing of it is in the plan of a gateway. */
  readonly isService: boolean;
  readonly clientCertificate: NamedSecret | undefined;
  readonly listeners: readonly ListenerView[];
}

export interface GatewayInput {
  readonly gateway: Gateway;
  /** Undefined for the implied class. */
  readonly gatewayClass: GatewayClass | undefined;
  /** What an address is written as that means the default. */
  readonly bindDefault: string;
}

export function readGateway({ gateway, gatewayClass, bindDefault }: GatewayInput, look: Look): GatewayBase {
  const findings: Finding[] = [];
  const notAccepted = classFault(gatewayClass) ?? parametersFault(gateway, findings) ?? addressFault(gateway, findings);
  const client = readClientCertificate(gateway, { look, findings });
  return {
    gateway,
    notAccepted,
    addresses: addressesOf(gateway, bindDefault),
    listeners: gateway.spec.listeners.map((spec, index) =>
      readListener({ owner: gateway, gateway, spec, index }, look),
    ),
    clientCertificate: client.certificate,
    unresolved: client.unresolved,
    findings,
  };
}

/** Why a GatewayClass is not accepted. We have no parameters. */
export function classFault(gatewayClass: GatewayClass | undefined): Reason | undefined {
  const ref = gatewayClass?.spec.parametersRef;
  if (ref === undefined) return undefined;
  const message = `${describe(gatewayClass!)} has a parametersRef to ${ref.kind} "${ref.name}", and there are no parameters of that kind`;
  return { reason: 'InvalidParameters', message };
}

function parametersFault(gateway: Gateway, findings: Finding[]): Reason | undefined {
  const ref = gateway.spec.infrastructure?.parametersRef;
  if (ref === undefined) return undefined;
  const message = `Parameters of kind "${ref.kind}" are not known: leave infrastructure.parametersRef out`;
  findings.push(error('gateway.parameters', gateway, { field: '/spec/infrastructure/parametersRef', message }));
  return { reason: 'InvalidParameters', message };
}

function addressFault(gateway: Gateway, findings: Finding[]): Reason | undefined {
  let fault: Reason | undefined;
  for (const [i, { type, value = '' }] of gateway.spec.addresses.entries()) {
    const message =
      type !== 'IPAddress'
        ? `Addresses of type "${type}" cannot be bound: use IPAddress`
        : value !== '' && isIP(value) === 0
          ? `Expected an IP address, got "${value}"`
          : undefined;
    if (message === undefined) continue;
    findings.push(error('gateway.address', gateway, { field: `/spec/addresses/${i}`, message }));
    fault ??= { reason: 'UnsupportedAddress', message };
  }
  return fault;
}

/** IPv6 addresses can be written in several ways; the URL parser writes the shortest (RFC 5952). */
function addressesOf(gateway: Gateway, bindDefault: string): readonly string[] {
  const addresses = gateway.spec.addresses.map(({ value = '' }) => (value === '' ? DEFAULT_ADDRESS : canonical(value)));
  if (addresses.length === 0) return [DEFAULT_ADDRESS];
  const home = canonical(bindDefault);
  return [...new Set(addresses.map((address) => (address === home ? DEFAULT_ADDRESS : address)))];
}

function canonical(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

function readClientCertificate(
  gateway: Gateway,
  { look, findings }: { readonly look: Look; readonly findings: Finding[] },
): { certificate?: NamedSecret; unresolved?: Reason } {
  const ref = gateway.spec.tls?.backend?.clientCertificateRef;
  if (ref === undefined) return {};
  const reasons = { invalid: 'InvalidClientCertificateRef' };
  const found = resolveKeyPair(gateway, toReference(ref, gateway), { look, reasons });
  if (found.broken === undefined) return { certificate: nameSecret(found.ok) };
  findings.push(brokenAt(gateway, '/spec/tls/backend/clientCertificateRef', found.broken));
  return { unresolved: found.broken };
}

export function readSet(set: ListenerSet, gateway: GatewayBase, look: Look): SetBase {
  const pair = { owner: gateway.gateway.metadata.namespace, guest: set.metadata.namespace };
  const { namespaces } = gateway.gateway.spec.allowedListeners;
  if (!letsIn(namespaces, pair, look)) {
    const message =
      `${describe(gateway.gateway)} does not let in ListenerSets of namespace "${set.metadata.namespace}": ` +
      `its owner must allow them in spec.allowedListeners, which says "${namespaces.from}"`;
    const finding = error('listenerset.not-allowed', set, {
      field: '/spec/parentRef',
      message,
      related: [keyOf(gateway.gateway)],
    });
    return { set, gateway, notAccepted: { reason: 'NotAllowed', message }, listeners: [], findings: [finding] };
  }
  const notAccepted =
    gateway.notAccepted === undefined
      ? undefined
      : {
          reason: 'ParentNotAccepted',
          message: `${describe(gateway.gateway)} is not accepted: ${gateway.notAccepted.message}`,
        };
  const listeners = set.spec.listeners.map((spec, index) =>
    readListener({ owner: set, gateway: gateway.gateway, spec, index }, look),
  );
  return { set, gateway, notAccepted, listeners, findings: [] };
}

/** The class of a Gateway when it is one of ours; why not when the Gateway is nobody's. */
export function classOf(
  gateway: Gateway,
  {
    look,
    controllerName,
    anyClass,
  }: { readonly look: Look; readonly controllerName: string; readonly anyClass: boolean },
): { ours: true; gatewayClass: GatewayClass | undefined } | { ours: false; finding?: Finding } {
  const name = gateway.spec.gatewayClassName;
  const gatewayClass = lookUp(look, 'GatewayClass', { namespace: '', name });
  if (gatewayClass !== undefined) {
    return gatewayClass.spec.controllerName === controllerName ? { ours: true, gatewayClass } : { ours: false };
  }
  if (!anyClass && name === IMPLIED_CLASS) return { ours: true, gatewayClass: undefined };
  const hint = anyClass ? '' : `: use "${IMPLIED_CLASS}", or write a GatewayClass of controller ${controllerName}`;
  const message = `The Gateway is left out, because GatewayClass "${name}" does not exist${hint}`;
  const absent = { kind: 'GatewayClass', namespace: '', name };
  return {
    ours: false,
    finding: error('gateway.class', gateway, { field: '/spec/gatewayClassName', message, absent }),
  };
}

/**
 * Annotation of a Gateway: who else may serve it besides the account of its own name and namespace, as
 * `NAMESPACE/ACCOUNT`, several with commas.
 */
const SERVED_BY = 'fourways.io/served-by';

/** Who may serve a Gateway, its namesake first. */
export function serversOf({
  metadata: { namespace, name, annotations },
}: Gateway): { readonly namespace: string; readonly account: string }[] {
  const others = (annotations[SERVED_BY] ?? '').split(',').flatMap((text) => {
    const [space, account, ...more] = text.trim().split('/');
    return space !== undefined && account !== undefined && more.length === 0 ? [{ namespace: space, account }] : [];
  });
  return [{ namespace, account: name }, ...others];
}
