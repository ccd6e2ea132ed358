/** Whether the ports of a configuration can be had here. */
import { portKey } from '../ir/key.ts';
import type { Plan, PlanPort } from '../ir/plan.ts';
import { readRange } from './doctor-machine.ts';
import type { Row } from './doctor-row.ts';
import type { Machine, PortRefusal } from './machine.ts';

/** The Fourways that runs here: what it holds is no problem. */
interface Holder {
  readonly pid: number | undefined;
  /** Numbers of the ports of its plan. */
  readonly held: ReadonlySet<number>;
}

export async function portRows(machine: Machine, plan: Plan, holder: Holder): Promise<Row[]> {
  const ports = Object.values(plan.ports);
  const [range, reserved] = await Promise.all(
    ['ip_local_port_range', 'ip_local_reserved_ports'].map((name) =>
      machine.readFile(`/proc/sys/net/ipv4/${name}`).catch(() => undefined),
    ),
  );
  const outgoing = new Set(ports.map(({ port }) => port).filter((port) => mayBeTaken(port, range, reserved)));
  return Promise.all(ports.map((one) => portRow(machine, one, { holder, isOutgoing: outgoing.has(one.port) })));
}

async function portRow(
  machine: Machine,
  { address, port, protocol }: PlanPort,
  { holder, isOutgoing }: { readonly holder: Holder; readonly isOutgoing: boolean },
): Promise<Row> {
  const transport = protocol === 'udp' ? 'udp' : 'tcp';
  const check = 'port';
  const name = `${portKey(address, port)} (${protocol})`;
  const refusal = await machine.probePort(address, port, transport);
  if (refusal !== undefined) {
    if (isOwn(refusal, port, holder)) return { check, level: 'ok', found: `${name} is held by the Fourways that runs` };
    return { check, level: 'problem', found: `${name}: ${refusal.message}`, fix: fixOf(refusal, port) };
  }
  if (!isOutgoing) return { check, level: 'ok', found: `${name} is free` };
  return {
    check,
    level: 'warning',
    found: `${name} is one that the system may give to a connection that goes out, and then it is taken`,
    fix: `sysctl -w net.ipv4.ip_local_reserved_ports=${port} (with those that stand there), or another port`,
  };
}

/** Who holds a port is not shown to everybody. */
function isOwn({ error, pid }: PortRefusal, port: number, holder: Holder): boolean {
  if (error !== 'EADDRINUSE' || !holder.held.has(port)) return false;
  return pid === undefined || pid === holder.pid;
}

function fixOf({ error, pid }: PortRefusal, port: number): string {
  if (error === 'EADDRINUSE') {
    const who = pid === undefined ? `ss -ltnp 'sport = ${port}' says who` : `ps -fp ${pid}`;
    return `${who}: end it, or give the listener another port; --takeover where it is a Fourways`;
  }
  if (error === 'EACCES') {
    return `sysctl -w net.ipv4.ip_unprivileged_port_start=${port}, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit of systemd`;
  }
  if (error === 'EADDRNOTAVAIL')
    return 'ip address shows those of this machine: correct addresses of the Gateway, or --bind';
  return 'correct the address of the Gateway, or --bind';
}

function mayBeTaken(port: number, rangeText: string | undefined, reserved: string | undefined): boolean {
  const range = readRange(rangeText);
  if (range === undefined || port < range.first || port > range.last) return false;
  return !(reserved ?? '').split(',').some((part) => {
    const [first = NaN, last = first] = part.split('-').map(Number);
    return port >= first && port <= last;
  });
}
