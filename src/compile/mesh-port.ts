/** Ports of Services in the mesh: what is spoken there, and which ports of an application they stand for. */
import type { LearnedSpeech, UpstreamProtocol } from '../ir/plan.ts';
import type { MeshSpec } from '../resource/kinds/mesh.ts';
import { keyOf, type Service, type Workload } from '../resource/resource.ts';
import type { ServicePort } from './backend.ts';
import type { ListenerView, ParentView } from './gateways.ts';

/** What a proxy reads of a port: requests, or nothing. */
export type PortKind = 'http' | 'tcp';

export interface PortSpeech {
  readonly kind: PortKind;
  /** What the application takes; only of kind `http`. */
  readonly protocol: Exclude<UpstreamProtocol, 'auto'>;
}

const HTTP1: PortSpeech = { kind: 'http', protocol: 'http1' };
const H2: PortSpeech = { kind: 'http', protocol: 'h2' };
const BYTES: PortSpeech = { kind: 'tcp', protocol: 'http1' };

/** In appProtocol, and before the first hyphen of a port's name. What is encrypted already is not read. */
const SPEECH: Readonly<Record<string, PortSpeech>> = {
  http: HTTP1,
  ws: HTTP1,
  h2c: H2,
  http2: H2,
  grpc: H2,
  'kubernetes.io/ws': HTTP1,
  'kubernetes.io/h2c': H2,
  tcp: BYTES,
  tls: BYTES,
  https: BYTES,
  h2: BYTES,
  grpcs: BYTES,
  wss: BYTES,
};

/**
 * Said by appProtocol, else by the name of the port, else by the mesh, else by what its application was found to speak.
 * Never guessed from first bytes of a client: servers that speak first would wait for ever, and both ends of a connection
 * must think the same of it.
 */
export function speechOf(port: ServicePort, defaultProtocol: MeshSpec['defaultProtocol']): PortSpeech {
  const { appProtocol, learned } = port;
  // Of a protocol that we do not know, somebody has said that it is something else than HTTP.
  if (appProtocol !== undefined) return SPEECH[appProtocol.toLowerCase()] ?? BYTES;
  const named = namedSpeech(port);
  if (named !== undefined) return named;
  if (defaultProtocol !== 'learn') return defaultProtocol === 'http' ? HTTP1 : BYTES;
  return learned === undefined ? HTTP1 : SPEECH[learned]!;
}

/** Whether neither its appProtocol nor its name says what it speaks. */
export function isUndeclared(port: ServicePort): boolean {
  return port.protocol === 'TCP' && port.appProtocol === undefined && namedSpeech(port) === undefined;
}

/** What its sidecars are told of it; undefined for a port of which somebody has said what it speaks. */
export function learnedOf(
  port: ServicePort,
  defaultProtocol: MeshSpec['defaultProtocol'],
): LearnedSpeech | 'unknown' | undefined {
  return defaultProtocol === 'learn' && isUndeclared(port) ? (port.learned ?? 'unknown') : undefined;
}

function namedSpeech({ name = '' }: ServicePort): PortSpeech | undefined {
  return SPEECH[name.split('-', 1)[0]!];
}

/**
 * The number of an application's port that a port of its Service stands for; undefined when the application has none.
 * By its name, by the name of its target port, by the number of its target port; or the only one to the only one.
 */
export function appPortOf(
  port: ServicePort,
  { spec }: Service,
  ports: Readonly<Record<string, number>>,
): number | undefined {
  const { name, targetPort } = port;
  const byName = (name === undefined ? undefined : ports[name]) ?? ports[String(targetPort)];
  if (byName !== undefined) return byName;
  const numbers = Object.values(ports);
  const target = typeof targetPort === 'number' ? targetPort : port.port;
  if (numbers.includes(target)) return target;
  return numbers.length === 1 && spec.ports.length === 1 ? numbers[0] : undefined;
}

/** What an application was found to speak on a port of its Service; undefined when its sidecar has not said so. */
export function saidBy(
  { spec: { ports, protocols = {} } }: Workload,
  port: ServicePort,
  service: Service,
): LearnedSpeech | undefined {
  const number = appPortOf(port, service, ports);
  const name = Object.keys(ports).find((one) => ports[one] === number && protocols[one] !== undefined);
  return name === undefined ? undefined : protocols[name];
}

/** Key of the listener of a port, and of all that belongs to it: `Service/shop/orders/80`. */
export function portKeyOf(service: Service, port: ServicePort): string {
  return `${keyOf(service)}/${port.port}`;
}

const KINDS: Readonly<Record<PortKind, readonly string[]>> = {
  http: ['HTTPRoute', 'GRPCRoute'],
  tcp: ['TCPRoute', 'TLSRoute'],
};

/** A Service as routes see it that have it as their parent: a listener for each port. */
export function serviceView(service: Service, defaultProtocol: MeshSpec['defaultProtocol']): ParentView {
  const key = keyOf(service);
  return {
    key,
    namespace: service.metadata.namespace,
    gatewayKey: key,
    isService: true,
    clientCertificate: undefined,
    listeners: service.spec.ports.map((port): ListenerView => {
      const name = port.name ?? String(port.port);
      return {
        name,
        port: port.port,
        hostname: '*',
        encrypted: false,
        kinds: port.protocol === 'TCP' ? KINDS[speechOf(port, defaultProtocol).kind] : [],
        namespaces: { from: 'All' },
        keys: [portKeyOf(service, port)],
        filters: [],
        isEgress: false,
      };
    }),
  };
}
