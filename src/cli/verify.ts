import { type ConnectionKind, type ConnectionsAnswer, CONNECTION_ROWS_MAX } from '../ir/connection.ts';
import { ADMIN_DEFAULT, ADMINS_OPTION } from './admin.ts';
import { ageOf } from './age.ts';
import { CommandFailure, defineCommand, type ExitCode, type Io, type Options, UsageError } from './command.ts';
import {
  concerns,
  type OpenConnection,
  openConnections,
  type ProvedConnection,
  provedConnections,
  type SeenConnection,
  serviceText,
} from './connection-pairs.ts';
import { paint, type Palette } from './paint.ts';
import { readService } from './sidecar-options.ts';
import { followSurvey, type SurveyResult } from './survey.ts';
import { surveyLines } from './survey-text.ts';
import { formatTable } from './table.ts';

const OPTIONS = {
  service: {
    type: 'string',
    value: 'NAME.NAMESPACE',
    description: 'Only connections that have to do with this service; without a namespace, of any',
  },
  each: { type: 'boolean', description: 'A row for each connection, with its addresses, and not for each kind' },
  strict: {
    type: 'boolean',
    description:
      'End with 1 when anything between services is in clear text, its ends disagree, or somebody did not answer',
  },
  admin: ADMINS_OPTION,
} as const satisfies Options;

export const verify = defineCommand({
  name: 'verify',
  summary: 'Show for each connection of the mesh who has proved to whom who he is, and what is in clear text',
  usage: 'fourways verify [--service NAME.NAMESPACE] [--each] [--strict] [--admin HOST:PORT]...',
  details: [
    'Asks every proxy that is connected to the control plane for its live connections, and puts the two ends of each together.',
    '"both ends" have derived the same value from the keys of the connection, which nobody in between can. What proxies say was',
    'verified in the handshake: a certificate that is shown is one that the other end has checked.',
    '',
    'Asked at the admin API of a sidecar or a gateway, it is about that one alone. Of several control planes each can ask the',
    'proxies that are connected to it, and says where others are: give --admin for each.',
  ].join('\n'),
  json:
    '`{ asked, unheard: [{ proxy, identity, kind, reason }], lost, notShown, connections: [{ client, server, service, protocol, version, ' +
    'cipher, group, provedBy, flaws, clientAddress, serverAddress, untilMs?, requests }], clear: [{ kind, direction, proxy, service, ' +
    'remote, why }], open, outside: { mtls, tls, clear, local, unread } }`; `open` are services with a port that takes clear text, ' +
    '`outside` counts connections that are none between services.',
  options: OPTIONS,

  async run({ values, positionals: [more] }, io) {
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    const { admin = [ADMIN_DEFAULT], service, json, each, strict } = values;
    if (service !== undefined) readService('--service', service);
    const report = await readReport(io, admin, service);
    if (json === true) io.out(JSON.stringify(report));
    else io.out(reportText(report, { palette: io, rows: each === true ? 'each' : 'kinds', nowMs: io.clock.wallMs() }));
    return strict === true && flawsOf(report).length > 0 ? 1 : exitOf(report);
  },
});

interface Report {
  /** How many proxies. */
  readonly asked: number;
  readonly unheard: SurveyResult['unheard'];
  readonly lost: number;
  /** Older ones of proxies that have more than is told of one. */
  readonly notShown: number;
  readonly connections: readonly ProvedConnection[];
  readonly clear: readonly OpenConnection[];
  readonly open: readonly string[];
  readonly outside: Readonly<Record<ConnectionKind, number>>;
}

/** What all proxies have said. */
class Gathering {
  readonly seen: SeenConnection[] = [];
  readonly open = new Set<string>();
  readonly outside: Record<ConnectionKind, number> = { mtls: 0, tls: 0, clear: 0, local: 0, unread: 0 };
  readonly #totals = new Map<string, number>();

