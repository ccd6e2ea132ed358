/**
 * `npm run reference`: writes the pages of docs/reference/ from the code, so that they cannot say anything else.
 * `--check` compares instead of writing; so does a test.
 */
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { answerFor, FAULT_CODES, type FaultKind } from '../src/base/fault.ts';
import { COMMANDS } from '../src/cli/commands.ts';
import { optionTerm, optionText } from '../src/cli/help.ts';
import { REGISTRY_FAULTS } from '../src/control/registry.ts';
import type { FilterDeclaration } from '../src/filter/declaration.ts';
import { FILTERS, PLANNED_FILTERS } from '../src/filters/list.ts';
import { METRIC_NAMES, metricDef } from '../src/observe/metric-list.ts';
import { PUSH_FAULTS } from '../src/push/faults.ts';
import { apiVersionOf, type Kind } from '../src/resource/kind.ts';
import { KINDS } from '../src/resource/kinds/list.ts';
import { MEMBER_FAULTS } from '../src/sidecar/membership.ts';
import type { JsonSchema } from '../src/schema/json-schema.ts';
import { defaultsPage } from './defaults-page.ts';
import { fieldRows } from './schema-rows.ts';

const ROOT = new URL('..', import.meta.url).pathname;
const FOLDER = 'docs/reference';

type Page = readonly [path: string, text: string];

/** Every page of docs/reference/ with its text. */
export async function referencePages(): Promise<ReadonlyMap<string, string>> {
  const filters = filterPages();
  const pages: Page[] = [
    ['faults.md', faultsPage()],
    ['metrics.md', metricsPage()],
    ['cli.md', await cliPage()],
    ['defaults.md', defaultsPage()],
    ...KINDS.map((kind): Page => [`kinds/${kind.kind.toLowerCase()}.md`, kindPage(kind)]),
    ...filters,
  ];
  const index: Page = ['README.md', indexPage(pages)];
  return new Map([index, ...pages].map(([path, text]) => [path, `${text.trimEnd()}\n`]));
}

/** Pages that are missing, different, or there without a reason. */
export async function stalePages(): Promise<string[]> {
  const pages = await referencePages();
  const folder = join(ROOT, FOLDER);
  const stale = [...pages].flatMap(([path, text]) => {
    const file = join(folder, path);
    return existsSync(file) && readFileSync(file, 'utf8') === text ? [] : [path];
  });
  return [...stale, ...globSync('**/*.md', { cwd: folder }).filter((path) => !pages.has(path))];
}

function indexPage(pages: readonly Page[]): string {
  const rows = pages.map(([path, text]) => `- [${text.split('\n', 1)[0]!.replace(/^# /, '')}](${path})`);
  return ['# Reference', '', 'Written from the code by `npm run reference`. Do not edit.', '', ...rows].join('\n');
}

function faultsPage(): string {
  const tables = [PUSH_FAULTS, REGISTRY_FAULTS, MEMBER_FAULTS, ...PLANNED_FILTERS.map(({ faults }) => faults)];
  const kinds = [...FAULT_CODES.map(answerFor), ...tables.flatMap((table) => Object.values<FaultKind>(table))];
  const rows = kinds.flatMap(({ code, blame, status, grpc, retry, title, advice }) => {
    const answer = status === 0 ? 'no answer is possible' : `status ${status}, gRPC ${grpc}`;
    const again = {
      never: 'not tried again',
      reused: 'tried again if the connection was reused',
      always: 'tried again',
    };
    return [
      `## ${code}`,
      '',
      `${title}.`,
      '',
      `- Answer: ${answer}`,
      `- To blame: ${blame}`,
      `- Retry: ${again[retry]}`,
      '',
      advice,
      '',
    ];
  });
  return [
    '# Faults',
    '',
    'What the world can do wrong, and what Fourways answers. The code stands in the answer (RFC 9457, `code`), in the',
    'access log and in the metric `fourways_faults_total`. Codes are a contract; titles may change.',
    '',
    'To blame is `client`, `policy` (one of yours refused), `gateway` (this configuration or Fourways), `dependency`',
    '(a store or service that a filter needs) or `upstream`. Those that begin with `push.` and some with `mesh.` are of the',
    'streams between proxies and control plane: they stand in logs and in `fourways_push_streams_ended_total`.',
    '',
    ...rows,
  ].join('\n');
}

function metricsPage(): string {
  const rows = METRIC_NAMES.map((name) => {
    const { type, unit, labels, help } = metricDef(name);
    const labelText = labels.length === 0 ? '' : labels.map((label) => `\`${label}\``).join(', ');
    return [`\`${name}\``, type, unit, labelText, help];
  });
  return [
    '# Metrics',
    '',
    'Served at `/metrics` of the admin API. Names and labels follow the OpenTelemetry conventions where there is one.',
    'No label value comes from a client, and the number of series is bounded.',
    '',
    table(['Metric', 'Type', 'Unit', 'Labels', 'What it is'], rows),
  ].join('\n');
}

