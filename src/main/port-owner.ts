/** Who holds a TCP port, as far as the system tells: Linux only, and only processes that we may look into. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface PortOwner {
  readonly pid: number;
  /** `nginx`, `node`. */
  readonly name: string;
}

/** Enough for any machine; a bound because the tables are walked while somebody waits for the message. */
const PROCESSES_MAX = 20_000;
const FILES_MAX = 4_096;

/** `0A` in the fourth column of /proc/net/tcp. @see Linux, include/net/tcp_states.h */
const LISTENING = '0A';

/** The first process found that listens on `port`, whatever the address; undefined when that cannot be told. */
export function portOwner(port: number): PortOwner | undefined {
  try {
    const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port)));
    return inodes.size === 0 ? undefined : ownerOf(inodes);
  } catch {
    return undefined;
  }
}

function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync(table, 'latin1')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) === true && fields[3] === LISTENING)
    .flatMap((fields) => fields[9] ?? []);
}

function ownerOf(inodes: ReadonlySet<string>): PortOwner | undefined {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, PROCESSES_MAX)) {
    if (!filesOf(pid).some((target) => inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? ''))) continue;
    return { pid: Number(pid), name: nameOf(pid) };
  }
  return undefined;
}

/** Where the descriptors of a process point; none when it is not ours or has ended. */
function filesOf(pid: string): string[] {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder)
      .slice(0, FILES_MAX)
      .map((file) => linkOf(`${folder}/${file}`));
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** Control bytes are cut out: the name goes into a log line, and a process chooses it itself. */
function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').replace(/[^\x20-\x7e]/g, '');
  } catch {
    return 'unknown';
  }
}
