/** Checks of the machine itself: version of Node.js, and limits of the system that a proxy meets under load. */
import type { Row } from './doctor-row.ts';
import type { Machine } from './machine.ts';

/** Two for each connection that is passed on: below, a busy proxy runs out of them. */
const OPEN_FILES_GOOD = 65_536;
const OPEN_FILES_MIN = 1_024;

/** What a proxy asks the kernel to keep while it is busy (proxy/bound-port.ts). */
const BACKLOG = 4_096;

/** One for each connection to an upstream that is open, or was until a minute ago. */
const LOCAL_PORTS_GOOD = 16_384;

/** @param pid  of the Fourways that runs here, whose own limits count */
export async function machineRows(machine: Machine, pid: number | undefined): Promise<Row[]> {
  const read = (path: string): Promise<string | undefined> => machine.readFile(path).catch(() => undefined);
  const [ownLimits, limits, backlog, range] = await Promise.all([
    pid === undefined ? undefined : read(`/proc/${pid}/limits`),
    read('/proc/self/limits'),
    read('/proc/sys/net/core/somaxconn'),
    read('/proc/sys/net/ipv4/ip_local_port_range'),
  ]);
  const rows = [
    nodeRow(machine.nodeVersion),
    openFilesRow(ownLimits ?? limits, ownLimits === undefined ? 'this shell' : `process ${pid}`),
    backlogRow(backlog),
    localPortsRow(range),
  ];
  return rows.filter((row) => row !== undefined);
}

function nodeRow(version: string): Row {
  const major = Number(/^v(\d+)/.exec(version)?.[1]);
  if (major % 2 === 0) return { check: 'node', level: 'ok', found: `Node.js ${version}` };
  return {
    check: 'node',
    level: 'warning',
    found: `Node.js ${version}: odd versions get corrections for half a year only`,
    fix: `run it with Node.js ${major - 1} or ${major + 1}`,
  };
}

/** Node.js raises the soft limit to the hard one by itself. */
function openFilesRow(limits: string | undefined, whose: string): Row | undefined {
  const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(limits ?? '') ?? [];
  if (hard === undefined) return undefined;
  const count = hard === 'unlimited' ? Infinity : Number(hard);
  const check = 'open files';
  const found = `${whose} may have ${hard} open files`;
  if (count >= OPEN_FILES_GOOD) return { check, level: 'ok', found };
  return {
    check,
    level: count < OPEN_FILES_MIN ? 'problem' : 'warning',
    found: `${found}: each connection that is passed on takes two`,
    fix: `ulimit -n ${OPEN_FILES_GOOD}, or LimitNOFILE=${OPEN_FILES_GOOD} in the unit of systemd`,
  };
}

function backlogRow(text: string | undefined): Row | undefined {
  const count = numberIn(text);
  if (count === undefined) return undefined;
  const check = 'backlog';
  const found = `the kernel keeps ${count} connections until they are accepted`;
  if (count >= BACKLOG) return { check, level: 'ok', found };
  const fix = `sysctl -w net.core.somaxconn=${BACKLOG}`;
  return { check, level: 'warning', found: `${found}: more at one time wait for a second, or are lost`, fix };
}

/** `32768 60999`. */
export function readRange(text: string | undefined): { readonly first: number; readonly last: number } | undefined {
  const [, first, last] = /^(\d+)\s+(\d+)/.exec(text ?? '') ?? [];
  return first === undefined ? undefined : { first: Number(first), last: Number(last) };
}

function localPortsRow(text: string | undefined): Row | undefined {
  const range = readRange(text);
  if (range === undefined) return undefined;
  const { first, last } = range;
  const check = 'local ports';
  const found = `${last - first + 1} ports for connections to upstreams, ${first} to ${last}`;
  if (last - first + 1 >= LOCAL_PORTS_GOOD) return { check, level: 'ok', found };
  const fix = 'sysctl -w net.ipv4.ip_local_port_range="32768 60999"';
  return { check, level: 'warning', found: `${found}: one for each connection to the same address`, fix };
}

function numberIn(text: string | undefined): number | undefined {
  const value = Number.parseInt(text ?? '', 10);
  return Number.isNaN(value) ? undefined : value;
}
