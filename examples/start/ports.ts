/** Which ports the programs of `npm start` take. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { freePort } from '../free-port.ts';

export const HOST = '127.0.0.1';

export const SERVICE_NAMES = ['web', 'web-next', 'orders'] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

/** Of the gateway, as the manifests have it. */
export const PORT = 8080;
const ADMIN_PORT = 9900;
const MESH_PORT = 15_010;
const SERVICE_PORT = 8081;

export interface ServicePorts {
  readonly name: ServiceName;
  readonly app: number;
  /** Where its sidecar takes mTLS. */
  readonly mtls: number;
  /** Where `HTTP_PROXY` leads. */
  readonly proxy: number;
}

export interface Ports {
  readonly gateway: number;
  readonly admin: number;
  /** Where sidecars join and get their plans. */
  readonly mesh: number;
  readonly services: readonly ServicePorts[];
}

/** What the lines to try are made of. */
export interface Addresses {
  /** `http://127.0.0.1:8080`. */
  readonly gateway: string;
  readonly admin: string;
  /** The forward proxies of the sidecars. */
  readonly proxies: Readonly<Record<ServiceName, string>>;
}

/** @throws {Error} for an option that there is not, or a port that is none */
export async function readPorts(args: readonly string[]): Promise<Ports> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: 'string', default: String(PORT) },
      'admin-port': { type: 'string', default: String(ADMIN_PORT) },
      'mesh-port': { type: 'string', default: String(MESH_PORT) },
      'service-port': { type: 'string', default: String(SERVICE_PORT) },
    },
  });
  const mesh = portOf('--mesh-port', values['mesh-port']);
  const app = portOf('--service-port', values['service-port']);
  const services = SERVICE_NAMES.map(async (name, i) => ({
    name,
    app: await free(app, i),
    mtls: await free(mesh, 1 + 2 * i),
    proxy: await free(mesh, 2 + 2 * i),
  }));
  return {
    gateway: await free(portOf('--port', values.port), 0),
    admin: await free(portOf('--admin-port', values['admin-port']), 0),
    mesh: await free(mesh, 0),
    services: await Promise.all(services),
  };
}

function portOf(option: string, text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_529) return port;
  throw new Error(`Option ${option} is "${text}": must be a port, or 0 for a free one`);
}

/** The `offset`-th port from the first one on; one that nobody has, when that is 0. */
async function free(first: number, offset: number): Promise<number> {
  return first === 0 ? await freePort(HOST) : first + offset;
}

export function isDefault({ gateway }: Ports): boolean {
  return gateway === PORT;
}

export function addressesOf({ gateway, admin, services }: Ports): Addresses {
  const proxies = services.map(({ name, proxy }) => [name, `http://${HOST}:${proxy}`] as const);
  return {
    gateway: `http://${HOST}:${gateway}`,
    admin: `http://${HOST}:${admin}`,
    proxies: Object.fromEntries(proxies) as Addresses['proxies'],
  };
}

/** What to say when one of the ports is not free; undefined when all are. */
export async function takenPort({ gateway, admin, mesh, services }: Ports): Promise<string | undefined> {
  const wanted: (readonly [what: string, port: number])[] = [
    ['the gateway', gateway],
    ['the admin API', admin],
    ['the control plane', mesh],
    ...services.flatMap(({ name, app, mtls, proxy }) => [
      [`service "${name}"`, app] as const,
      [`the sidecar of "${name}"`, mtls] as const,
      [`the sidecar of "${name}"`, proxy] as const,
    ]),
  ];
  for (const [what, port] of wanted) {
    if (await isFree(port)) continue;
    return (
      `Cannot start ${what}: port ${port} of ${HOST} is in use or may not be taken\n` +
      'End what runs there, or take other ports: ' +
      'npm start -- --port 8090 --admin-port 9990 --mesh-port 15110 --service-port 8091'
    );
  }
  return undefined;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, HOST);
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
