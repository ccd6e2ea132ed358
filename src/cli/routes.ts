import type { Position } from '../base/problem.ts';
import type { Plan, PlanListener, PlanRule, PlanStream } from '../ir/plan.ts';
import { type Candidate, compareCandidates } from '../proxy/candidate.ts';
import { RouteTables } from '../proxy/route-table.ts';
import { defineCommand, type Options } from './command.ts';
import { PLAN_OPTIONS, readPlan } from './plan-source.ts';
import { backendText, matchText, placeText } from './plan-text.ts';
import { formatTable } from './table.ts';

const OPTIONS = { ...PLAN_OPTIONS } as const satisfies Options;

export const routes = defineCommand({
  name: 'routes',
  summary: 'List all routes in the order in which they are tried',
  usage: 'fourways routes PATH | --admin HOST:PORT',
  details: [
    'One line for each match of each rule, by listener and host, best match first.',
    'Matches: /a is exact, /a/* a prefix, ~ an expression, name=value a header, ?name=value a query parameter.',
  ].join('\n'),
  json: '`{ plan, routes: [{ listener, port, host, match, rule, filters: [name], backends: [{ cluster?, invalid?, weight }], at? }] }`.',
  options: OPTIONS,

  async run({ values, positionals }, io) {
    const plan = await readPlan({ path: positionals[0], admin: values.admin, more: positionals[1] }, io);
    const rows = routeRows(plan);
    const streams = streamRows(plan);
    if (values.json === true) {
      io.out(
        JSON.stringify({ plan: plan.version, routes: [...rows.map((row) => jsonOf(row)), ...streams.map(streamJson)] }),
      );
    } else if (rows.length + streams.length === 0) io.out('No routes');
    else io.out(formatTable(HEAD, [...rows.map((row) => cellsOf(row, io.cwd)), ...streams.map(streamCells)]));
    return 0;
  },
});

const HEAD = ['LISTENER', 'PORT', 'HOST', 'MATCH', 'RULE', 'FILTERS', 'BACKENDS', 'AT'];

interface Row {
  readonly listener: string;
  readonly port: number;
  readonly host: string;
  readonly candidate: Candidate<PlanRule>;
}

/** Listeners and hosts by name, matches as the proxy tries them. */
function routeRows(plan: Plan): Row[] {
  const { tables } = RouteTables.empty<PlanRule>().with({ set: plan.routes, remove: [] }, (rule) => rule);
  return sorted(plan.listeners).flatMap(([listener, { port }]) => {
    const hosts = [...(tables.listener(listener)?.hosts.entries() ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return hosts.flatMap(([host, tree]) =>
      tree
        .all()
        .toSorted(compareCandidates)
        .map((candidate) => ({ listener, port: plan.ports[port]!.port, host, candidate })),
    );
  });
}

function sorted(listeners: Plan['listeners']): [string, PlanListener][] {
  return Object.entries(listeners).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

interface StreamRow {
  readonly listener: string;
  readonly port: number;
  readonly host: string;
  /** `TLS`, `TCP` or `UDP`: there is nothing else that could match. */
  readonly match: string;
  readonly stream: PlanStream;
}

/** Routes below HTTP, by listener and host; of several for one the first takes everything. */
function streamRows(plan: Plan): StreamRow[] {
  const rows = Object.values(plan.streams).flatMap((stream) =>
    stream.attach.flatMap(({ listener, hosts }) =>
      hosts.map((host): StreamRow => {
        const view = plan.listeners[listener]!;
        const match = (view.stream?.kind ?? 'tcp').toUpperCase();
        return { listener, port: plan.ports[view.port]!.port, host, match, stream };
      }),
    ),
  );
  const key = ({ listener, host }: StreamRow): string => `${listener} ${host}`;
  return rows.toSorted((a, b) =>
    key(a) === key(b) ? a.stream.createdMs - b.stream.createdMs : key(a) < key(b) ? -1 : 1,
  );
}

function streamJson({ listener, port, host, match, stream }: StreamRow): RouteJson {
  const backends = stream.backends.map((backend) =>
    'cluster' in backend
      ? { cluster: backend.cluster, weight: backend.weight }
      : { invalid: backend.why, weight: backend.weight },
  );
  return { listener, port, host, match, rule: stream.name, filters: [], backends, at: undefined };
}

function streamCells({ listener, port, host, match, stream }: StreamRow): string[] {
  const alone = stream.backends.length === 1;
  const backends = stream.backends.map((backend) => {
    const name = 'cluster' in backend ? backend.cluster : `invalid (${backend.why})`;
    return alone ? name : `${name} ${backend.weight}`;
  });
  return [listener, String(port), host, match, stream.name, '-', backends.join(', '), '-'];
}

interface RouteJson {
  readonly listener: string;
  readonly port: number;
  readonly host: string;
  readonly match: string;
  readonly rule: string;
  readonly filters: readonly string[];
  readonly backends: readonly { readonly cluster?: string; readonly invalid?: string; readonly weight: number }[];
  readonly at: Position | undefined;
}

function jsonOf({ listener, port, host, candidate: { match, rule } }: Row): RouteJson {
  return {
    listener,
    port,
    host,
    match: matchText(match),
    rule: rule.name,
    filters: rule.filters.map(({ filter }) => filter),
    backends: rule.backends.map(({ target, weight }) =>
      target.kind === 'cluster' ? { cluster: target.cluster, weight } : { invalid: target.why, weight },
    ),
    at: rule.at,
  };
}

function cellsOf({ listener, port, host, candidate: { match, rule } }: Row, cwd: string): string[] {
  const alone = rule.backends.length === 1;
  return [
    listener,
    String(port),
    host,
    matchText(match),
    rule.name,
    rule.filters.map(({ filter }) => filter).join(', ') || '-',
    rule.backends.map((backend) => backendText(backend, alone)).join(', ') || '-',
    placeText(rule.at, cwd),
  ];
}