  add({ rows, counts, open = [] }: ConnectionsAnswer, proxy: SeenConnection['proxy']): void {
    for (const row of rows) {
      this.seen.push({ proxy, row });
      if (!row.isMesh) this.outside[row.kind]++;
    }
    for (const key of open) this.open.add(serviceText(key));
    if (counts === undefined) return;
    const before = this.#totals.get(proxy.instance) ?? 0;
    this.#totals.set(proxy.instance, before + Object.values(counts).reduce((sum, count) => sum + count, 0));
  }

  get notShown(): number {
    return [...this.#totals.values()].reduce((sum, total) => sum + Math.max(0, total - CONNECTION_ROWS_MAX), 0);
  }
}

async function readReport(io: Io, admins: readonly string[], service: string | undefined): Promise<Report> {
  const gathering = new Gathering();
  const { how, proxies, lost, unheard } = await followSurvey(
    io,
    { admins, path: '/connections', query: {} },
    (answer, proxy) => {
      gathering.add(answer as ConnectionsAnswer, proxy);
      return 'more';
    },
  );
  if (how === 'cut' || how === 'interrupted') throw new CommandFailure('Broken off before every proxy had answered');
  const [name = '', namespace] = service?.split('.') ?? [];
  const isMeant = (of: string, identities: readonly string[]): boolean =>
    service === undefined || concerns({ name, namespace }, { service: of, identities });
  return {
    asked: proxies.size - unheard.filter(({ kind }) => kind === 'elsewhere').length,
    unheard,
    lost,
    notShown: gathering.notShown,
    connections: provedConnections(gathering.seen).filter((one) => isMeant(one.service, [one.client, one.server])),
    clear: openConnections(gathering.seen).filter((one) => isMeant(one.service, [one.proxy])),
    open: [...gathering.open].toSorted().filter((one) => isMeant(one, [])),
    outside: gathering.outside,
  };
}

/** Without an answer of anybody nothing was verified. */
function exitOf({ asked, unheard }: Report): ExitCode {
  return unheard.length > 0 && silentOf(unheard) === asked ? 1 : 0;
}

/** Of those that were asked. */
function silentOf(unheard: Report['unheard']): number {
  return unheard.filter(({ kind }) => kind !== 'elsewhere').length;
}

/** Why it is not all proved, in words; what one end alone tells of is no flaw: the other may have come or gone meanwhile. */
function flawsOf({ connections, clear, unheard, lost, notShown }: Report): string[] {
  const inClear = clear.filter(({ kind }) => kind === 'clear').length;
  const disagree = connections.filter(({ flaws }) => flaws.length > 0).length;
  return [
    ...(inClear > 0 ? [`${counted(inClear, 'connection')} in clear text`] : []),
    ...(disagree > 0 ? [`${counted(disagree, 'connection')} whose ends disagree`] : []),
    ...(unheard.length > 0 ? [`${counted(unheard.length, 'proxy', 'proxies')} not heard`] : []),
    ...(lost > 0 ? [`${counted(lost, 'answer')} lost on the way`] : []),
    ...(notShown > 0 ? [`${counted(notShown, 'older connection')} not shown`] : []),
  ];
}

interface Shown {
  readonly palette: Palette;
  readonly rows: 'each' | 'kinds';
  readonly nowMs: number;
}

function reportText(report: Report, shown: Shown): string {
  const { palette } = shown;
  const { connections, clear, open, asked, unheard, outside } = report;
  const flaws = flawsOf(report);
  const both = connections.filter(({ provedBy }) => provedBy === 'both').length;
  const one = connections.length - both;
  return [
    connections.length === 0
      ? 'No connection between services is open that is encrypted'
      : provedText(connections, shown),
    ...(clear.length === 0 ? [] : ['', openText(clear, palette)]),
    ...(open.length === 0 ? [] : ['', `Clear text is taken at ${open.join(', ')}`]),
    '',
    `${counted(asked - silentOf(unheard), 'proxy has', 'proxies have')} answered. ` +
      `${counted(both, 'connection is', 'connections are')} proved by both ends` +
      (one === 0 ? '' : `, ${one} by the one end that is known here`),
    ...outsideLines(outside),
    ...surveyLines(report, palette),
    flaws.length === 0
      ? paint(palette, 'green', 'Nothing between services is in clear text')
      : paint(palette, 'red', `Not proved: ${flaws.join(', ')}`),
  ].join('\n');
}

/** What is between a proxy and its own application is nobody's business. */
const OUTSIDE = {
  mtls: 'with certificates of both ends',
  tls: 'over TLS',
  clear: 'in clear text',
  unread: 'passed on unread',
} as const;

function outsideLines(outside: Report['outside']): string[] {
  const said = (Object.keys(OUTSIDE) as (keyof typeof OUTSIDE)[]).flatMap((kind) =>
    outside[kind] === 0 ? [] : [`${outside[kind]} ${OUTSIDE[kind]}`],
  );
  return said.length === 0 ? [] : [`Not between services: ${said.join(', ')}`];
}

const PROVED_BY = { both: 'both ends', client: 'client only', server: 'server only' } as const;

function provedText(connections: readonly ProvedConnection[], { palette, rows, nowMs }: Shown): string {
  const groups = new Map<string, ProvedConnection[]>();
  for (const [i, one] of connections.entries()) {
    const { client, server, service, protocol, version, cipher, provedBy, flaws } = one;
    const kind = JSON.stringify([client, server, service, protocol, version, cipher, provedBy, flaws]);
    const key = rows === 'each' ? `${kind} ${i}` : kind;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const head = rows === 'each' ? ['FROM', 'TO'] : ['CONNECTIONS'];
  return formatTable(
    ['CLIENT', 'SERVER', 'SERVICE', 'PROTOCOL', 'TLS', 'CIPHER', ...head, 'REQUESTS', 'CERTIFICATE', 'PROVED BY'],
    [...groups.values()]
      .map((group) => groupRow(group, { palette, rows, nowMs }))
      .toSorted(([a = '', b = ''], [c = '', d = '']) => a.localeCompare(c) || b.localeCompare(d)),
  );
}

/** One row for connections of one kind. */
function groupRow(group: readonly ProvedConnection[], { palette, rows, nowMs }: Shown): string[] {
  const [first] = group;
  const { client, server, service, protocol, version, cipher, provedBy, flaws, clientAddress, serverAddress } = first!;
  const untilMs = Math.min(...group.map((one) => one.untilMs ?? Number.POSITIVE_INFINITY));
  const requests = group.reduce((sum, one) => sum + one.requests, 0);
  const colour = flaws.length > 0 ? 'red' : provedBy === 'both' ? 'green' : 'yellow';
  return [
    client || '-',
    server || '-',
    service || '-',
    protocol,
    version,
    cipher,
    ...(rows === 'each' ? [clientAddress, serverAddress] : [String(group.length)]),
    String(requests),
    Number.isFinite(untilMs) ? ageOf(untilMs - nowMs) : '-',
    paint(palette, colour, flaws.length > 0 ? `nobody: ${flaws.join('; ')}` : PROVED_BY[provedBy]),
  ];
}

const OPEN_KINDS = { clear: 'clear text', tls: 'TLS, one end', unread: 'passed on' } as const;

/** One row for all of one client or one endpoint. */
function openText(clear: readonly OpenConnection[], palette: Palette): string {
  const groups = new Map<string, { row: readonly string[]; count: number; why: string }>();
  for (const { kind, direction, proxy, service, remote, why } of clear) {
    const host = direction === 'in' ? remote.replace(/:\d+$/, '') : remote;
    const row = [OPEN_KINDS[kind], direction, proxy, service || '-', host];
    const key = JSON.stringify([...row, why]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { row, count: 1, why });
    else group.count++;
  }
  return formatTable(
    ['NOT PROVED', 'WAY', 'PROXY', 'SERVICE', 'OTHER END', 'CONNECTIONS', 'WHY'],
    [...groups.values()].map(({ row, count, why }) => [...row, String(count), paint(palette, 'yellow', why)]),
  );
}

function counted(count: number, one: string, many = one.replace(/(^| )(\w+)$/, '$1$2s')): string {
  return `${count} ${count === 1 ? one : many}`;
}
