/** `listen` of the short form: one Gateway for each address, with its listeners, certificates and redirects. */
import { GATEWAY_GROUP } from '../../resource/fields.ts';
import { type Draft, error, nameFrom, type ShortFinding } from './draft.ts';
import { type Expansion, isFinding } from './expansion.ts';
import type { ListenObject, ShortForm } from './schema.ts';
import { tlsSecret } from './service.ts';

export const GATEWAY_NAME = 'fourways';
const CONTROLLER = 'fourways.io/gateway-controller';
const API_VERSION = `${GATEWAY_GROUP}/v1`;
const DEFAULT_PORT = 8080;

/** What routes attach to. */
export interface Parents {
  readonly gateways: readonly ParentGateway[];
  /** What is below HTTP, of all Gateways. */
  readonly streams: readonly StreamParent[];
  /** Port of HTTPS, where it is not the usual one. */
  readonly securePort?: number;
}

export interface StreamParent {
  readonly gateway: string;
  readonly listener: string;
  readonly protocol: 'tcp' | 'tls' | 'udp';
  readonly port: number;
  readonly hostname: string | undefined;
}

interface ParentGateway {
  readonly name: string;
  readonly listeners: readonly { readonly name: string; readonly hostname: string | undefined }[];
  /** Whether routes name it as a whole, or each listener, because it has others that are not for them. */
  readonly named: 'whole' | 'by listener';
}

/** parentRefs of a route for these hosts; empty when no listener serves any of them. */
export function parentRefs({ gateways }: Parents, hosts: readonly string[]): object[] {
  return gateways.flatMap(({ name, listeners, named }) => {
    const fitting = listeners.filter(
      ({ hostname }) => hosts.length === 0 || hosts.some((host) => meet(host, hostname)),
    );
    if (named === 'by listener') return fitting.map((listener) => ({ name, sectionName: listener.name }));
    return fitting.length === 0 ? [] : [{ name }];
  });
}

/** Whether a request could be for both. `*.shop.test` stands for any name below shop.test. */
export function meet(host: string, listener: string | undefined): boolean {
  if (listener === undefined || host === listener) return true;
  const isBelow = (name: string, wildcard: string): boolean =>
    wildcard.startsWith('*.') && name.endsWith(wildcard.slice(1));
  return isBelow(host, listener) || isBelow(listener, host);
}

/** Host names that are listened for, for messages. */
export function hostsServed({ gateways }: Parents): string[] {
  return [...new Set(gateways.flatMap(({ listeners }) => listeners.flatMap(({ hostname }) => hostname ?? [])))];
}

interface Item extends Omit<ListenObject, 'hostname' | 'tls'> {
  readonly pointer: string;
  readonly hostnames: readonly string[];
  readonly certificates: readonly { readonly cert: string; readonly key: string; readonly pointer: string }[];
}

export function expandListen(listen: ShortForm['listen'], expansion: Expansion): Parents {
  const items = itemsOf(listen);
  const securePorts = new Set(items.filter(isHttps).map(({ port }) => port));
  const securePort = securePorts.size === 1 && !securePorts.has(443) ? [...securePorts][0] : undefined;
  expansion.add({ manifest: gatewayClass(), places: [['', '/listen']], implied: true });

  expansion.findings.push(...items.flatMap(wrongBelowHttp));
  const gateways: ParentGateway[] = [];
  const streams: StreamParent[] = [];
  for (const [, group] of Map.groupBy(items, ({ address }) => address ?? '')) {
    const name = expansion.names.take('Gateway', GATEWAY_NAME);
    const made = addGateway(name, group, expansion);
    const { listeners, redirects } = made;
    for (const listener of redirects) {
      addRedirect({ gateway: name, ...listener, ...(securePort !== undefined && { securePort }) }, expansion);
    }
    const forOthers = redirects.length + made.streams.length;
    gateways.push({ name, listeners, named: forOthers === 0 ? 'whole' : 'by listener' });
    streams.push(...made.streams);
  }
  return { gateways, streams, ...(securePort !== undefined && { securePort }) };
}

function isHttps({ certificates, protocol }: Item): boolean {
  return certificates.length > 0 && protocol === undefined;
}

/** What has no meaning for a protocol below HTTP. */
function wrongBelowHttp({ protocol, hostnames, certificates, redirect, pointer }: Item): ShortFinding[] {
  if (protocol === undefined) return [];
  const refuse = (field: string, why: string): ShortFinding =>
    error(`${pointer}/${field}`, 'field.value', `Cannot use "${field}" with protocol "${protocol}": ${why}`);
  const findings = redirect === undefined ? [] : [refuse('redirect', 'only HTTP has redirects')];
  if (protocol === 'tls') return findings;
  if (hostnames.length > 0) findings.push(refuse('hostname', 'a client does not say a name'));
  if (certificates.length > 0) findings.push(refuse('tls', 'protocol "tls" ends TLS here'));
  return findings;
}

function gatewayClass(): Draft['manifest'] {
  const spec = { controllerName: CONTROLLER };
  return { apiVersion: API_VERSION, kind: 'GatewayClass', metadata: { name: GATEWAY_NAME }, spec };
}

function itemsOf(listen: ShortForm['listen']): Item[] {
  if (listen === undefined) return [itemOf(DEFAULT_PORT, '/listen')];
  if (Array.isArray(listen)) return listen.map((one, i) => itemOf(one, `/listen/${i}`));
  return [itemOf(listen, '/listen')];
}

