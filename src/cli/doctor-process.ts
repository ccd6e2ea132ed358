/** Checks of a Fourways that runs, by what its admin API says. */
import type {
  About,
  CertificateReport,
  MemberReport,
  ProblemReport,
  Readiness,
  StatusList,
} from '../api/admin/view.ts';
import type { FleetStats } from '../control/fleet.ts';
import type { ProxyRow } from '../control/mesh-feeds.ts';
import type { Plan } from '../ir/plan.ts';
import { findAdmin, readAdmin } from './admin.ts';
import { ageOf } from './age.ts';
import type { Io } from './command.ts';
import { conditionRows } from './conditions.ts';
import { resolvedRows } from './doctor-names.ts';
import type { Row } from './doctor-row.ts';

/** What is on its way is no trouble; what is not there after so long is. */
const LATE_MS = 30_000;

export interface Running {
  readonly about: About;
  readonly readiness: Readiness;
  readonly problems: ProblemReport;
  readonly stats: FleetStats;
  readonly status: StatusList;
  readonly certificates: CertificateReport;
  /** Undefined before the first. */
  readonly plan: Plan | undefined;
  /** Undefined where no mesh is run. */
  readonly proxies: readonly ProxyRow[] | undefined;
  /** Undefined where the plan is its own. */
  readonly member: MemberReport | undefined;
}

/** @throws {CommandFailure} when nobody answers there, or something else does */
export async function readRunning(io: Io, admin: string): Promise<Running> {
  const read = async <T>(path: string): Promise<T> => (await readAdmin(io, admin, path)) as T;
  const find = async <T>(path: string): Promise<T | undefined> => (await findAdmin(io, admin, path)) as T | undefined;
  const about = await read<About>('/version');
  const [readiness, problems, stats, status, certificates, plan, proxies, member] = await Promise.all([
    read<Readiness>('/readyz'),
    read<ProblemReport>('/problems'),
    read<FleetStats>('/endpoints'),
    read<StatusList>('/status'),
    read<CertificateReport>('/certificates'),
    find<Plan>('/plan'),
    find<{ readonly proxies: readonly ProxyRow[] }>('/proxies'),
    find<MemberReport>('/member'),
  ]);
  return { about, readiness, problems, stats, status, certificates, plan, proxies: proxies?.proxies, member };
}

export function processRows(running: Running): Row[] {
  const { about, readiness, problems, stats, status, certificates, plan, proxies, member } = running;
  const { version, pid, source, startedAt } = about;
  return [
    { check: 'process', level: 'ok', found: `Fourways ${version} (pid ${pid}) serves ${source} since ${startedAt}` },
    planRow(readiness),
    ...(member === undefined ? [configurationRow(problems, source)] : [controlRow(member)]),
    ...workerRows(stats),
    ...listenerRows(status),
    ...healthRows(stats),
    ...(plan === undefined ? [] : resolvedRows(plan, stats)),
    ...(proxies === undefined ? [] : proxyRows(proxies)),
    ...certificateRows(certificates),
  ];
}

function planRow({ ready, reason, version = '' }: Readiness): Row {
  const check = 'plan';
  if (ready) return { check, level: 'ok', found: `${version.slice(0, 12)} is applied on every worker` };
  return { check, level: 'problem', found: reason, fix: 'its log says why: journalctl -u fourways, or docker logs' };
}

/** The version that is served may be an older one. */
function configurationRow({ refused, problems }: ProblemReport, source: string): Row {
  const check = 'configuration';
  const errors = problems.filter(({ level }) => level === 'error').length;
  const warnings = problems.length - errors;
  const fix = `fourways check ${source}`;
  if (refused !== undefined) return { check, level: 'problem', found: `the newest is not served: ${refused}`, fix };
  if (errors > 0) return { check, level: 'problem', found: `${errors} parts of it are not served as written`, fix };
  if (warnings > 0) return { check, level: 'warning', found: `${warnings} warnings`, fix };
  return { check, level: 'ok', found: 'the newest is served, without problems' };
}

