import { PHASES } from '../filter/declaration.ts';
import type { FilterDeclaration } from '../filter/declaration.ts';
import { FILTERS, FILTERS_BY_NAME } from '../filters/list.ts';
import { nearest } from '../base/problem.ts';
import { CommandFailure, defineCommand, UsageError } from './command.ts';
import { formatTable } from './table.ts';

export const filters = defineCommand({
  name: 'filters',
  summary: 'List every filter in the order in which requests meet them',
  usage: 'fourways filters [NAME] [--json]',
  details: [
    'Answers meet them the other way round. COMBINES says what becomes of a filter that is asked for on several targets:',
    'closest  the closest target counts',
    'adds     all of them act, the farthest first',
    'narrows  all of them act; each may refuse, none allows what another one refuses',
  ].join('\n'),
  json:
    '`{ filters: [{ name, phase, status, combines, audit, description, faults: [{ code, status, grpc, title, advice }], ' +
    'events: [{ event, means }] }] }`, in running order.',
  options: {},
  words: FILTERS.map(({ name }) => name),

  async run({ values: { json = false }, positionals: [name, more] }, io) {
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    const chosen = name === undefined ? FILTERS : [filterNamed(name)];
    if (json) io.out(JSON.stringify({ filters: chosen.map(viewOf) }));
    else if (name === undefined) io.out(tableOf(chosen));
    else io.out(pageOf(chosen[0]!));
    return 0;
  },
});

/** @throws {CommandFailure} with the nearest name */
function filterNamed(name: string): FilterDeclaration {
  const found = FILTERS_BY_NAME.get(name);
  if (found !== undefined) return found;
  const near = nearest(
    name,
    FILTERS.map((filter) => filter.name),
  );
  throw new CommandFailure(
    `There is no filter "${name}"${near === undefined ? ': "fourways filters" lists all' : `: did you mean "${near}"?`}`,
  );
}

function viewOf(declaration: FilterDeclaration): object {
  const { name, phase, status, composition, decides, faults, events } = declaration;
  return {
    name,
    phase,
    status,
    combines: composition,
    audit: decides === 'yes',
    description: descriptionOf(declaration),
    faults: Object.values(faults).map(({ code, status: http, grpc, title, advice }) => ({
      code,
      status: http,
      grpc,
      title,
      advice,
    })),
    events: Object.entries(events).map(([event, means]) => ({ event, means })),
  };
}

function descriptionOf({ config }: FilterDeclaration): string {
  return (config as { readonly description?: string }).description ?? '';
}

function tableOf(chosen: readonly FilterDeclaration[]): string {
  const rows = chosen
    .toSorted((a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase))
    .map((declaration) => {
      const { name, phase, status, composition, decides } = declaration;
      return [name, phase, status, composition, decides === 'yes' ? 'yes' : '-', descriptionOf(declaration)];
    });
  return formatTable(['FILTER', 'PHASE', 'STATUS', 'COMBINES', 'AUDIT', 'DOES'], rows);
}

function pageOf(declaration: FilterDeclaration): string {
  const { name, phase, status, composition, decides, faults, events } = declaration;
  const faultRows = Object.values(faults).map(({ code, status: http, title }) => [code, String(http), title]);
  const eventRows = Object.entries(events);
  return [
    `${name}: ${descriptionOf(declaration)}`,
    `phase ${phase}, ${status}, combines ${composition}, ${decides === 'yes' ? 'can be audited' : 'has nothing to audit'}`,
    ...(faultRows.length === 0 ? [] : ['', formatTable(['FAULT', 'STATUS', 'TITLE'], faultRows)]),
    ...(eventRows.length === 0 ? [] : ['', formatTable(['EVENT', 'MEANS'], eventRows)]),
  ].join('\n');
}
