/** `fourways certs rotate` and `fourways certs drill`: ask the control plane, and follow what it does. */
import type { RotationReport } from '../api/admin/trust-view.ts';
import { sleepAwake } from '../base/clock.ts';
import { ADMIN_DEFAULT, readAdmin } from './admin.ts';
import type { CertsValues } from './certs.ts';
import { CommandFailure, type ExitCode, type Io, UsageError } from './command.ts';
import { paint } from './paint.ts';
import { formatTable } from './table.ts';
import { readDuration } from './values.ts';

const LOOK_MS = 500;
const PHASE_MS_MAX = 3_600_000;
const ID_CHARS = 12;

export async function rotate(values: CertsValues, io: Io): Promise<ExitCode> {
  const { admin = ADMIN_DEFAULT, issuer, root, now, wait, cancel, json } = values;
  if (issuer === true && root === true) throw new UsageError('Expected one of --issuer and --root');
  const kind = root === true ? 'root' : issuer === true ? 'issuer' : undefined;
  if (cancel === true && (kind !== undefined || now === true || wait === true)) {
    throw new UsageError('--cancel stands alone');
  }
  if (now === true && kind === undefined) throw new UsageError('--now is for --issuer or --root');
  let report = (await readAdmin(io, admin, orderOf(kind, values))) as RotationReport;
  let said = '';
  while (wait === true && report.phase !== 'rest') {
    const text = rotationText(report, io);
    if (json !== true && said !== text) io.out(text);
    said = text;
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    await sleepAwake(io.clock, LOOK_MS);
    // oxlint-disable-next-line no-await-in-loop
    report = (await readAdmin(io, admin, '/mesh/rotation')) as RotationReport;
  }
  io.out(json === true ? JSON.stringify(report) : rotationText(report, io));
  return 0;
}

function orderOf(
  kind: 'root' | 'issuer' | undefined,
  { now, cancel }: Pick<CertsValues, 'now' | 'cancel'>,
): Parameters<typeof readAdmin>[2] {
  if (cancel === true) return { path: '/mesh/rotate/cancel', body: {} };
  if (kind === undefined) return '/mesh/rotation';
  return { path: '/mesh/rotate', body: { kind, ...(now === true && { pace: 'at-once' }) } };
}

export async function drill({ admin = ADMIN_DEFAULT, phase, abort, json }: CertsValues, io: Io): Promise<ExitCode> {
  if (abort === true && phase !== undefined) throw new UsageError('--abort stands alone');
  const phaseMs = phase === undefined ? undefined : readDuration('--phase', phase, PHASE_MS_MAX);
  const path = abort === true ? '/mesh/drill/abort' : '/mesh/drill';
  let report = (await readAdmin(io, admin, { path, body: { phaseMs } })) as RotationReport;
  let shown = '';
  while (report.drill?.state === 'running') {
    const now = report.drill.phases.at(-1)?.name ?? '';
    if (json !== true && now !== shown) io.out(`${now} …`);
    shown = now;
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    await sleepAwake(io.clock, LOOK_MS);
    // oxlint-disable-next-line no-await-in-loop
    report = (await readAdmin(io, admin, '/mesh/rotation')) as RotationReport;
  }
  if (report.drill === undefined) throw new CommandFailure('The drill was lost: the control plane was started anew');
  io.out(json === true ? JSON.stringify(report) : drillText(report.drill, io));
  return report.drill.state === 'passed' || abort === true ? 0 : 1;
}

const PHASES: Readonly<Record<RotationReport['phase'], string>> = {
  rest: 'nothing is rotated',
  asked: 'it begins',
  spread: 'both roots are trusted, the old one issues',
  renew: 'both are trusted, the new one issues',
  withdraw: 'the new one alone is trusted',
};

function rotationText(report: RotationReport, io: Pick<Io, 'clock' | 'colour'>): string {
  const { phase, kind, waits, sinceMs, root, issuer, isBrought } = report;
  const who = `root ${root.slice(0, ID_CHARS)}, issuer ${issuer.slice(0, ID_CHARS)}${isBrought ? ', brought' : ''}`;
  if (phase === 'rest') return `At rest: ${who}`;
  const since = sinceMs === undefined ? '' : `, since ${Math.round((io.clock.wallMs() - sinceMs) / 1_000)} s`;
  const head = `Rotation of the ${kind ?? 'issuer'}: ${paint(io, 'bold', phase)}, ${PHASES[phase]}${since}`;
  if (waits === undefined) return head;
  const what = waits.for === 'trust' ? 'to trust what is trusted now' : 'to renew';
  const more = waits.count - waits.named.length;
  return [
    `${head}; waits for ${waits.count} ${waits.count === 1 ? 'certificate' : 'certificates'} ${what}:`,
    ...waits.named.map(({ proxy, identity }) => `  ${identity} (${proxy})`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join('\n');
}

function drillText({ state, phases, reason }: NonNullable<RotationReport['drill']>, io: Io): string {
  const rows = phases.map(({ name, tookMs }) => [name, `${(tookMs / 1_000).toFixed(1)} s`]);
  const missing = phases.flatMap((phase) =>
    phase.missing.map(({ proxy, identity, why }) => `${phase.name}: ${identity} (${proxy}): ${why}`),
  );
  const total = phases.reduce((sum, { tookMs }) => sum + tookMs, 0);
  const verdict = `The drill has ${state} in ${(total / 1_000).toFixed(1)} s${reason === undefined ? '' : `: ${reason}`}`;
  return [
    formatTable(['PHASE', 'TOOK'], rows),
    ...missing,
    paint(io, state === 'passed' ? 'green' : 'red', verdict),
  ].join('\n');
}
