import type { Position } from '../base/problem.ts';
import type { Plan, PlanRule } from '../ir/plan.ts';
import { type Candidate, compareCandidates } from '../proxy/candidate.ts';
import { RouteTables } from '../proxy/route-table.ts';
import { compareStreams } from '../proxy/stream-table.ts';
import { defineCommand, type Options } from './command.ts';
import { PLAN_OPTIONS, readPlan } from './plan-source.ts';
import { backendsText, type BackendShare, matchText, placeText } from './plan-text.ts';
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
    const rows = [...routeRows(plan), ...streamRows(plan)];
    if (values.json === true) io.out(JSON.stringify({ plan: plan.version, routes: rows }));
    else if (rows.length === 0) io.out('No routes');
    else
      io.out(
        formatTable(
          HEAD,
          rows.map((row) => cellsOf(row, io.cwd)),
        ),
      );
    return 0;
  },
});

const HEAD = ['LISTENER', 'PORT', 'HOST', 'MATCH', 'RULE', 'FILTERS', 'BACKENDS', 'AT'];

/** As `--json` has it. */
interface Row {
  readonly listener: string;
  readonly port: number;
  readonly host: string;
  readonly match: string;
  readonly rule: string;
  readonly filters: readonly string[];
  readonly backends: readonly BackendShare[];
  readonly at: Position | undefined;
}

/** Listeners and hosts by name, matches as the proxy tries them. */
function routeRows(plan: Plan): Row[] {
  const { tables } = RouteTables.empty<PlanRule>().with({ set: plan.routes, remove: [] }, (rule) => rule);
  return Object.entries(plan.listeners)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([listener, view]) => {
      const { port } = plan.ports[view.port]!;
      const hosts = [...(tables.listener(listener)?.hosts.entries() ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1));
      return hosts.flatMap(([host, tree]) =>
        tree
          .all()
          .toSorted(compareCandidates)
          .map((candidate) => ({ listener, port, host, ...said(candidate) })),
      );
    });
}

function said({ match, rule }: Candidate<PlanRule>): Pick<Row, 'match' | 'rule' | 'filters' | 'backends' | 'at'> {
  return {
    match: matchText(match),
    rule: rule.name,
    filters: rule.filters.map(({ filter }) => filter),
    backends: rule.backends.map(({ target, weight }) =>
      target.kind === 'cluster' ? { cluster: target.cluster, weight } : { invalid: target.why, weight },
    ),
    at: rule.at,
  };
}

/** Routes below HTTP, by listener and host; of several for one the first takes everything. */
function streamRows(plan: Plan): Row[] {
  const rows = Object.entries(plan.streams)
    .toSorted(compareStreams)
    .flatMap(([, { name, attach, backends }]) =>
      attach.flatMap(({ listener, hosts }) => {
        const view = plan.listeners[listener]!;
        const { port } = plan.ports[view.port]!;
        // `TLS`, `TCP` or `UDP`: there is nothing else that could match.
        const match = (view.stream?.kind ?? 'tcp').toUpperCase();
        const shares = backends.map((backend): BackendShare =>
          'cluster' in backend ? backend : { invalid: backend.why, weight: backend.weight },
        );
        return hosts.map((host): Row => ({
          listener,
          port,
          host,
          match,
          rule: name,
          filters: [],
          backends: shares,
          at: undefined,
        }));
      }),
    );
  const place = ({ listener, host }: Row): string => `${listener} ${host}`;
  // Sorting keeps the order of those with one place.
  return rows.toSorted((a, b) => (place(a) === place(b) ? 0 : place(a) < place(b) ? -1 : 1));
}

function cellsOf({ listener, port, host, match, rule, filters, backends, at }: Row, cwd: string): string[] {
  return [
    listener,
    String(port),
    host,
    match,
    rule,
    filters.join(', ') || '-',
    backendsText(backends) || '-',
    placeText(at, cwd),
  ];
}
