import type { ListedProxy } from '../control/shared-proxies.ts';
import { ADMIN_DEFAULT, ADMIN_OPTION, readAdmin } from './admin.ts';
import { ageOf } from './age.ts';
import { defineCommand, type Options, UsageError } from './command.ts';
import { formatTable } from './table.ts';

const OPTIONS = { admin: ADMIN_OPTION } as const satisfies Options;

export const proxies = defineCommand({
  name: 'proxies',
  summary: 'List every proxy of the mesh that is connected, and how far it is',
  usage: 'fourways proxies [--admin HOST:PORT] [--json]',
  details:
    'LAG is how long a proxy has not served the plan that it should; "-" when it does. CONTROL is shown where several control ' +
    'planes share one PostgreSQL: the one that the proxy is connected to.',
  json:
    '`{ proxies: [{ instance, identity, role, software, zone, services, version, wanted, refused?, lagMs, connectedMs, ' +
    'certificateEndMs?, control, isHere }] }`, the answer of /proxies.',
  options: OPTIONS,

  async run({ values, positionals: [more] }, io) {
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    const report = (await readAdmin(io, values.admin ?? ADMIN_DEFAULT, '/proxies')) as {
      readonly proxies: readonly ListedProxy[];
    };
    io.out(values.json === true ? JSON.stringify(report) : textOf(report.proxies, io.clock.wallMs()));
    return 0;
  },
});

const COLUMNS = ['SERVICE', 'IDENTITY', 'PLAN', 'LAG', 'CERTIFICATE', 'CONNECTED', 'VERSION'];

function textOf(rows: readonly ListedProxy[], nowMs: number): string {
  if (rows.length === 0) return 'No proxy is connected';
  const isShared = rows.some(({ isHere }) => !isHere);
  const lines = rows.map((row) => [
    row.services.join(' ') || row.role,
    row.identity,
    (row.version ?? 'none').slice(0, 12),
    row.refused === undefined ? lagOf(row.lagMs) : 'refused',
    row.certificateEndMs === undefined ? '' : ageOf(row.certificateEndMs - nowMs),
    ageOf(row.connectedMs),
    row.software,
    ...(isShared ? [row.control] : []),
  ]);
  const refused = rows.flatMap(({ instance, refused: why }) =>
    why === undefined ? [] : [`${instance} refuses: ${why}`],
  );
  return [formatTable([...COLUMNS, ...(isShared ? ['CONTROL'] : [])], lines), ...refused].join('\n');
}

function lagOf(ms: number): string {
  return ms === 0 ? '-' : ageOf(ms);
}
