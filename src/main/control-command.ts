/** `fourways control`: a control plane as a process. */
import type { ControlOptions, ExitCode } from '../cli/command.ts';
import { portKey } from '../ir/key.ts';
import { type Console, openConsole } from './console.ts';
import { startControl } from './control.ts';
import { defaultDataDir, readState } from './environment.ts';
import { endWith } from './member-start.ts';
import type { Running } from './running.ts';
import { listenToSignals } from './signals.ts';
import { allowCollecting, collectSoon } from './spare-memory.ts';

/** Does not return: the process ends. */
export async function controlCommand(options: ControlOptions): Promise<ExitCode> {
  allowCollecting();
  const console = openConsole(options.logLevel);
  const signals = listenToSignals(() => console.lastWords('Ended at once'));
  return endWith(console, async () => {
    const { path, admin, mesh, meshIssuer, dataDir } = options;
    const running = await startControl({
      path,
      admin,
      mesh,
      meshIssuer,
      dataDir: dataDir ?? defaultDataDir(path),
      state: readState(),
      log: console.log,
    });
    signals.onReload(() => void running.reload());
    announce(running, options, console);
    collectSoon(() => false);
    const why = await signals.stop;
    console.log.info('Ending: proxies go to another control plane, or go on with the plan that they have', {
      signal: why,
    });
    await running.drain(0);
    return 0;
  });
}

function announce(running: Running, options: ControlOptions, { out, log }: Console): void {
  const plan = running.plan();
  const fields = {
    plan: plan.version.slice(0, 12),
    mesh: portKey(options.mesh.host, running.mesh?.port ?? options.mesh.port),
    ...(running.admin !== undefined && { admin: `http://${portKey(running.admin.address, running.admin.port)}` }),
    routes: Object.keys(plan.routes).length + Object.keys(plan.streams).length,
    problems: running.problems().problems.length,
    pid: process.pid,
  };
  if (options.announce === 'json') out.line(JSON.stringify({ event: 'ready', ...fields }));
  log.info('Ready', fields);
}
