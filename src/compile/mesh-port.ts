/** Ports of Services in the mesh: what is spoken there, and which ports of an application they stand for. */
import type { UpstreamProtocol } from '../ir/plan.ts';
import type { MeshSpec } from '../resource/kinds/mesh.ts';
import { keyOf, type Service } from '../resource/resource.ts';
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
 * Said by appProtocol, else by the name of the port, else by the mesh. Never guessed from first bytes: servers that
 * speak first would wait for ever, and both ends of a connection must think the same of it.
 */
export function speechOf({ appProtocol, name = '' }: ServicePort, defaultProtocol: PortKind): PortSpeech {
  // Of a protocol that we do not know, somebody has said that it is something else than HTTP.
  if (appProtocol !== undefined) return SPEECH[appProtocol.toLowerCase()] ?? BYTES;
  return SPEECH[name.split('-', 1)[0]!] ?? (defaultProtocol === 'http' ? HTTP1 : BYTES);
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
      };
    }),
  };
}