function itemOf(listen: number | string | ListenObject, pointer: string): Item {
  if (typeof listen === 'number') return { port: listen, pointer, hostnames: [], certificates: [] };
  if (typeof listen === 'string') {
    const colon = listen.lastIndexOf(':');
    const address = listen.slice(0, Math.max(0, colon)).replace(/^\[(.*)\]$/, '$1');
    const port = Number(listen.slice(colon + 1));
    return { port, pointer, hostnames: [], certificates: [], ...(address !== '' && { address }) };
  }
  const { hostname = [], tls = [], ...rest } = listen;
  const certificates = Array.isArray(tls)
    ? tls.map((one, i) => ({ ...one, pointer: `${pointer}/tls/${i}` }))
    : [{ ...tls, pointer: `${pointer}/tls` }];
  return { ...rest, pointer, hostnames: typeof hostname === 'string' ? [hostname] : hostname, certificates };
}

interface Made {
  /** Listeners that routes attach to. */
  readonly listeners: ParentGateway['listeners'];
  readonly redirects: readonly { readonly listener: string; readonly pointer: string }[];
  readonly streams: readonly StreamParent[];
}

function addGateway(name: string, items: readonly Item[], expansion: Expansion): Made {
  const listeners: object[] = [];
  const served: { name: string; hostname: string | undefined }[] = [];
  const redirects: { listener: string; pointer: string }[] = [];
  const streams: StreamParent[] = [];
  const places: [string, string][] = [['', '/listen']];
  const findings: ShortFinding[] = [];
  const { address, pointer: first } = items[0]!;
  if (address !== undefined) places.push(['/spec/addresses', typeof address === 'string' ? first : `${first}/address`]);

  for (const item of items) {
    const { port, pointer, redirect, protocol } = item;
    const secrets = secretsOf(item, expansion);
    findings.push(...secrets.filter(isFinding));
    const hostnames = item.hostnames.length === 0 ? [undefined] : item.hostnames;
    for (const hostname of hostnames) {
      const listener = expansion.names.take(`Listener ${name}`, listenerName(item, hostname));
      places.push([`/spec/listeners/${listeners.length}`, pointer]);
      for (const field of ['port', 'hostname', 'tls']) {
        places.push([`/spec/listeners/${listeners.length}/${field}`, `${pointer}/${field}`]);
      }
      const names = secrets.filter((one) => typeof one === 'string');
      listeners.push({ name: listener, port, ...(hostname !== undefined && { hostname }), ...protocolOf(item, names) });
      if (protocol !== undefined) streams.push({ gateway: name, listener, protocol, port, hostname });
      else if (redirect === undefined) served.push({ name: listener, hostname });
      else redirects.push({ listener, pointer });
    }
  }
  const addresses = address === undefined ? {} : { addresses: [{ value: address }] };
  const spec = { gatewayClassName: GATEWAY_NAME, ...addresses, listeners };
  expansion.findings.push(...findings);
  expansion.add({ manifest: { apiVersion: API_VERSION, kind: 'Gateway', metadata: { name }, spec }, places });
  return { listeners: served, redirects, streams };
}

/** @param secrets  names of what the certificates became */
function protocolOf({ protocol, certificates }: Item, secrets: readonly string[]): object {
  const tls = { certificateRefs: secrets.map((name) => ({ name })) };
  if (protocol === undefined) return certificates.length > 0 ? { protocol: 'HTTPS', tls } : { protocol: 'HTTP' };
  if (protocol !== 'tls') return { protocol: protocol.toUpperCase() };
  return { protocol: 'TLS', tls: certificates.length > 0 ? { mode: 'Terminate', ...tls } : { mode: 'Passthrough' } };
}

function secretsOf({ certificates, port }: Item, expansion: Expansion): (string | ShortFinding)[] {
  return certificates.flatMap(({ cert, key, pointer }): (string | ShortFinding)[] => {
    const made = tlsSecret({ name: `tls-${port}`, cert, key, pointer }, expansion);
    if ('findings' in made) return [...made.findings];
    expansion.add(made.draft);
    return [made.name];
  });
}

function listenerName({ name, port, certificates, protocol }: Item, hostname: string | undefined): string {
  if (name !== undefined) return name;
  const scheme = protocol ?? (certificates.length > 0 ? 'https' : 'http');
  const host = hostname === undefined ? '' : `-${nameFrom(hostname.replace('*', 'any'), 'host')}`;
  return `${scheme}-${port}${host}`;
}

interface RedirectPlan {
  readonly gateway: string;
  readonly listener: string;
  readonly pointer: string;
  readonly securePort?: number;
}

function addRedirect({ gateway, listener, pointer, securePort }: RedirectPlan, expansion: Expansion): void {
  const name = expansion.names.take('HTTPRoute', `${listener}-redirect`);
  const port = securePort === undefined ? {} : { port: securePort };
  const requestRedirect = { scheme: 'https', ...port, statusCode: 301 };
  const spec = {
    parentRefs: [{ name: gateway, sectionName: listener }],
    rules: [{ filters: [{ type: 'RequestRedirect', requestRedirect }] }],
  };
  const manifest = { apiVersion: API_VERSION, kind: 'HTTPRoute', metadata: { name }, spec };
  expansion.add({ manifest, places: [['', `${pointer}/redirect`]] });
}