async function cliPage(): Promise<string> {
  const commands = await Promise.all(COMMANDS.map(({ load }) => load()));
  const sections = commands.flatMap(({ name, summary, usage, details, json, options }) => [
    `## fourways ${name}`,
    '',
    `${summary}.`,
    '',
    '```',
    usage,
    '```',
    '',
    ...(details === undefined ? [] : ['```text', details, '```', '']),
    table(
      ['Option', ''],
      Object.entries(options).map(([option, spec]) => [`\`${optionTerm(option, spec).trim()}\``, optionText(spec)]),
    ),
    '',
    `\`--json\` prints: ${json}`,
    '',
  ]);
  return [
    '# Commands',
    '',
    'Exit codes: 0 done, 1 problems were found or it failed, 2 the arguments are wrong. Under `--json`, a command that',
    'fails prints `{ "error": message }`. Colours are used on a terminal only, and never when `NO_COLOR` is set.',
    '',
    ...sections,
  ].join('\n');
}

function kindPage(kind: Kind): string {
  const { group, versions, scope } = kind;
  const schema = kind.schema as JsonSchema;
  const accepted = versions.map((version) => `\`${apiVersionOf({ group, versions: [version] })}\``).join(', ');
  // The same in every kind, and in Kubernetes.
  const { apiVersion: _v, kind: _k, metadata: _m, status: _s, ...own } = schema.properties ?? {};
  return [
    `# ${kind.kind}`,
    '',
    describe(schema),
    '',
    `- apiVersion: ${accepted}`,
    `- ${scope === 'cluster' ? 'Not in a namespace' : 'In a namespace; `default` where the manifest names none'}`,
    ...(schema.additionalProperties === false ? [] : ['- Fields that are not listed are accepted and not read']),
    '',
    fieldTable({ ...schema, properties: own }),
  ].join('\n');
}

/** Those that no policy asks for have no fields; one page says what both ends of a user context do. */
function filterPages(): Page[] {
  const asked = new Set<string>(FILTERS.map(({ name }) => name));
  const all = PLANNED_FILTERS.filter(({ name }) => name !== 'signUserContext');
  return all.map((declaration) => {
    const { name, config } = declaration;
    const folder = name.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
    const doc = join(ROOT, 'src/filters', folder, 'doc.md');
    return [
      `filters/${folder}.md`,
      [
        `# Filter \`${name}\``,
        '',
        ...(existsSync(doc) ? [filterDoc(doc)] : [describe(config as JsonSchema)]),
        '',
        ...declared(declaration),
        '',
        ...(asked.has(name) ? ['## Fields', '', fieldTable(config as JsonSchema)] : []),
      ].join('\n'),
    ];
  });
}

const COMBINES = {
  closest: 'the closest target counts',
  adds: 'all targets count, the farthest first',
  narrows: 'all of them act; each may refuse, none allows what another one refuses',
};

/** What the declaration of a filter says besides its fields. */
function declared({ phase, status, composition, decides, faults, events }: FilterDeclaration): string[] {
  const faultRows = Object.values(faults).map(
    ({ code, status: http, title }) =>
      `| [\`${code}\`](../faults.md#${code.replaceAll('.', '')}) | ${http} | ${title} |`,
  );
  const eventRows = Object.entries(events).map(([event, means]) => `| \`${event}\` | ${means} |`);
  return [
    '## In short',
    '',
    `- Phase \`${phase}\`, ${status}`,
    `- On several targets: ${COMBINES[composition]}`,
    `- Mode \`audit\`: ${decides === 'yes' ? 'decides, logs, counts, and lets through' : 'not for this filter, which decides nothing'}`,
    ...(faultRows.length === 0 ? [] : ['', '| fault | status | title |', '| --- | --- | --- |', ...faultRows]),
    ...(eventRows.length === 0
      ? []
      : ['', '| `fourways_filter_events_total{event}` | counts |', '| --- | --- |', ...eventRows]),
  ];
}

/** The text of a filter's doc.md under our own title, its links to other filters turned to their pages. */
function filterDoc(file: string): string {
  return readFileSync(file, 'utf8')
    .replace(/^# .*\n+/, '')
    .replaceAll(/\]\(\.\.\/([a-z-]+)\/doc\.md/g, ']($1.md')
    .trimEnd();
}

function describe({ description = '' }: JsonSchema): string {
  return description;
}

/** A table of all fields of a schema, nested ones with their path. */
function fieldTable(schema: JsonSchema): string {
  return table(
    ['Field', 'Value', 'Default', ''],
    fieldRows(schema).map(({ path, value, fallback, text }) => [`\`${path}\``, value, fallback, text]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => escapeCell(cell)).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map((row) => line(row))].join('\n');
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

async function main(check: boolean): Promise<void> {
  if (check) {
    const stale = await stalePages();
    for (const path of stale) console.error(`${FOLDER}/${path} is not what the code says: run "npm run reference"`);
    process.exitCode = stale.length === 0 ? 0 : 1;
    return;
  }
  const pages = await referencePages();
  rmSync(join(ROOT, FOLDER), { recursive: true, force: true });
  for (const [path, text] of pages) {
    const file = join(ROOT, FOLDER, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

if (import.meta.main) await main(process.argv.includes('--check'));
