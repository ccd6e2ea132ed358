import type { CacheReport, PurgeReport } from '../api/admin/cache.ts';
import { ADMIN_DEFAULT, ADMIN_OPTION, readAdmin } from './admin.ts';
import { defineCommand, type Options, UsageError, type Values } from './command.ts';
import { formatTable } from './table.ts';

const OPTIONS = {
  url: { type: 'string', value: 'URL', description: 'Purge what is stored of this URL' },
  prefix: { type: 'string', value: 'URL', description: 'Purge what is stored of URLs that begin like this' },
  tag: { type: 'string', value: 'TAG', description: 'Purge what origins have given this tag' },
  all: { type: 'boolean', description: 'Purge everything' },
  policy: { type: 'string', value: 'NAMESPACE/NAME', description: 'Purge only what this Policy keeps' },
  admin: ADMIN_OPTION,
} as const satisfies Options;

const WORDS = ['stats', 'purge'] as const;

export const cache = defineCommand({
  name: 'cache',
  summary: 'Show what caches hold, or make them forget',
  usage:
    'fourways cache stats | purge (--url URL | --prefix URL | --tag TAG | --all) [--policy NS/NAME] [--admin HOST:PORT]',
  details: [
    'Every worker keeps answers of its own; all of them are asked. What is on its way when it is purged is not kept.',
    'A URL is the one that clients ask for: scheme, host, port unless it is the usual one, path, and query if there is one.',
  ].join('\n'),
  json:
    '`stats`: `{ workers, zones: [{ owner, entries, bytes, bytesMax, filling }] }`, the answer of /cache. ' +
    '`purge`: `{ workers, purged }`, that of /cache/purge.',
  options: OPTIONS,
  words: WORDS,

  async run({ values, positionals }, io) {
    const [word, more] = positionals;
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    const { admin = ADMIN_DEFAULT, json } = values;
    if (word === 'stats') {
      const unfit = (['url', 'prefix', 'tag', 'all', 'policy'] as const).find((name) => values[name] !== undefined);
      if (unfit !== undefined) throw new UsageError(`--${unfit} is for purge`);
      const report = (await readAdmin(io, admin, '/cache')) as CacheReport;
      io.out(json === true ? JSON.stringify(report) : statsText(report));
      return 0;
    }
    if (word !== 'purge') throw new UsageError(`Expected stats or purge${word === undefined ? '' : `, not "${word}"`}`);
    const report = (await readAdmin(io, admin, { path: '/cache/purge', body: wantedOf(values) })) as PurgeReport;
    io.out(json === true ? JSON.stringify(report) : purgeText(report));
    return 0;
  },
});

function wantedOf({ url, prefix, tag, all, policy }: Values<typeof OPTIONS>): object {
  const wishes = [
    ...(url === undefined ? [] : [{ by: 'url', value: url }]),
    ...(prefix === undefined ? [] : [{ by: 'prefix', value: prefix }]),
    ...(tag === undefined ? [] : [{ by: 'tag', value: tag }]),
    ...(all === true ? [{ by: 'all' }] : []),
  ];
  if (wishes.length !== 1) throw new UsageError('Expected one of --url, --prefix, --tag and --all');
  return { ...wishes[0], ...(policy !== undefined && { policy }) };
}

function statsText({ workers, zones }: CacheReport): string {
  if (zones.length === 0) return 'No policy keeps answers';
  const rows = zones.map(({ owner, entries, bytes, bytesMax }) => [
    owner,
    String(entries),
    mebibytes(bytes),
    mebibytes(bytesMax),
    `${Math.round((bytes / Math.max(1, bytesMax)) * 100)} %`,
  ]);
  return `${formatTable(['POLICY', 'ANSWERS', 'MIB', 'MIB MAX', 'USED'], rows)}\n\nin ${workersText(workers)}`;
}

function purgeText({ workers, purged }: PurgeReport): string {
  return `Purged ${purged} ${purged === 1 ? 'answer' : 'answers'} in ${workersText(workers)}`;
}

function workersText(count: number): string {
  return count === 1 ? '1 worker' : `${count} workers`;
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
