/**
 * A sidecar that takes over from the one that serves from the same data folder: it binds beside it, and tells it to go once
 * it serves. The other one lets go of its link to the control plane without a farewell, for the instance stays; finishes
 * what runs; and ends.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../store/replace-file.ts';
import { portOwner } from './port-owner.ts';
import { HAND_OVER } from './signals.ts';
import { StartFailure } from './start-failure.ts';

/**
 * The process that serves from this folder; undefined when none does.
 *
 * @param port  that it must hold: what a file says is not enough to send a signal to a process
 * @throws {StartFailure} when the file names a process, and another one holds the port
 */
export async function findOldSidecar(dataDir: string, port: number): Promise<number | undefined> {
  const pid = Number(await readFile(fileIn(dataDir), 'utf8').catch(() => ''));
  const owner = portOwner(port);
  if (!Number.isSafeInteger(pid) || pid < 1 || !isAlive(pid)) {
    if (owner === undefined) return undefined;
    const who = `process ${owner.pid} (${owner.name})`;
    throw new StartFailure(`Cannot take over: ${who} holds port ${port}, and is no sidecar of ${dataDir}`);
  }
  if (owner !== undefined && owner.pid !== pid) {
    throw new StartFailure(`Cannot take over: process ${pid} of ${dataDir} does not hold port ${port}`);
  }
  return pid;
}

/** From now on this process is the one that serves from this folder. */
export async function tellOwnProcess(dataDir: string): Promise<void> {
  await replaceFile({ path: fileIn(dataDir), owner: 'new' }, [String(process.pid)]);
}

/** Unless another process serves from it by now. */
export async function forgetOwnProcess(dataDir: string): Promise<void> {
  const named = await readFile(fileIn(dataDir), 'utf8').catch(() => '');
  if (Number(named) === process.pid) await rm(fileIn(dataDir), { force: true });
}

export function handOver(pid: number): void {
  process.kill(pid, HAND_OVER);
}

function fileIn(dataDir: string): string {
  return join(dataDir, 'pid');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // There, and not ours.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
