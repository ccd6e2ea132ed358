/**
 * `npm start`: three real HTTP services, and a gateway with a dozen routes in front of them.
 *
 * Options, after `npm start --`: `--port`, `--admin-port`, `--service-port` (the first of three). 0 takes free ones.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Addresses, sections } from './lines.ts';
import { type Service, SERVICE_NAMES, startService } from './services.ts';

const HOST = '127.0.0.1';
const MANIFESTS = fileURLToPath(new URL('gateway/', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../src/main/fourways.ts', import.meta.url));
const READY_MS_MAX = 30_000;

/** Ports as the manifests have them. */
const PORT = 8080;
const ADMIN_PORT = 9900;
const SERVICE_PORTS = [8081, 8082, 8083] as const;

interface Ports {
  readonly gateway: number;
  readonly admin: number;
  /** Of `SERVICE_NAMES`, in that order. */
  readonly services: readonly number[];
}

async function main(): Promise<void> {
  const ports = await readPorts();
  for (const [what, port] of [
    ['gateway', ports.gateway],
    ['admin API', ports.admin],
  ] as const) {
    if (!(await isFree(port))) throw new Error(portTaken(what, port));
  }
  const services = await startServices(ports.services);
  const scratch = mkdtempSync(join(tmpdir(), 'fourways-start-'));
  try {
    const config = isDefault(ports) ? MANIFESTS : adapted(ports, join(scratch, 'gateway'));
    const gateway = startGateway(config, ports.admin, scratch);
    process.exitCode = await runUntilEnd(gateway, {
      gateway: `http://${HOST}:${ports.gateway}`,
      admin: `http://${HOST}:${ports.admin}`,
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    await Promise.all(services.map((service) => service.close()));
  }
}

async function readPorts(): Promise<Ports> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: String(PORT) },
      'admin-port': { type: 'string', default: String(ADMIN_PORT) },
      'service-port': { type: 'string', default: String(SERVICE_PORTS[0]) },
    },
  });
  const first = Number(values['service-port']);
  return {
    gateway: await freePortFor(Number(values.port)),
    admin: await freePortFor(Number(values['admin-port'])),
    services: await Promise.all(SERVICE_NAMES.map((_, i) => freePortFor(first === 0 ? 0 : first + i))),
  };
}

/** A port that nobody has, when 0 is asked for. */
async function freePortFor(port: number): Promise<number> {
  if (port !== 0) return port;
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const found = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
  return found;
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

function portTaken(what: string, port: number): string {
  return (
    `Cannot start the ${what}: port ${port} of ${HOST} is in use or may not be taken\n` +
    'End what runs there, or take other ports: npm start -- --port 8090 --admin-port 9990 --service-port 8091'
  );
}

async function startServices(ports: readonly number[]): Promise<Service[]> {
  const services: Service[] = [];
  for (const [i, name] of SERVICE_NAMES.entries()) {
    try {
      services.push(await startService(name, ports[i]!));
    } catch {
      await Promise.all(services.map((service) => service.close()));
      throw new Error(portTaken(`service "${name}"`, ports[i]!));
    }
  }
  return services;
}

function isDefault({ gateway, services }: Ports): boolean {
  return gateway === PORT && services.every((port, i) => port === SERVICE_PORTS[i]);
}

/** A copy of the manifests with other ports. */
function adapted({ gateway, services }: Ports, folder: string): string {
  mkdirSync(folder);
  const places = new Map([[PORT, gateway], ...SERVICE_PORTS.map((port, i) => [port, services[i]!] as const)]);
  for (const file of readdirSync(MANIFESTS)) {
    const text = readFileSync(join(MANIFESTS, file), 'utf8');
    const changed = text.replaceAll(/\bport: (\d+)/g, (line, port) => {
      const place = places.get(Number(port));
      return place === undefined ? line : `port: ${place}`;
    });
    writeFileSync(join(folder, file), changed);
  }
  return folder;
}

function startGateway(config: string, adminPort: number, scratch: string): ChildProcess {
  const args = [
    'up',
    config,
    '--admin',
    `${HOST}:${adminPort}`,
    '--data',
    join(scratch, 'state'),
    '--log-level',
    'warn',
  ];
  // A process group of its own: otherwise a terminal and service managers would signal it as well as we do.
  return spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
}

/** Waits until the gateway serves, prints what to try, then waits for its end. */
async function runUntilEnd(gateway: ChildProcess, addresses: Addresses): Promise<number> {
  const ended = once(gateway, 'exit') as Promise<[code: number | null]>;
  // Each signal is passed on once: a second Ctrl-C ends the gateway at once, so it must not arrive twice by itself.
  process.on('SIGINT', () => gateway.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => gateway.kill('SIGTERM'));
  if (await isReady(addresses.admin, gateway)) print(addresses);
  else gateway.kill('SIGTERM');
  const [code] = await ended;
  console.log('Stopped');
  return code ?? 1;
}

async function isReady(admin: string, gateway: ChildProcess): Promise<boolean> {
  const endMs = performance.now() + READY_MS_MAX;
  while (performance.now() < endMs && gateway.exitCode === null && gateway.signalCode === null) {
    const answer = await fetch(`${admin}/readyz`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok === true) return true;
    await pause(20);
  }
  return false;
}

function print(addresses: Addresses): void {
  console.log(`\nFourways serves examples/start/gateway at ${addresses.gateway}, its admin API is ${addresses.admin}`);
  console.log('Change a file in that folder while it runs. Try, in another terminal:');
  for (const { title, lines } of sections(addresses)) {
    console.log(`\n${title}`);
    for (const { shows, command } of lines) console.log(`  # ${shows}\n  ${command}`);
  }
  console.log(
    '\ngRPC, WebSocket, TCP, UDP, TLS, ACME … have an example each: npm run example -- NAME, see examples/README.md',
  );
  console.log('\nCtrl-C stops it.\n');
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
