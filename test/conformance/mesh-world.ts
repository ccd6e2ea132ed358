/**
 * `node mesh-world.ts ORDER.json`, where ORDER is a {@link MeshOrder}
 *
 * A mesh of real programs for the runner: the suite's echo servers are the applications, each has a sidecar, and all of them
 * one control plane. Tests are changes of the control plane's folder; calls enter the sidecar of the workload that the case
 * says, by its forward proxy.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DOOR_HOST, Fourways, freePort } from '../client/fourways.ts';
import { Sidecar, tokenFor } from '../client/sidecar.ts';
import { type Asked, runnerCommand } from './runner.ts';

/** How requests enter a sidecar: inside of a tunnel, or with the whole URL in the request line as HTTP_PROXY makes clients do. */
export type Entry = 'connect' | 'absolute';

export interface MeshOrder extends Asked {
  /** For what the programs keep, and for their log. */
  readonly dir: string;
  readonly log: string;
  readonly entries: Readonly<Record<string, Entry>>;
}

interface Pod {
  readonly namespace: string;
  readonly deployment: string;
  readonly servers: readonly { readonly mode: string; readonly port: number }[];
}

interface Suite {
  loadYaml(path: string): unknown[];
  buildWorld(objects: readonly unknown[], options: { readonly ipMode: 'single' }): { readonly pods: readonly Pod[] };
  startPods(pods: readonly Pod[]): Promise<{ close(): void }>;
}

/** Applications and sidecars are on one host: each has ports of its own. */
const HOST = '127.0.0.1';

/** Ports of the Services that one port of an application is. */
const NAMES: Readonly<Record<string, readonly string[]>> = { http: ['http', 'http-alt'] };

const ENTRIES: readonly Entry[] = ['connect', 'absolute'];

const order = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as MeshOrder;
const programs: (Fourways | Sidecar)[] = [];
try {
  await main();
} finally {
  const said = programs.map((one) => (one instanceof Fourways ? one.output() : one.err).trim().split('\n').slice(-4));
  writeFileSync(order.log, said.flat().join('\n'));
  await Promise.all(programs.map((program) => program.stop('SIGKILL')));
}
// The echo servers have connections that nobody waits for.
process.exit(0);

async function main(): Promise<void> {
  const { suiteDir, manifestsDir } = order.set;
  const load = (path: string): Promise<Suite> => import(pathToFileURL(join(suiteDir, path)).href) as Promise<Suite>;
  const [world, echo] = await Promise.all([load('lib/world.mjs'), load('echo.mjs')]);
  const base = world.loadYaml(join(manifestsDir, 'mesh/manifests.yaml'));
  const { pods } = world.buildWorld(base, { ipMode: 'single' });
  await echo.startPods(pods);
  const mesh = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  const control = await Fourways.start({ config: order.config, workers: 1, mesh, data: join(order.dir, 'data') });
  programs.push(control);
  const proxies: Record<string, string> = {};
  for (const { sidecar, pod } of await Promise.all(pods.map((pod) => startSidecar(pod, control, mesh)))) {
    proxies[`${pod.namespace}/${pod.deployment}`] = new URL(sidecar.proxy).host;
  }
  const results: unknown[] = [];
  for (const entry of ENTRIES) results.push(...(await runTests(entry, proxies)));
  writeFileSync(order.results, JSON.stringify({ results }));
}

async function startSidecar(pod: Pod, control: Fourways, mesh: string): Promise<{ sidecar: Sidecar; pod: Pod }> {
  const service = `${pod.deployment}.${pod.namespace}`;
  const sidecar = await Sidecar.start({
    service,
    dir: order.dir,
    control: mesh,
    token: await tokenFor(control, service),
    address: HOST,
    app: pod.servers.flatMap(({ mode, port }) => (NAMES[mode] ?? [mode]).map((name) => `${name}=${port}`)),
  });
  programs.push(sidecar);
  return { sidecar, pod };
}

async function runTests(entry: Entry, proxies: Readonly<Record<string, string>>): Promise<readonly unknown[]> {
  const tests = order.tests.filter((test) => order.entries[test] === entry);
  if (tests.length === 0) return [];
  const results = join(order.dir, `${entry}.json`);
  mkdirSync(order.dir, { recursive: true });
  const [command = '', ...args] = runnerCommand(
    { ...order, tests, results },
    { mesh: JSON.stringify(proxies), 'mesh-mode': entry, 'ip-mode': 'single' },
  );
  const child = spawn(command, args, { stdio: 'inherit' });
  await new Promise((resolve) => child.once('close', resolve));
  return (JSON.parse(readFileSync(results, 'utf8')) as { results: unknown[] }).results;
}
