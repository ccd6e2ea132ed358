import type { CertificateReport, CertificateRow } from '../api/admin/view.ts';
import type { MeshCertificate, TrustedRoots } from '../api/admin/trust-view.ts';
import { ADMIN_DEFAULT, ADMIN_OPTION, readAdmin } from './admin.ts';
import { drill, rotate } from './certs-rotate.ts';
import { defineCommand, type ExitCode, type Io, type Options, UsageError, type Values } from './command.ts';
import { paint, type Palette } from './paint.ts';
import { shortPath } from './plan-text.ts';
import { formatTable } from './table.ts';

const OPTIONS = {
  alarm: { type: 'boolean', description: 'End with 1 also when one should have been renewed, or ends soon' },
  issuer: { type: 'boolean', description: 'With rotate: a new issuer below the same root' },
  root: { type: 'boolean', description: 'With rotate: a new root, and an issuer below it' },
  now: { type: 'boolean', description: 'With rotate: proxies renew at once, and not within a part of a life' },
  wait: { type: 'boolean', description: 'With rotate: follow it to its end' },
  cancel: { type: 'boolean', description: 'With rotate: take it back, as long as the new one has issued nothing' },
  phase: { type: 'string', value: 'TIME', description: 'With drill: longest time of each phase; default 2m' },
  abort: { type: 'boolean', description: 'With drill: end the one that runs, in a good state' },
  reason: { type: 'string', value: 'TEXT', description: 'With deny: why, for the list' },
  admin: ADMIN_OPTION,
} as const satisfies Options;

export type CertsValues = Values<typeof OPTIONS>;

const WORDS = ['rotate', 'drill', 'deny', 'allow', 'roots'] as const;
type Word = (typeof WORDS)[number];

/** Which options are for which word; `list` is for none of them. */
const FITS: Readonly<Record<Word | 'list', readonly (keyof typeof OPTIONS)[]>> = {
  list: ['alarm'],
  rotate: ['issuer', 'root', 'now', 'wait', 'cancel'],
  drill: ['phase', 'abort'],
  deny: ['reason'],
  allow: [],
  roots: [],
};

export const certs = defineCommand({
  name: 'certs',
  summary: 'List every certificate, until when, and from where; rotate those of a mesh',
  usage: [
    'fourways certs [--alarm]',
    'fourways certs rotate [--issuer | --root] [--now] [--wait] | --cancel',
    'fourways certs drill [--phase TIME] | --abort',
    'fourways certs deny SPIFFE-ID [--reason TEXT] | allow SPIFFE-ID',
    'fourways certs roots',
  ].join('\n'),
  details: [
    'Certificates of Secrets and those that are ordered by ACME, by listener, with the next renewal and the last error; of a',
    'mesh its roots and issuers, and that of each proxy. Ends with 1 when one is awaited, has ended, or is not valid yet.',
    '',
    'rotate without --issuer or --root says where the rotation stands, and who is waited for. It goes on by itself, whoever',
    'looks. drill rotates issuer and root of the running mesh at once, looks whether every proxy is on the new ones, and says',
    'how long each phase took; requests go on meanwhile. Ends with 1 when it has not passed.',
    '',
    'deny turns an identity away everywhere, at once, however good its certificate is.',
    '',
    'roots prints what another mesh has to know to believe this one: PEM, or with --json an item of `federation` of its Mesh.',
  ].join('\n'),
  json:
    '`{ store?: { name, state, reason }, orders, certificates: [{ owner, listener, hostname, ports, secret, state, names, issuer?, ' +
    'serial?, from?, until?, source: { acme } | { file, line }, next?, error? }], mesh?: [{ what, owner, where, serial, issuedBy?, ' +
    'isBrought, from, until, alarm }] }`: the answer of /certificates. `rotate`, `drill`: `{ phase, kind?, pace, sinceMs?, waits?: ' +
    '{ for, count, named: [{ proxy, identity }] }, root, issuer, isBrought, drill?: { state, startedMs, phases: [{ name, tookMs, ' +
    'missing: [{ proxy, identity, why }] }], reason? } }`: that of /mesh/rotation. `deny`, `allow`: `{ denied: [{ identity, ' +
    'reason, atMs }] }`. `roots`: `{ trustDomain, caCertificates }`.',
  options: OPTIONS,
  words: WORDS,

  async run({ values, positionals }, io) {
    const [word = 'list', ...rest] = positionals;
    if (!isWord(word)) throw new UsageError(`Expected ${WORDS.join(', ')}, not "${word}"`);
    refuseUnfit(word, values);
    if (word === 'deny' || word === 'allow') return denyOrAllow(word, rest, { values, io });
    if (rest[0] !== undefined) throw new UsageError(`Unexpected argument "${rest[0]}"`);
    if (word === 'rotate') return rotate(values, io);
    if (word === 'drill') return drill(values, io);
    return word === 'roots' ? roots(values, io) : list(values, io);
  },
});

