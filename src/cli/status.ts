import type { About, CertificateReport, ProblemReport, Readiness, StatusList } from '../api/admin/view.ts';
import { formatProblem } from '../base/problem.ts';
import type { FleetStats } from '../control/fleet.ts';
import { portKey } from '../ir/key.ts';
import { ADMIN_DEFAULT, ADMIN_OPTION, readAdmin } from './admin.ts';
import { storeLines } from './certs.ts';
import { defineCommand, type Io, type Options, UsageError } from './command.ts';
import { conditionRows } from './conditions.ts';
import { paint, type Palette } from './paint.ts';
import { formatTable } from './table.ts';

const OPTIONS = { admin: ADMIN_OPTION } as const satisfies Options;

export const status = defineCommand({
  name: 'status',
  summary: 'Show how a running Fourways is',
  usage: 'fourways status [--admin HOST:PORT]',
  details: 'Ends with 0 when it is ready and serves the newest configuration, with 1 otherwise.',
  json: '`{ about, readiness, problems, endpoints, status, certificates }`: the answers of /version, /readyz, /problems, /endpoints, /status, /certificates.',
  options: OPTIONS,

  async run({ values: { admin = ADMIN_DEFAULT, json }, positionals }, io) {
    if (positionals[0] !== undefined) throw new UsageError(`Unexpected argument "${positionals[0]}"`);
    const report = await readReport(io, admin);
    io.out(json === true ? JSON.stringify(report) : reportText(report, io));
    return report.readiness.ready && report.problems.refused === undefined ? 0 : 1;
  },
});

interface Report {
  readonly about: About;
  readonly readiness: Readiness;
  readonly problems: ProblemReport;
  readonly endpoints: FleetStats;
  readonly status: StatusList;
  readonly certificates: CertificateReport;
}

async function readReport(io: Io, admin: string): Promise<Report> {
  const read = async <T>(path: string): Promise<T> => (await readAdmin(io, admin, path)) as T;
  const about = await read<About>('/version');
  const [readiness, problems, endpoints, list, certificates] = await Promise.all([
    read<Readiness>('/readyz'),
    read<ProblemReport>('/problems'),
    read<FleetStats>('/endpoints'),
    read<StatusList>('/status'),
    read<CertificateReport>('/certificates'),
  ]);
  return { about, readiness, problems, endpoints, status: list, certificates };
}

/** A version is a hash: this much tells two apart. */
const VERSION_SHOWN = 12;

function reportText(report: Report, palette: Palette): string {
  const { about, readiness, problems, endpoints, status: list, certificates } = report;
  const rows = conditionRows(list.items);
  return [
    `Fourways ${about.version} (pid ${about.pid}, Node.js ${about.node}) serves ${about.source} since ${about.startedAt}`,
    readyText(readiness, palette),
    ...(problems.refused === undefined
      ? []
      : [paint(palette, 'red', `The newest configuration is not served: ${problems.refused}`)]),
    ...storeLines(certificates.store, palette),
    ...problems.problems.map((problem) =>
      paint(palette, problem.level === 'error' ? 'red' : 'yellow', formatProblem(problem)),
    ),
    '',
    formatTable(
      ['WORKER', 'STATE', 'PLAN', 'CONNECTIONS', 'EXCHANGES', 'RESTARTS'],
      endpoints.workers.map(({ worker, state, version = '-', connections, exchanges, restarts }) =>
        [worker, state, version.slice(0, VERSION_SHOWN), connections, exchanges, restarts].map(String),
      ),
    ),
    ...healthLines(endpoints.endpoints, palette),
    ...(rows.length === 0 ? [] : ['', formatTable(['OBJECT', 'FOR', 'CONDITION', 'STATUS', 'REASON'], rows)]),
  ].join('\n');
}

/** Endpoints that are asked whether they are well. Those that nobody asks are in `--json`. */
function healthLines(endpoints: FleetStats['endpoints'], palette: Palette): string[] {
  const rows = Object.entries(endpoints).flatMap(([cluster, list]) =>
    list.flatMap(({ address, port, health }) => {
      if (health === undefined) return [];
      const shown = health === 'healthy' ? health : paint(palette, 'red', health);
      return [[cluster, portKey(address, port), shown]];
    }),
  );
  return rows.length === 0 ? [] : ['', formatTable(['CLUSTER', 'ENDPOINT', 'HEALTH'], rows)];
}

function readyText({ ready, reason, version }: Readiness, palette: Palette): string {
  if (!ready) return paint(palette, 'red', `Not ready: ${reason}`);
  return paint(palette, 'green', `Ready: plan ${version?.slice(0, VERSION_SHOWN) ?? '-'} is applied on every worker`);
}
