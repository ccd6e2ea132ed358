/** Processes of a bench: started on one core, measured from /proc, ended by their own id. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Ticks of utime and stime in /proc/PID/stat; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Bound {
  /** What is measured. */
  readonly pids: readonly number[];
  /** False once it ended, whoever ended it. */
  readonly alive: boolean;
  stop(): Promise<void>;
}

export interface Start {
  readonly name: string;
  readonly command: readonly string[];
  readonly core: number;
  /** Output goes to `NAME.log` here. */
  readonly dir: string;
}

export function startOn({ name, command, core, dir }: Start): Bound {
  const log = openSync(join(dir, `${name}.log`), 'a');
  const child = spawn('taskset', ['-c', String(core), ...command], {
    stdio: ['ignore', log, log],
    cwd: dir,
    // Caddy keeps a copy of its configuration there; nothing may stay behind outside `dir`.
    env: { ...process.env, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir },
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    pids: [child.pid!],
    get alive() {
      return child.exitCode === null && child.signalCode === null;
    },
    stop: () => stop(child, ended),
  };
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

/** CPU time of processes and all their descendants, in seconds. */
export function cpuSeconds(pids: readonly number[]): number {
  return treeOf(pids).reduce((sum, member) => sum + member.cpuTicks, 0) / TICKS_PER_SECOND;
}

/** Resident memory of processes and all their descendants, in bytes. */
export function rssBytes(pids: readonly number[]): number {
  const pages = treeOf(pids).reduce((sum, member) => sum + member.rssPages, 0);
  return pages * 4096;
}

/** Busy and total time of one core since boot, in ticks. */
export function coreTicks(core: number): { busy: number; total: number } {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '';
  const ticks = line.trim().split(/\s+/).map(Number);
  const total = ticks.slice(0, 8).reduce((sum, value) => sum + value, 0);
  return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
}

interface Member {
  readonly pid: number;
  readonly parent: number;
  readonly cpuTicks: number;
  readonly rssPages: number;
}

function treeOf(roots: readonly number[]): Member[] {
  const all = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (memberOf(name) ?? []) : []));
  const inside = new Set(roots);
  for (let grew = true; grew;) {
    grew = false;
    for (const { pid, parent } of all) {
      if (!inside.has(parent) || inside.has(pid)) continue;
      inside.add(pid);
      grew = true;
    }
  }
  return all.filter(({ pid }) => inside.has(pid));
}

/** Reads /proc/PID/stat (proc(5)); undefined when the process is gone. */
function memberOf(pid: string): Member | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the command in parentheses and may hold anything: count from the last one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return {
      pid: Number(pid),
      parent: Number(fields[1]),
      cpuTicks: Number(fields[11]) + Number(fields[12]),
      rssPages: Number(fields[21]),
    };
  } catch {
    return undefined;
  }
}

/** First line that a program prints about itself, or undefined when it is not installed. */
export function firstLineOf(command: string, ...args: readonly string[]): string | undefined {
  try {
    // nginx says its version on standard error.
    const text = execFileSync('sh', ['-c', '"$@" 2>&1', 'sh', command, ...args], { encoding: 'utf8' });
    return text.split('\n')[0]!.trim();
  } catch {
    return undefined;
  }
}