/** Where the plan comes from. */
function controlRow({ connected, missing, control }: MemberReport): Row {
  const check = 'control plane';
  if (connected !== undefined) return { check, level: 'ok', found: `connected to ${connected}` };
  const { forMs, reason } = missing!;
  return {
    check,
    level: forMs < LATE_MS ? 'warning' : 'problem',
    found: `none for ${ageOf(forMs)}: ${reason === '' ? 'it is being called' : reason}; plan and certificate of before are used`,
    fix: `is one of ${control.join(', ')} running, and does a firewall let us there? its log says whom it refuses`,
  };
}

function workerRows({ workers }: FleetStats): Row[] {
  return workers
    .filter(({ restarts }) => restarts > 0)
    .map(({ worker, restarts }) => ({
      check: 'worker',
      level: 'warning',
      found: `worker ${worker} has ended ${restarts} times and was started again`,
      fix: 'its log says why it ended; please report it with that line',
    }));
}

/** A port that cannot be bound is known only to who runs. */
function listenerRows({ items }: StatusList): Row[] {
  return conditionRows(items)
    .filter(([, , type, status]) => type === 'Programmed' && status === 'False')
    .map(([owner, subject, , , why]) => ({
      check: 'listener',
      level: 'problem',
      found: `${owner}${subject === '-' ? '' : ` ${subject}`} is not served: ${why}`,
      fix: 'fourways status; fourways doctor --config PATH says who holds a port',
    }));
}

function healthRows({ endpoints }: FleetStats): Row[] {
  return Object.entries(endpoints)
    .filter(([, list]) => list.length > 0 && list.every(({ health }) => health === 'unhealthy'))
    .map(([cluster, { length }]) => ({
      check: 'endpoints',
      level: 'problem',
      found: `${cluster}: its health check finds none of ${length} well`,
      fix: 'is the service running? healthCheck of its BackendPolicy says what is asked',
    }));
}

function proxyRows(proxies: readonly ProxyRow[]): Row[] {
  const check = 'proxy';
  const rows = proxies.flatMap(({ services, role, instance, refused, lagMs }): Row[] => {
    const name = `${services.join(' ') || role} (${instance})`;
    if (refused !== undefined) {
      const fix = 'its log has the whole reason; the change that caused it is in fourways status';
      return [{ check, level: 'problem', found: `${name} refuses its plan: ${refused}`, fix }];
    }
    if (lagMs < LATE_MS) return [];
    const fix = 'fourways proxies; is its machine busy, or the network between?';
    return [{ check, level: 'warning', found: `${name} has not served its plan for ${ageOf(lagMs)}`, fix }];
  });
  if (rows.length > 0) return rows;
  const { length } = proxies;
  const found = length === 0 ? 'none is connected' : `${length} connected, and each serves its plan`;
  return [{ check, level: 'ok', found }];
}

const OWN_CA = new Set(['root', 'issuer']);

function certificateRows({ certificates, mesh = [] }: CertificateReport): Row[] {
  const check = 'certificate';
  const served = certificates.flatMap(({ owner, listener, secret, state, until, error }): Row[] => {
    if (state === 'valid') return [];
    const what = `${secret} of ${owner} ${listener}`;
    const found = `${what}: ${state}${until === undefined ? '' : `, until ${until}`}${error === undefined ? '' : `: ${error}`}`;
    const fix = 'fourways certs; renew the Secret, or look at its AcmeIssuer';
    return [{ check, level: state === 'expires-soon' ? 'warning' : 'problem', found, fix }];
  });
  const own = mesh.flatMap(({ what, owner, where, until, alarm }): Row[] => {
    if (alarm === 'none') return [];
    const over = alarm === 'over' ? 'ended' : 'is past half of its life and was not renewed, it ends';
    const found = `${what} ${owner} (${where}) ${over} at ${until}`;
    const fix = OWN_CA.has(what)
      ? `fourways certs rotate --${what}`
      : 'does it reach its control plane? its log says why it is not renewed';
    return [{ check, level: alarm === 'late' ? 'warning' : 'problem', found, fix }];
  });
  const rows = [...served, ...own];
  const count = certificates.length + mesh.length;
  if (rows.length > 0 || count === 0) return rows;
  return [{ check, level: 'ok', found: `${count} good, none late to be renewed` }];
}
