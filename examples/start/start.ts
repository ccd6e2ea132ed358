/**
 * `npm start`: three services, a sidecar beside each, and a gateway in front of them that is their control plane, too.
 *
 * Options, after `npm start --`: `--port`, `--admin-port`, `--mesh-port`, `--service-port` (the first of three). 0 takes free ones.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sections } from './lines.ts';
import { addressesOf, isDefault, PORT, type Ports, readPorts, SERVICE_NAMES, takenPort } from './ports.ts';
import { Programs } from './programs.ts';

const MANIFESTS = fileURLToPath(new URL('gateway/', import.meta.url));

async function main(): Promise<number> {
  const ports = await readPorts(process.argv.slice(2));
  const taken = await takenPort(ports);
  if (taken !== undefined) throw new Error(taken);
  const scratch = mkdtempSync(join(tmpdir(), 'fourways-start-'));
  const programs = new Programs(ports, scratch);
  process.on('SIGINT', () => programs.stop('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => programs.stop('SIGTERM'));
  try {
    console.log('Starting a gateway, and three services with a sidecar each …');
    await programs.startGateway(isDefault(ports) ? MANIFESTS : adapted(ports, join(scratch, 'gateway')));
    await programs.startServices();
    if (!programs.stopping) print(ports, programs.logOf('gateway'));
    const code = await programs.ended;
    console.log('Stopped');
    return code;
  } finally {
    await programs.end();
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A copy of the manifests with another port for the gateway. */
function adapted({ gateway }: Ports, folder: string): string {
  mkdirSync(folder);
  for (const file of readdirSync(MANIFESTS)) {
    const text = readFileSync(join(MANIFESTS, file), 'utf8');
    writeFileSync(join(folder, file), text.replaceAll(`port: ${PORT}`, `port: ${gateway}`));
  }
  return folder;
}

function print(ports: Ports, log: string): void {
  const addresses = addressesOf(ports);
  console.log(`
Fourways serves examples/start/gateway at ${addresses.gateway}, its admin API is ${addresses.admin}.
Behind it run ${SERVICE_NAMES.join(', ')}, each with a sidecar: between them there is mutual TLS, and nobody's code knows of it.
Change a file in that folder while it runs. Try, in another terminal:`);
  for (const { title, lines } of sections(addresses)) {
    console.log(`\n${title}`);
    for (const { shows, command } of lines) console.log(`  # ${shows}\n  ${command}`);
  }
  console.log(`
gRPC, WebSocket, TCP, UDP, TLS, ACME … have an example each: npm run example -- NAME, see examples/README.md

Each request is a line of ${log}, and of the file of each service beside it.
Ctrl-C stops it.
`);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