function isWord(word: string): word is Word | 'list' {
  return word === 'list' || WORDS.some((known) => known === word);
}

function refuseUnfit(word: Word | 'list', values: CertsValues): void {
  for (const [of, names] of Object.entries(FITS)) {
    const unfit = names.find((name) => of !== word && values[name] !== undefined);
    if (unfit !== undefined)
      throw new UsageError(of === 'list' ? `--${unfit} is for the list` : `--${unfit} is for ${of}`);
  }
}

async function list({ admin = ADMIN_DEFAULT, json, alarm }: CertsValues, io: Io): Promise<ExitCode> {
  const report = (await readAdmin(io, admin, '/certificates')) as CertificateReport;
  io.out(json === true ? JSON.stringify(report) : certificatesText(report, io));
  const { certificates, mesh = [] } = report;
  const isServed = certificates.every(({ state }) => state === 'valid' || state === 'expires-soon');
  if (!isServed || mesh.some((row) => row.alarm === 'over')) return 1;
  const isQuiet = certificates.every(({ state }) => state === 'valid') && mesh.every((row) => row.alarm === 'none');
  return alarm === true && !isQuiet ? 1 : 0;
}

async function roots({ admin = ADMIN_DEFAULT, json }: CertsValues, io: Io): Promise<ExitCode> {
  const known = (await readAdmin(io, admin, '/mesh/roots')) as TrustedRoots;
  io.out(json === true ? JSON.stringify(known) : known.caCertificates.trimEnd());
  return 0;
}

async function denyOrAllow(
  word: 'deny' | 'allow',
  [identity, more]: readonly string[],
  { values, io }: { readonly values: CertsValues; readonly io: Io },
): Promise<ExitCode> {
  const { admin = ADMIN_DEFAULT, json, reason } = values;
  if (identity === undefined)
    throw new UsageError('Expected a SPIFFE ID, such as spiffe://cluster.local/ns/shop/sa/web');
  if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
  const body = { identity, ...(reason !== undefined && { reason }) };
  const answer = await readAdmin(io, admin, { path: `/mesh/${word}`, body });
  const said = word === 'deny' ? 'is denied: every proxy turns it away' : 'is allowed again';
  io.out(json === true ? JSON.stringify(answer) : `${identity} ${said}`);
  return 0;
}

interface Shown extends Palette {
  /** Files below it are named from there. */
  readonly cwd: string;
}

function certificatesText({ store, certificates, mesh }: CertificateReport, shown: Shown): string {
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
    ...(mesh === undefined ? [] : ['', meshText(mesh)]),
    ...storeLines(store, shown),
  ].join('\n');
}

function meshText(mesh: readonly MeshCertificate[]): string {
  const rows = mesh.map((row) => [
    row.isBrought && row.what !== 'federated root' ? `${row.what} (brought)` : row.what,
    row.owner,
    row.where,
    row.until,
    row.alarm === 'none' ? '-' : row.alarm,
    row.issuedBy ?? '-',
    row.serial.slice(0, SERIAL_CHARS),
  ]);
  return formatTable(['MESH', 'OWNER', 'WHERE', 'UNTIL', 'ALARM', 'ISSUER', 'SERIAL'], rows);
}

const SERIAL_CHARS = 16;

export function storeLines(store: CertificateReport['store'], palette: Palette): string[] {
  return store?.state === 'away' ? [paint(palette, 'red', `The store is away: ${store.name}: ${store.reason}`)] : [];
}

function sourceText({ source }: CertificateRow, cwd: string): string {
  return 'acme' in source ? source.acme : `${shortPath(source.file, cwd)}:${source.line}`;
}
