/** Whether names can be resolved: the resolvers of the system, and the names of a plan. */
import { isIP } from 'node:net';
import type { FleetStats } from '../control/fleet.ts';
import type { Plan, PlanEndpoint } from '../ir/plan.ts';
import type { Row } from './doctor-row.ts';
import type { LookedUp, Machine } from './machine.ts';

const RESOLV_CONF = '/etc/resolv.conf';

/** Of a name that is asked for: longer, and connections that wait for it are slow. */
const SLOW_MS = 1_000;

const NAMES_MAX = 200;

export async function resolverRows(machine: Machine): Promise<Row[]> {
  const text = await machine.readFile(RESOLV_CONF).catch(() => '');
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address]) => address!);
  if (servers.length === 0) {
    return [
      {
        check: 'resolver',
        level: 'warning',
        found: `no name server is in ${RESOLV_CONF}: names are those of /etc/hosts`,
        fix: `write "nameserver ADDRESS" there; not needed where all backends are addresses`,
      },
    ];
  }
  return Promise.all(servers.map(async (server) => resolverRow(server, await machine.askResolver(server))));
}

function resolverRow(server: string, { code, found, tookMs }: LookedUp): Row {
  const check = 'resolver';
  const fix = `correct ${RESOLV_CONF}, or what writes it; dig @${server} example.com tries it`;
  if (found > 0) {
    const lie = `${server} answers for names that do not exist: a wrong name of a backend leads to a stranger`;
    return { check, level: 'warning', found: lie, fix };
  }
  if (code === 'ENOTFOUND' || code === 'ENODATA') {
    if (tookMs < SLOW_MS) return { check, level: 'ok', found: `${server} answers` };
    return { check, level: 'warning', found: `${server} answers after ${Math.round(tookMs)} ms`, fix };
  }
  return { check, level: 'problem', found: `${server} does not answer as it should: ${code}`, fix };
}

/** Names in a plan, as this machine resolves them. */
export async function nameRows(machine: Machine, plan: Plan): Promise<Row[]> {
  const names = [...namesIn(plan)];
  const asked = names.slice(0, NAMES_MAX).map(async ([name, { cluster, records }]): Promise<Row[]> => {
    const { code, found, tookMs } = await machine.lookUp(name, records);
    if (found === 0) return [unresolved(name, cluster, `is not found here: ${code ?? 'no address'}`)];
    if (tookMs < SLOW_MS) return [];
    const slow = `${name} (${cluster}) is found after ${Math.round(tookMs)} ms`;
    return [{ check: 'name', level: 'warning', found: slow, fix: `dig ${name}; look at the resolvers` }];
  });
  const rows = (await Promise.all(asked)).flat();
  return rows.length > 0 || names.length === 0 ? rows : [allFound(names.length)];
}

/** The same, as the proxy that runs sees them. */
export function resolvedRows(plan: Plan, { endpoints }: FleetStats): Row[] {
  const names = [...namesIn(plan)];
  const rows = names.flatMap(([name, { cluster }]) => {
    const known = (endpoints[cluster] ?? []).filter(({ resolvedFrom }) => resolvedFrom === name);
    if (known.length === 0) return [unresolved(name, cluster, 'has no address: requests for it are answered 503')];
    const { stale } = known.find((one) => one.stale !== undefined) ?? {};
    if (stale === undefined) return [];
    return [{ ...unresolved(name, cluster, `is used as it was: ${stale}`), level: 'warning' as const }];
  });
  return rows.length > 0 || names.length === 0 ? rows : [allFound(names.length)];
}

function unresolved(name: string, cluster: string, what: string): Row {
  const fix = `getent hosts ${name}; correct the name in ${cluster}, or the resolvers`;
  return { check: 'name', level: 'problem', found: `${name} (${cluster}) ${what}`, fix };
}

function allFound(count: number): Row {
  return { check: 'name', level: 'ok', found: `${count} ${count === 1 ? 'name' : 'names'} of backends found` };
}

interface Named {
  /** The first that has the name. */
  readonly cluster: string;
  readonly records: 'addresses' | 'srv';
}

function namesIn({ clusters }: Plan): Map<string, Named> {
  const names = new Map<string, Named>();
  const note = (cluster: string, { address, records }: PlanEndpoint): void => {
    if (isIP(address) !== 0 || names.has(address)) return;
    names.set(address, { cluster, records: records === 'srv' ? 'srv' : 'addresses' });
  };
  for (const [key, { endpoints }] of Object.entries(clusters)) for (const one of endpoints) note(key, one);
  return names;
}
