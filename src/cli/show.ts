import type { StatusList } from '../api/admin/view.ts';
import type { FleetStats } from '../control/fleet.ts';
import { describe, type Resource } from '../resource/resource.ts';
import { manifestOf, writeManifests } from '../resource/write.ts';
import { ADMIN_OPTION, readAdmin } from './admin.ts';
import { type Arguments, CommandFailure, defineCommand, type Io, type Options, UsageError } from './command.ts';
import { conditionRows } from './conditions.ts';
import { readUsable } from './configuration.ts';
import { endpointsText } from './show-endpoints.ts';
import { showPolicies } from './show-policies.ts';
import { placeText } from './plan-text.ts';
import { formatTable } from './table.ts';

const WHATS = ['resources', 'plan', 'status', 'endpoints'] as const;
type What = (typeof WHATS)[number];

const OPTIONS = {
  admin: ADMIN_OPTION,
  expanded: {
    type: 'boolean',
    description: 'Print the resources as manifests, with everything that the short form, TypeScript and defaults add',
  },
  policies: {
    type: 'string',
    value: 'ROUTE',
    description:
      'Print what the policies on a route come to, and what is overridden by what: HTTPRoute/shop/web, shop/web or web',
  },
} as const satisfies Options;

export const show = defineCommand({
  name: 'show',
  summary: 'Show what a configuration is made of, or what is served',
  usage:
    'fourways show [resources|plan|status] PATH [--expanded] | fourways show PATH --policies ROUTE | fourways show plan|status|endpoints --admin HOST:PORT',
  details: [
    'resources  every object, and where it is written; --expanded prints them as manifests. Values of secrets are hidden',
    'plan       what the compiler makes of them: JSON, without secrets',
    'status     conditions of every object; for a path, as far as they can be known without running it',
    'endpoints  of a running Fourways: where each comes from, since when it is there, its zone, and how well it is',
  ].join('\n'),
  json:
    'resources and status: a Kubernetes `List` of the objects; plan: the plan; endpoints: the answer of /endpoints; with --policies `{ route, rules: [{ rule, ' +
    'listener, filters, settings }] }`, each entry `{ name, value, owner, target, at, mode, overriddenBy?, broken? }`.',
  options: OPTIONS,
  words: WHATS,

  async run(args, io) {
    const { what, path } = readShow(args);
    const { admin, policies } = args.values;
    if (policies !== undefined) return showPolicies({ path, route: policies, json: args.values.json === true }, io);
    const shown = path === undefined ? await fromAdmin(what, admin!, io) : await fromPath(what, path, io);
    if (args.values.json === true) io.out(JSON.stringify(shown.json));
    else io.out(args.values.expanded === true ? shown.expanded : shown.text);
    return 0;
  },
});

interface Shown {
  readonly json: unknown;
  readonly text: string;
  readonly expanded: string;
}

function readShow({ values, positionals }: Arguments<typeof OPTIONS>): { what: What; path: string | undefined } {
  const named = WHATS.find((word) => word === positionals[0]);
  const [path, more] = named === undefined ? positionals : positionals.slice(1);
  if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
  if ((path === undefined) === (values.admin === undefined)) {
    throw new UsageError('Name either a file or folder with the configuration, or a running Fourways with --admin');
  }
  const what = named ?? (values.expanded === true || path !== undefined ? 'resources' : 'status');
  if (values.expanded === true && what !== 'resources') {
    throw new UsageError(`Option --expanded belongs to "show resources", not to "show ${what}"`);
  }
  return { what, path };
}

async function fromPath(what: What, path: string, io: Io): Promise<Shown> {
  const { resources, compiled } = await readUsable(path, io);
  switch (what) {
    case 'resources':
      return showResources(resources, io.cwd);
    case 'plan':
      return showPlan(compiled.withPlaces(compiled.bundle.plan));
    case 'status':
      return showStatus(compiled.statusOf({ bind: '0.0.0.0', ports: {}, appliedVersion: undefined }));
    case 'endpoints':
      throw new CommandFailure('Cannot show endpoints of a file: name a running Fourways with --admin');
  }
}

async function fromAdmin(what: What, admin: string, io: Io): Promise<Shown> {
  switch (what) {
    case 'resources':
      throw new CommandFailure('Cannot show resources of a running Fourways: it serves their plan and their status');
    case 'plan':
      return showPlan(await readAdmin(io, admin, '/plan'));
    case 'status':
      return showStatus(((await readAdmin(io, admin, '/status')) as StatusList).items);
    case 'endpoints': {
      const stats = (await readAdmin(io, admin, '/endpoints')) as FleetStats;
      const text = endpointsText(stats, io.clock.wallMs());
      return { json: stats, text, expanded: text };
    }
  }
}

function showResources(resources: readonly Resource[], cwd: string): Shown {
  const rows = resources.map((resource) => [describe(resource), placeText(resource.origin, cwd)]);
  return {
    json: listOf(resources.map((resource) => manifestOf(resource))),
    text: formatTable(['RESOURCE', 'AT'], rows),
    expanded: writeManifests(resources).trimEnd(),
  };
}

function showPlan(plan: unknown): Shown {
  const text = JSON.stringify(plan, undefined, 2);
  return { json: plan, text, expanded: text };
}

function showStatus(items: readonly object[]): Shown {
  const text = formatTable(['OBJECT', 'FOR', 'CONDITION', 'STATUS', 'REASON'], conditionRows(items));
  return { json: listOf(items), text, expanded: text };
}

function listOf(items: readonly object[]): StatusList {
  return { apiVersion: 'v1', kind: 'List', items };
}
