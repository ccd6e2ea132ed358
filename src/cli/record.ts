import { stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { RecordedCalls } from '../api/admin/record-routes.ts';
import { sleepAwake } from '../base/clock.ts';
import { formatProblem } from '../base/problem.ts';
import type { Recording } from '../control/recorder.ts';
import type { Resource } from '../resource/resource.ts';
import { ADMIN_DEFAULT, ADMIN_OPTION, readAdmin } from './admin.ts';
import {
  CommandFailure,
  defineCommand,
  type ExitCode,
  type Io,
  type Options,
  UsageError,
  type Values,
} from './command.ts';
import { editFile } from './edit-file.ts';
import { changesFor } from './policy-files.ts';
import { propose, type Scope } from './proposal.ts';
import { notesOf } from './proposal-text.ts';
import { type Change, unifiedDiff } from './unified-diff.ts';
import { readCount } from './values.ts';

const OPTIONS = {
  service: { type: 'string', value: 'NAME[.NAMESPACE]', description: 'Propose for this Service only' },
  namespace: { type: 'string', value: 'NAME', description: 'Propose for Services of this namespace only' },
  seconds: {
    type: 'string',
    value: 'N',
    description: 'How long to record; default: what is recorded already, else 60. With start: when it ends by itself',
  },
  config: { type: 'string', value: 'PATH', description: 'File or folder with the configuration that is compared with' },
  write: {
    type: 'string',
    value: 'PATH',
    description: 'Write what is proposed: new policies into this folder or file, others where they stand',
  },
  enforce: { type: 'boolean', description: 'Policies refuse, instead of saying what they would refuse' },
  'drop-unseen': { type: 'boolean', description: 'Take out what the policies allow and nobody has called' },
  admin: ADMIN_OPTION,
} as const satisfies Options;

type RecordValues = Values<typeof OPTIONS>;

const WORDS = ['start', 'stop'] as const;
const SECONDS = 60;
const SECONDS_MAX = 31 * 24 * 3_600;
const LOOK_MS = 1_000;

/** Proxies tell what is new once a second: the last of it is to arrive. */
const LAST_MS = 1_500;

/** A recording that a command has begun ends after it, also when the command is broken off. */
const SPARE_MS = 30_000;

export const record = defineCommand({
  name: 'record',
  summary: 'Propose policies that allow the calls between services that are made, and no others',
  usage:
    'fourways record [start | stop] [--service NAME] [--config PATH] [--write PATH] [--enforce] [--admin HOST:PORT]',
  details: [
    'Sidecars say who calls what: identity, port, method and path, with stars for ids. What is proposed is shown as a diff',
    'against the configuration, and changes nothing without --write. New policies are tried out (mode audit): they say what',
    'they would refuse, and with --enforce they refuse it. Of calls in clear text nobody knows whose they are: they are listed,',
    'as are calls that are refused already or that the application does not know.',
    'A control plane knows the sidecars that are connected to it: where there are several, ask each with --admin.',
    '"start" records for a day, or for --seconds, while nobody waits; "record" then proposes what was seen since.',
  ].join('\n'),
  json:
    '`{ recording: { state, fromMs?, untilMs?, heard, unheard: [{ proxy, identity, reason }], kinds, calls, beyond }, policies: [{ policy, ' +
    'service, port?, mode, rules, added, unseen, widened, beyond }], diff, clear, refused, unwelcome, unsayable, unplaced }`, the last five lists of ' +
    '`{ source, service, port, protocol, method, path, calls, denied, audited, unwelcome }`. `start` and `stop`: the recording.',
  options: OPTIONS,
  words: WORDS,

  async run({ values, positionals: [word, more] }, io) {
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    if (word === undefined) return await proposeNow(values, io);
    if (word !== 'start' && word !== 'stop') throw new UsageError(`Expected start, stop or nothing, not "${word}"`);
    const unfit = (['service', 'namespace', 'config', 'write', 'enforce', 'drop-unseen'] as const).find(
      (name) => values[name] !== undefined,
    );
    if (unfit !== undefined) throw new UsageError(`--${unfit} is for proposals, not for ${word}`);
    const { admin = ADMIN_DEFAULT, seconds, json } = values;
    if (word === 'stop' && seconds !== undefined) throw new UsageError('--seconds is not for stop');
    const body = seconds === undefined ? {} : { lastsMs: secondsOf(seconds) * 1_000 };
    const recording = (await readAdmin(io, admin, { path: `/mesh/recording/${word}`, body })) as Recording;
    io.out(json === true ? JSON.stringify(recording) : recordingText(recording, io));
    return 0;
  },
});

function secondsOf(text: string): number {
  return readCount('--seconds', text, { min: 1, max: SECONDS_MAX });
}

async function proposeNow(values: RecordValues, io: Io): Promise<ExitCode> {
  const scope = scopeOf(values);
  const { config, write, json } = values;
  const resources = await readResources(values, io);
  const calls = await recorded(values, io);
  const proposal = propose(calls.rows, {
    scope,
    resources,
    mode: values.enforce === true ? 'enforce' : 'audit',
    unseen: values['drop-unseen'] === true ? 'drop' : 'keep',
  });
  const changes = await changesFor(proposal.policies, write ?? config, io);
  const diff = changes.map(unifiedDiff).join('');
  const { rows: _, ...recording } = calls;
  if (json === true) {
    const policies = proposal.policies.map(({ name, namespace, before: __, ...rest }) => ({
      policy: `${namespace}/${name}`,
      ...rest,
    }));
    io.out(JSON.stringify({ recording, ...proposal, policies, diff }));
  } else {
    for (const note of notesOf(recording, proposal)) io.err(note);
    if (diff === '') io.err('Nothing to propose: the policies allow what was called');
    else io.out(diff.trimEnd());
  }
  if (write !== undefined) await writeAll(changes, io);
  return 0;
}

function scopeOf({ service, namespace }: RecordValues): Scope {
  if (service === undefined) return { namespace, service: undefined };
  const [name = '', own, rest] = service.split('.');
  if (name === '' || rest !== undefined)
    throw new UsageError(`"${service}" is no name of a Service: must be such as orders.shop`);
  if (own !== undefined && namespace !== undefined && own !== namespace) {
    throw new UsageError(`"${service}" is not in namespace "${namespace}"`);
  }
  return { namespace: own ?? namespace, service: name };
}

/** Of the configuration, and of where new policies are put, which may be a part of it. Loaded late: there may be neither. */
async function readResources(
  { config, write }: Pick<RecordValues, 'config' | 'write'>,
  io: Io,
): Promise<readonly Resource[]> {
  const paths = config === undefined ? [] : [config];
  if (write !== undefined && (await isThere(write, io)) && (config === undefined || !isWithin(write, config)))
    paths.push(write);
  if (paths.length === 0) return [];
  const { readConfiguration } = await import('./configuration.ts');
  const { resources, problems, broken } = await readConfiguration(paths, io);
  if (broken === 'all') throw new CommandFailure(problems.map((problem) => formatProblem(problem)).join('\n'));
  return resources;
}

async function isThere(path: string, { cwd }: Io): Promise<boolean> {
  return (await stat(resolve(cwd, path)).catch(() => undefined)) !== undefined;
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way.split(sep)[0] !== '..' && !isAbsolute(way);
}

/** What was counted, after it was recorded where nothing is recorded already. */
async function recorded({ admin = ADMIN_DEFAULT, seconds, json }: RecordValues, io: Io): Promise<RecordedCalls> {
  const now = (await readAdmin(io, admin, '/mesh/recording')) as Recording;
  if (seconds !== undefined || now.state === 'none') {
    const waitMs = (seconds === undefined ? SECONDS : secondsOf(seconds)) * 1_000;
    const body = { lastsMs: waitMs + SPARE_MS };
    const { began } = (await readAdmin(io, admin, { path: '/mesh/recording/start', body })) as { began: boolean };
    await wait(waitMs, { admin, isShown: json !== true && io.isTerminal }, io);
    await sleepAwake(io.clock, LAST_MS);
    if (began) await readAdmin(io, admin, { path: '/mesh/recording/stop', body: {} });
  }
  return (await readAdmin(io, admin, '/mesh/recording/calls')) as RecordedCalls;
}

async function wait(
  waitMs: number,
  { admin, isShown }: { readonly admin: string; readonly isShown: boolean },
  io: Io,
): Promise<void> {
  const endMs = io.clock.nowMs() + waitMs;
  let shown = '';
  for (let leftMs = waitMs; leftMs > 0; leftMs = endMs - io.clock.nowMs()) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    await sleepAwake(io.clock, Math.min(LOOK_MS, leftMs));
    if (!isShown) continue;
    // oxlint-disable-next-line no-await-in-loop
    const { calls, kinds, heard } = (await readAdmin(io, admin, '/mesh/recording')) as Recording;
    const text = `${calls} calls of ${kinds} kinds, ${heard} sidecars`;
    if (text !== shown) io.err(`${text}; ${Math.max(0, Math.round((endMs - io.clock.nowMs()) / 1_000))} s to go`);
    shown = text;
  }
}

async function writeAll(changes: readonly Change[], io: Io): Promise<void> {
  for (const { file, before, after } of changes) {
    const path = resolve(io.cwd, file);
    // oxlint-disable-next-line no-await-in-loop -- one after the other, so that it is known which are done
    await editFile(
      path,
      (now) => {
        if (now?.toString() !== before) throw new CommandFailure(`Cannot change ${file}: it is another one by now`);
        return [Buffer.from(after)];
      },
      CONFIG_MODE,
    );
    io.err(`${before === undefined ? 'Wrote' : 'Changed'} ${file}`);
  }
}

/** Whoever runs the control plane reads it. */
const CONFIG_MODE = 0o644;

function recordingText({ state, calls, kinds, heard, untilMs = 0 }: Recording, io: Pick<Io, 'clock'>): string {
  const what = `${calls} calls of ${kinds} kinds, ${heard} sidecars`;
  if (state !== 'running') return `Recorded ${what}: "fourways record" proposes what they need`;
  const leftMs = Math.max(0, untilMs - io.clock.wallMs());
  return `Recording, for ${Math.ceil(leftMs / 60_000)} minutes more: ${what}`;
}
