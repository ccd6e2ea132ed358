import type { CertificateReport, CertificateRow } from '../api/admin/view.ts';
import { ADMIN_DEFAULT, ADMIN_OPTION, readAdmin } from './admin.ts';
import { defineCommand, type Options, UsageError } from './command.ts';
import { paint, type Palette } from './paint.ts';
import { shortPath } from './plan-text.ts';
import { formatTable } from './table.ts';

const OPTIONS = { admin: ADMIN_OPTION } as const satisfies Options;

export const certs = defineCommand({
  name: 'certs',
  summary: 'List every certificate that is served, until when, and from where',
  usage: 'fourways certs [--admin HOST:PORT]',
  details: [
    'Certificates of Secrets and those that are ordered by ACME, by listener, with the next renewal and the last error.',
    'Ends with 1 when one is awaited, has ended, or is not valid yet; with 0 otherwise.',
  ].join('\n'),
  json:
    '`{ store?: { name, state, reason }, orders, certificates: [{ owner, listener, hostname, ports, secret, state, names, issuer?, ' +
    'serial?, from?, until?, source: { acme } | { file, line }, next?, error? }] }`: the answer of /certificates.',
  options: OPTIONS,

  async run({ values: { admin = ADMIN_DEFAULT, json }, positionals }, io) {
    if (positionals[0] !== undefined) throw new UsageError(`Unexpected argument "${positionals[0]}"`);
    const report = (await readAdmin(io, admin, '/certificates')) as CertificateReport;
    io.out(json === true ? JSON.stringify(report) : certificatesText(report, io));
    return report.certificates.every(({ state }) => state === 'valid' || state === 'expires-soon') ? 0 : 1;
  },
});

interface Shown extends Palette {
  /** Files below it are named from there. */
  readonly cwd: string;
}

function certificatesText({ store, certificates }: CertificateReport, shown: Shown): string {
  const rows = certificates.map((row) => [
    `${row.owner} ${row.listener}`,
    row.ports.join(', '),
    row.hostname,
    row.secret,
    row.state,
    row.until ?? '-',
    row.next ?? '-',
    sourceText(row, shown.cwd),
  ]);
  const failing = certificates.filter(({ error }) => error !== undefined);
  return [
    ...(certificates.length === 0
      ? ['No listener serves a certificate']
      : [formatTable(['LISTENER', 'PORT', 'HOST', 'SECRET', 'STATE', 'UNTIL', 'NEXT', 'FROM'], rows)]),
    ...failing.map(({ secret, error }) => paint(shown, 'red', `${secret}: ${error}`)),
    ...storeLines(store, shown),
  ].join('\n');
}

export function storeLines(store: CertificateReport['store'], palette: Palette): string[] {
  return store?.state === 'away' ? [paint(palette, 'red', `The store is away: ${store.name}: ${store.reason}`)] : [];
}

function sourceText({ source }: CertificateRow, cwd: string): string {
  return 'acme' in source ? source.acme : `${shortPath(source.file, cwd)}:${source.line}`;
}
