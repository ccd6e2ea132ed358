import { ADMIN_DEFAULT, ADMIN_OPTION } from './admin.ts';
import { CommandFailure, defineCommand, type Io, type Options, UsageError } from './command.ts';
import { applicationRow } from './doctor-application.ts';
import { captureRows } from './doctor-capture.ts';
import { clockRow } from './doctor-clock.ts';
import { machineRows } from './doctor-machine.ts';
import { nameRows, resolverRows } from './doctor-names.ts';
import { portRows } from './doctor-ports.ts';
import { processRows, readRunning, type Running } from './doctor-process.ts';
import { countsOf, type Row, rowsText } from './doctor-row.ts';
import type { Machine } from './machine.ts';
import { readCount, readHostPort } from './values.ts';

const OPTIONS = {
  config: {
    type: 'string',
    value: 'PATH',
    description: 'Look also whether its ports can be had here, and its names found',
  },
  admin: ADMIN_OPTION,
  control: {
    type: 'string',
    multiple: true,
    value: 'HOST:PORT',
    description: 'Compare clocks with this control plane; a proxy of a mesh names its own',
  },
  app: { type: 'string', value: 'PORT', description: 'Ask the application on this port how long it keeps connections' },
} as const satisfies Options;

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'Look for what is wrong with this machine and the Fourways on it, and say what to do',
  usage: 'fourways doctor [--config PATH] [--admin HOST:PORT] [--control HOST:PORT]... [--app PORT]',
  details: [
    'Version of Node.js, limits of the system, ports, resolvers, rules of transparent capture that were left behind or lost; of the Fourways that runs',
    'its plan, configuration, control plane, proxies, certificates, clock, and names that it cannot resolve.',
    '',
    'Changes nothing. Ends with 1 when there is a problem; warnings alone are 0.',
  ].join('\n'),
  json: '`{ checks: [{ check, level: ok | warning | problem, found, fix? }], counts: { ok, warning, problem } }`.',
  options: OPTIONS,

  async run({ values, positionals: [more] }, io) {
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    const { json, config, control = [], admin } = values;
    for (const address of control) readHostPort('--control', address);
    const app = values.app === undefined ? undefined : readCount('--app', values.app, { min: 1, max: 65_535 });
    const all = await rowsOf(io, { config, admin, control, app });
    const counts = countsOf(all);
    io.out(json === true ? JSON.stringify({ checks: all, counts }) : rowsText(all, io));
    return counts.problem > 0 ? 1 : 0;
  },
});

interface Asked {
  readonly config: string | undefined;
  readonly admin: string | undefined;
  readonly control: readonly string[];
  readonly app: number | undefined;
}

async function rowsOf(io: Io, { config, admin, control, app }: Asked): Promise<Row[]> {
  const machine = await io.machine();
  const { running, rows } = await lookForProcess(io, admin);
  const pid = running === undefined || !isLoopback(admin) ? undefined : await ownPid(machine, running);
  const controls = [...new Set([...control, ...(running?.member?.control ?? [])])];
  const [before, after] = await Promise.all([
    Promise.all([
      machineRows(machine, pid),
      resolverRows(machine),
      captureRows(machine),
      ...(config === undefined ? [] : [configRows(config, { io, machine, running, pid })]),
    ]),
    Promise.all([
      ...(running === undefined ? [] : [clockRow(machine, { address: admin ?? ADMIN_DEFAULT, wire: 'admin' })]),
      ...controls.map((address) => clockRow(machine, { address, wire: 'control' })),
      ...(app === undefined ? [] : [applicationRow(machine, app, running?.plan)]),
    ]),
  ]);
  return [...before.flat(), ...rows, ...after];
}

/** That none runs where none was named is no problem: the machine may be looked at before the first start. */
async function lookForProcess(
  io: Io,
  admin: string | undefined,
): Promise<{ readonly running?: Running; readonly rows: readonly Row[] }> {
  const check = 'process';
  try {
    const running = await readRunning(io, admin ?? ADMIN_DEFAULT);
    return { running, rows: processRows(running) };
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    const { message } = error;
    if (admin !== undefined) {
      const fix = 'start it; or name the address of its --admin';
      return { rows: [{ check, level: 'problem', found: message, fix }] };
    }
    return { rows: [{ check, level: 'ok', found: `none is looked at: ${message}` }] };
  }
}

interface Parts {
  readonly io: Io;
  readonly machine: Machine;
  readonly running: Running | undefined;
  readonly pid: number | undefined;
}

async function configRows(path: string, { io, machine, running, pid }: Parts): Promise<Row[]> {
  // Loaded late: a running Fourways is looked at without the compiler.
  const { readConfiguration } = await import('./configuration.ts');
  const { problems, compiled, broken } = await readConfiguration([path], io);
  const { plan } = compiled.bundle;
  const errors = problems.filter(({ level }) => level === 'error').length;
  const check = 'configuration';
  const fix = `fourways check ${path}`;
  const held = new Set(Object.values(running?.plan?.ports ?? {}).map(({ port }) => port));
  return [
    errors > 0 || broken === 'all'
      ? { check, level: 'problem', found: `${path} has ${errors} ${errors === 1 ? 'error' : 'errors'}`, fix }
      : { check, level: 'ok', found: `${path} has no error` },
    ...(await portRows(machine, plan, { pid, held })),
    ...(await nameRows(machine, plan)),
  ];
}

function isLoopback(admin = ADMIN_DEFAULT): boolean {
  const { host } = readHostPort('--admin', admin);
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** Its number, if it means the same here: in a container it does not. */
async function ownPid(machine: Machine, { about: { pid } }: Running): Promise<number | undefined> {
  const command = await machine.readFile(`/proc/${pid}/cmdline`).catch(() => '');
  return command.includes('fourways') ? pid : undefined;
}
