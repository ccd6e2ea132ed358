/** Sidecars of an example: the lines `bin/fourways sidecar …` of its README, with a token each, which the gateway makes. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { MeshSummary } from '../src/control/mesh-summary.ts';

const READY_MS_MAX = 60_000;

export interface SidecarSurroundings {
  /** Root of the repository. */
  readonly root: string;
  /** `HOST:PORT` of the admin API. */
  readonly admin: string;
  /** Folder for tokens, certificates and plans. */
  readonly data: string;
  readonly output: 'inherit' | 'ignore';
}

/** @throws {Error} when one of them does not become ready; those before it are ended */
export async function startSidecars(
  lines: readonly string[],
  surroundings: SidecarSurroundings,
): Promise<ChildProcess[]> {
  mkdirSync(surroundings.data, { recursive: true });
  const started: ChildProcess[] = [];
  try {
    await Promise.all(lines.map((line) => startOne(line, { surroundings, started })));
    if (lines.length > 0) await untilAllServe(lines.length, surroundings.admin);
    return started;
  } catch (error) {
    await endSidecars(started);
    throw error;
  }
}

export async function endSidecars(sidecars: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    sidecars.map(async (sidecar) => {
      if (sidecar.exitCode !== null || sidecar.signalCode !== null) return;
      const ended = once(sidecar, 'exit');
      sidecar.kill('SIGTERM');
      await ended;
    }),
  );
}

/** A sidecar that is ready tells of the instance beside it, and then the others hear of it. */
async function untilAllServe(count: number, admin: string): Promise<void> {
  const endMs = performance.now() + READY_MS_MAX;
  for (;;) {
    const answer = await fetch(`http://${admin}/mesh`);
    const { services, proxies } = (await answer.json()) as MeshSummary;
    const ready = services.filter((service) => service.ready > 0).length;
    if (ready >= count && proxies.current === proxies.connected) return;
    if (performance.now() > endMs) throw new Error(`Cannot start: ${ready} of ${count} services have an instance`);
    await pause(50);
  }
}

async function startOne(
  line: string,
  { surroundings, started }: { readonly surroundings: SidecarSurroundings; readonly started: ChildProcess[] },
): Promise<void> {
  const { root, admin, data, output } = surroundings;
  const service = /--service (\S+)/.exec(line)?.[1];
  if (service === undefined) throw new Error(`Cannot start "${line}": it names no service`);
  const file = join(data, `${service}.token`);
  const { stdout } = await promisify(execFile)('bin/fourways', ['token', service, '--admin', admin], { cwd: root });
  writeFileSync(file, stdout, { mode: 0o600 });
  const command = `exec ${line.replace(/--token-file \S+/, `--token-file '${file}'`)} --data '${join(data, service)}'`;
  const sidecar = spawn('bash', ['-c', command], { cwd: root, stdio: ['ignore', output, 'pipe'] });
  started.push(sidecar);
  let said = '';
  sidecar.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-65_536);
    if (output === 'inherit') process.stderr.write(text);
  });
  const endMs = performance.now() + READY_MS_MAX;
  while (!said.includes('"message":"Ready"')) {
    if (performance.now() > endMs || sidecar.exitCode !== null) {
      throw new Error(`Cannot start the sidecar of "${service}":\n${said}`);
    }
    await pause(20);
  }
}
