import type {
  About,
  CertificateReport,
  MemberReport,
  ProblemReport,
  Readiness,
  StatusList,
} from '../api/admin/view.ts';
import { formatProblem } from '../base/problem.ts';
import type { ServiceRow } from '../compile/mesh-calls.ts';
import type { FleetStats } from '../control/fleet.ts';
import type { MeshSummary } from '../control/mesh-summary.ts';
import type { ListedProxy } from '../control/shared-proxies.ts';
import { portKey } from '../ir/key.ts';
import { ADMIN_DEFAULT, ADMIN_OPTION, findAdmin, readAdmin } from './admin.ts';
import { ageOf } from './age.ts';
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
  details: [
    'The summary first, then problems, then what there is: services of the mesh, workers, objects with their conditions.',
    'Ends with 0 when it is ready and serves the newest configuration, and no proxy of its mesh refuses its plan; with 1 otherwise.',
  ].join('\n'),
  json:
    '`{ about, readiness, problems, endpoints, status, certificates, mesh?, proxies?, member? }`: the answers of /version, /readyz, ' +
    '/problems, /endpoints, /status, /certificates, of /mesh and /proxies where a mesh is run, and of /member of one of its proxies.',
  options: OPTIONS,

  async run({ values: { admin = ADMIN_DEFAULT, json }, positionals }, io) {
    if (positionals[0] !== undefined) throw new UsageError(`Unexpected argument "${positionals[0]}"`);
    const report = await readReport(io, admin);
    io.out(json === true ? JSON.stringify(report) : reportText(report, io));
    const isGood = report.readiness.ready && report.problems.refused === undefined;
    return isGood && (report.mesh?.proxies.refusing ?? 0) === 0 ? 0 : 1;
  },
});

interface Report {
  readonly about: About;
  readonly readiness: Readiness;
  readonly problems: ProblemReport;
  readonly endpoints: FleetStats;
  readonly status: StatusList;
  readonly certificates: CertificateReport;
  /** Where a mesh is run. */
  readonly mesh?: MeshSummary;
  readonly proxies?: readonly ListedProxy[];
  /** Of a proxy whose plan comes from a control plane. */
  readonly member?: MemberReport;
}

async function readReport(io: Io, admin: string): Promise<Report> {
  const read = async <T>(path: string): Promise<T> => (await readAdmin(io, admin, path)) as T;
  const about = await read<About>('/version');
  const [readiness, problems, endpoints, list, certificates, mesh, member] = await Promise.all([
    read<Readiness>('/readyz'),
    read<ProblemReport>('/problems'),
    read<FleetStats>('/endpoints'),
    read<StatusList>('/status'),
    read<CertificateReport>('/certificates'),
    findAdmin(io, admin, '/mesh') as Promise<MeshSummary | undefined>,
    findAdmin(io, admin, '/member') as Promise<MemberReport | undefined>,
  ]);
  const own = { about, readiness, problems, endpoints, status: list, certificates };
  const report = { ...own, ...(member !== undefined && { member }) };
  if (mesh === undefined) return report;
  const { proxies } = await read<{ readonly proxies: readonly ListedProxy[] }>('/proxies');
  return { ...report, mesh, proxies };
}

/** A version is a hash: this much tells two apart. */
const VERSION_SHOWN = 12;

function reportText(report: Report, palette: Palette): string {
  const { about, readiness, problems, endpoints, status: list, certificates, mesh, proxies = [], member } = report;
  const rows = conditionRows(list.items);
  return [
    `Fourways ${about.version} (pid ${about.pid}, Node.js ${about.node}) serves ${about.source} since ${about.startedAt}`,
    readyText(readiness, palette),
    ...(problems.refused === undefined
      ? []
      : [paint(palette, 'red', `The newest configuration is not served: ${problems.refused}`)]),
    ...(mesh === undefined ? [] : meshLines(mesh, proxies, palette)),
    ...(member === undefined ? [] : [memberLine(member, palette)]),
    ...storeLines(mesh?.store ?? certificates.store, palette),
    ...problems.problems.map((problem) =>
      paint(palette, problem.level === 'error' ? 'red' : 'yellow', formatProblem(problem)),
    ),
    ...(mesh === undefined ? [] : serviceLines(mesh.services, palette)),
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

function memberLine({ identity, connected, missing, certificate }: MemberReport, palette: Palette): string {
  const standing =
    connected === undefined
      ? paint(palette, 'yellow', `without a control plane for ${ageOf(missing?.forMs ?? 0)}`)
      : `connected to ${connected}`;
  return `Proxy of ${identity}: ${standing}; its certificate is good until ${certificate.until}`;
}

function meshLines(
  { trustDomain, control, controls, authority, proxies: count, store }: MeshSummary,
  proxies: readonly ListedProxy[],
  palette: Palette,
): string[] {
  const { connected, current, behind, refusing } = count;
  const { root, issuer, rotation, denied } = authority;
  const others = [
    ...(behind > 0 ? [`${behind} on their way to it`] : []),
    ...(refusing > 0 ? [`${refusing} refuse it`] : []),
  ];
  const late = others.length === 0 ? '' : ` (${others.join(', ')})`;
  const isWhole = current === connected;
  const turns =
    rotation === undefined ? '' : `; the ${rotation.kind} is rotated: ${rotation.phase} since ${rotation.since}`;
  return [
    `Mesh ${trustDomain}: proxies connect to ${control.listen}; this control plane ${control.leads ? 'leads' : 'follows'}`,
    ...(controls.length > 1 ? [controlsLine(controls, palette)] : []),
    paint(palette, isWhole ? 'green' : 'yellow', `${current} of ${connected} proxies serve their plan${late}`),
    `Authority: root until ${root.until}, issuer until ${issuer.until}${turns}`,
    ...(denied > 0 ? [`${denied} ${denied === 1 ? 'identity is' : 'identities are'} denied`] : []),
    ...(store.state === 'open' ? [`Store: ${store.name}`] : []),
    ...proxies.flatMap(({ instance, services, refused }) =>
      refused === undefined
        ? []
        : [paint(palette, 'red', `${services.join(' ') || 'A proxy'} (${instance}) refuses its plan: ${refused}`)],
    ),
  ];
}

function controlsLine(controls: MeshSummary['controls'], palette: Palette): string {
  const shown = controls.map(({ name, state, leads }) => {
    const role = leads ? 'leads' : 'follows';
    if (state === 'lost') return paint(palette, 'yellow', `${name} (gone)`);
    return `${name} (${state === 'this' ? `this one, ${role}` : role})`;
  });
  return `Control planes: ${shown.join(', ')}`;
}

/** One without an instance that is ready answers 503. */
function serviceLines(services: readonly ServiceRow[], palette: Palette): string[] {
  if (services.length === 0) return [];
  const rows = services.map(({ service, ready, notReady, draining, sidecars, learned }) => [
    service,
    ready === 0 ? paint(palette, 'red', '0') : String(ready),
    String(notReady),
    String(draining),
    `${sidecars} of ${ready + notReady + draining}`,
    learnedText(learned),
  ]);
  return ['', formatTable(['SERVICE', 'READY', 'NOT READY', 'DRAINING', 'SIDECARS', 'LEARNED'], rows)];
}

/** What ports were found to speak; a port that somebody has declared is not among them. */
function learnedText(learned: ServiceRow['learned']): string {
  const ports = Object.entries(learned);
  return ports.length === 0 ? '-' : ports.map(([port, speech]) => `${port} ${speech}`).join(', ');
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
