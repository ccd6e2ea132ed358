/** Gateway API objects for tests and benches, as small as they can be. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Manifest = Readonly<Record<string, unknown>>;

export interface Backend {
  readonly host: string;
  readonly port: number;
}

const API = 'gateway.networking.k8s.io/v1';
const CLASS = 'fourways';

export function gatewayClass(): Manifest {
  return {
    apiVersion: API,
    kind: 'GatewayClass',
    metadata: { name: CLASS },
    spec: { controllerName: 'fourways.io/gateway-controller' },
  };
}

export interface GatewayOptions {
  readonly name?: string;
  /** Bound address; without it the gateway takes `--bind`. */
  readonly address?: string;
  readonly port: number;
  /** Default: HTTP. */
  readonly protocol?: 'TCP';
  /** Name of a Secret: an HTTPS listener. */
  readonly tlsSecret?: string;
  /** Name of a ConfigMap of `authorities`: clients must show a certificate that one of them has signed. */
  readonly clientCa?: string;
  readonly hostname?: string;
}

export function gateway(options: GatewayOptions): Manifest {
  const { name = 'gw', address, port, protocol, tlsSecret, clientCa, hostname } = options;
  const tls =
    tlsSecret === undefined
      ? { protocol: protocol ?? 'HTTP' }
      : { protocol: 'HTTPS', tls: { mode: 'Terminate', certificateRefs: [{ name: tlsSecret }] } };
  return {
    apiVersion: API,
    kind: 'Gateway',
    metadata: { name, namespace: 'default' },
    spec: {
      gatewayClassName: CLASS,
      ...(clientCa === undefined ? {} : { tls: frontend(clientCa) }),
      ...(address === undefined ? {} : { addresses: [{ type: 'IPAddress', value: address }] }),
      listeners: [{ name: 'main', port, ...(hostname === undefined ? {} : { hostname }), ...tls }],
    },
  };
}

function frontend(clientCa: string): object {
  const validation = { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: clientCa }], mode: 'AllowValidOnly' };
  return { frontend: { default: { validation } } };
}

export interface RouteOptions {
  readonly name: string;
  readonly gateway?: string;
  readonly hostnames?: readonly string[];
  readonly rules: readonly unknown[];
}

export function httpRoute({ name, gateway: parent = 'gw', hostnames, rules }: RouteOptions): Manifest {
  return {
    apiVersion: API,
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'default' },
    spec: { parentRefs: [{ name: parent }], ...(hostnames === undefined ? {} : { hostnames }), rules },
  };
}

/** A rule that sends a path prefix to a service. */
export function prefixRule(prefix: string, service: string, more: Manifest = {}): Manifest {
  return {
    matches: [{ path: { type: 'PathPrefix', value: prefix } }],
    backendRefs: [{ name: service, port: 80 }],
    ...more,
  };
}

/** A Service on port 80 with these endpoints. @param appProtocol  such as `kubernetes.io/h2c` */
export function service(name: string, backends: readonly Backend[], appProtocol?: string): Manifest[] {
  const spoken = appProtocol === undefined ? {} : { appProtocol };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP', ...spoken }] },
    },
    ...slices(name, backends),
  ];
}

/** One EndpointSlice for each port, as Kubernetes has it. */
function slices(name: string, backends: readonly Backend[]): Manifest[] {
  const ports = [...new Set(backends.map(({ port }) => port))];
  return ports.map((port) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-${port}`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port, protocol: 'TCP' }],
    endpoints: backends
      .filter((backend) => backend.port === port)
      .map(({ host }) => ({ addresses: [host], conditions: { ready: true } })),
  }));
}

export function tlsSecret(name: string, pem: { readonly certificate: string; readonly key: string }): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'default' },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': pem.certificate, 'tls.key': pem.key },
  };
}

export function authorities(name: string, caPem: string): Manifest {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { 'ca.crt': caPem } };
}

/** Writes a manifest file as an editor should: beside, then renamed over. JSON is YAML. */
export function writeManifests(dir: string, file: string, manifests: readonly Manifest[]): void {
  mkdirSync(dir, { recursive: true });
  const beside = join(dir, `.${file}.new`);
  writeFileSync(beside, manifests.map((manifest) => JSON.stringify(manifest)).join('\n---\n'));
  renameSync(beside, join(dir, file));
}
