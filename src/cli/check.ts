import { resolve } from 'node:path';
import type { Problem } from '../base/problem.ts';
import { heldBodies } from '../compile/policy-view.ts';
import type { HeldBodies } from '../filter/declaration.ts';
import { defineCommand, type Io, type Options, UsageError } from './command.ts';
import { type Configuration, readConfiguration } from './configuration.ts';
import { excerptOf } from './excerpt.ts';
import { namedFileProblems } from './named-files.ts';
import { programProblems } from './named-programs.ts';

import { paint } from './paint.ts';
import { shortPath } from './plan-text.ts';

const OPTIONS = {
  strict: { type: 'boolean', description: 'Warnings count as errors' },
} as const satisfies Options;

/** The same compiler that `fourways up` runs, so that what passes here is accepted there. */
export const check = defineCommand({
  name: 'check',
  summary: 'Check configuration and report every problem',
  usage: 'fourways check PATH... [--strict]',
  details:
    'Several paths are read as one configuration. No port is bound; modules with filters of your own are loaded, and no request goes to them.',
  json:
    '`{ accepted, problems: [{ level, code, resource?, at?: { file, line, column }, field?, message, related? }], ' +
    'counts: { resources, ports, listeners, routes, rules, clusters }, buffering: [{ rule, filter, owner, request, response, certain }] }`: ' +
    '`buffering` names the rules whose bodies are not streamed, and the filters that hold them; not `certain` where code of your own decides it.',
  options: OPTIONS,

  async run({ values: { strict = false, json = false }, positionals: paths }, io) {
    if (paths.length === 0) throw new UsageError('Name at least one file or folder');
    const configuration = await readConfiguration(paths, io);
    const { resources } = configuration;
    const found = [
      // Instances of a mesh tell a control plane of themselves: no file has them.
      ...configuration.problems.filter(({ code }) => code !== 'service.no-workload'),
      ...(await namedFileProblems(resources)),
      ...(await programProblems(resources, io)),
    ];
    const problems = found.map((problem) => shortened(problem, io.cwd));
    const nothing = configuration.resources.length === 0;
    const accepted = !nothing && !problems.some(({ level }) => strict || level === 'error');
    if (json)
      io.out(JSON.stringify({ accepted, problems, counts: countsOf(configuration), buffering: heldIn(configuration) }));
    else {
      await printProblems(problems, io);
      const counts = countsOf(configuration);
      io.out(summaryText({ problems, accepted, nothing, counts, held: heldIn(configuration) }, io));
    }
    return accepted ? 0 : 1;
  },
});

/** Files as the user would name them from here. */
function shortened(problem: Problem, cwd: string): Problem {
  const { at, related } = problem;
  return {
    ...problem,
    ...(at === undefined ? {} : { at: { ...at, file: shortPath(at.file, cwd) } }),
    ...(related === undefined
      ? {}
      : {
          related: related.map((other) =>
            other.at === undefined ? other : { ...other, at: { ...other.at, file: shortPath(other.at.file, cwd) } },
          ),
        }),
  };
}

async function printProblems(problems: readonly Problem[], io: Io): Promise<void> {
  const texts = new Map<string, string | undefined>();
  const readText = async (file: string): Promise<string | undefined> => {
    // A pipe gets one line for each problem: easier to read for programs that do not ask for JSON.
    if (!io.isTerminal) return undefined;
    if (!texts.has(file)) texts.set(file, await io.readFile(resolve(io.cwd, file)).catch(() => undefined));
    return texts.get(file);
  };
  for (const problem of problems) {
    // oxlint-disable-next-line no-await-in-loop -- in order, and most are read from memory
    io.out(await excerptOf(problem, io, readText));
  }
}

interface Counts {
  readonly resources: number;
  readonly ports: number;
  readonly listeners: number;
  readonly routes: number;
  readonly rules: number;
  readonly clusters: number;
}

function countsOf({ resources, compiled: { bundle } }: Configuration): Counts {
  const { ports, listeners, routes, streams, clusters } = bundle.plan;
  // A route below HTTP has one rule.
  const below = Object.keys(streams).length;
  return {
    resources: resources.length,
    ports: Object.keys(ports).length,
    listeners: Object.keys(listeners).length,
    routes: Object.keys(routes).length + below,
    rules: Object.values(routes).reduce((sum, { rules }) => sum + rules.length, below),
    clusters: Object.keys(clusters).length,
  };
}

/** A filter that holds bodies back whole. */
interface Held extends HeldBodies {
  readonly rule: string;
  readonly filter: string;
  readonly owner: string;
}

function heldIn({ compiled: { bundle } }: Configuration): Held[] {
  return Object.values(bundle.plan.routes).flatMap(({ rules }) =>
    rules.flatMap(({ name, filters, backends }) =>
      [...filters, ...backends.flatMap((backend) => backend.filters)].flatMap(({ filter, config, owner }) => {
        const held = heldBodies(filter, config);
        return held.request || held.response ? [{ rule: name, filter, owner, ...held }] : [];
      }),
    ),
  );
}

/** Rules that are named one by one; of more, the number is said. */
const HELD_SHOWN_MAX = 10;

function streamingText(held: readonly Held[]): string[] {
  if (held.length === 0) return ['Streaming: every rule streams its bodies'];
  const lines = held.slice(0, HELD_SHOWN_MAX).map(({ rule, filter, owner, request, response, certain }) => {
    const bodies = [...(request ? ['requests'] : []), ...(response ? ['answers'] : [])].join(' and ');
    return certain
      ? `  ${rule}: bodies of ${bodies} are held whole, because filter "${filter}" of ${owner} reads them`
      : `  ${rule}: bodies of ${bodies} may be held whole: the code of filter "${filter}" of ${owner} decides it`;
  });
  const more = held.length - lines.length;
  return [
    'Streaming: every rule streams its bodies, but for',
    ...lines,
    ...(more > 0 ? [`  and ${more} more: --json lists all`] : []),
  ];
}

interface Summary {
  readonly problems: readonly Problem[];
  readonly accepted: boolean;
  readonly nothing: boolean;
  readonly counts: Counts;
  readonly held: readonly Held[];
}

function summaryText({ problems, accepted, nothing, counts, held }: Summary, io: Io): string {
  const errors = problems.filter(({ level }) => level === 'error').length;
  const warnings = problems.length - errors;
  const found = [
    ...(errors > 0 ? [count(errors, 'error')] : []),
    ...(warnings > 0 ? [count(warnings, 'warning')] : []),
  ];
  if (nothing && errors === 0) return paint(io, 'red', 'Not accepted: there is no configuration here');
  if (!accepted) return paint(io, 'red', `Not accepted: ${found.join(', ')}`);
  const { ports, listeners, routes, rules, clusters } = counts;
  const sizes = [
    count(ports, 'port'),
    count(listeners, 'listener'),
    count(routes, 'route'),
    count(rules, 'rule'),
    count(clusters, 'cluster'),
  ];
  const verdict = paint(io, 'green', `Accepted: ${sizes.join(', ')}`);
  return [`${verdict}${found.length === 0 ? '' : ` (${found.join(', ')})`}`, ...streamingText(held)].join('\n');
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`;
}
