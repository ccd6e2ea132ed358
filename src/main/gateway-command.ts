/** `fourways gateway`: a gateway as a process, whose plan comes from a control plane. */
import { availableParallelism } from 'node:os';
import type { ExitCode, GatewayOptions } from '../cli/command.ts';
import { portKey } from '../ir/key.ts';
import { urlsOf } from './banner.ts';
import { type Console, openConsole } from './console.ts';
import { readRedis } from './environment.ts';
import { type RunningGateway, startGateway } from './gateway.ts';
import { instanceName } from './instance-name.ts';
import { endWith, readTokenFile } from './member-start.ts';
import { listenToSignals } from './signals.ts';
import { allowCollecting, collectSoon } from './spare-memory.ts';

/** Does not return: the process ends. */
export async function gatewayCommand(options: GatewayOptions): Promise<ExitCode> {
  allowCollecting();
  const console = openConsole(options.logLevel);
  const signals = listenToSignals(() => console.lastWords('Ended at once: running requests are cut'));
  return endWith(console, async () => {
    const { tokenFile, redisUrl, workers, announce: _, ...rest } = options;
    const running = await startGateway({
      ...rest,
      workers: workers === 0 ? availableParallelism() : workers,
      redisUrl: readRedis(redisUrl),
      instance: await instanceName(options.dataDir),
      token: await readTokenFile(tokenFile),
      ports: 'alone',
      log: console.log,
      writeLines: (text) => console.out.write(text),
    });
    await running.ready;
    announce(running, options, console);
    collectSoon(() => false);
    const why = await signals.stop;
    const deadlineMs = options.drainMs;
    console.log.info('Draining: no new connections, running requests may finish', { signal: why, deadlineMs });
    await running.drain(deadlineMs);
    console.log.info('Ended');
    return 0;
  });
}

function announce(running: RunningGateway, options: GatewayOptions, { out, log }: Console): void {
  const { identity, admin, fleet } = running;
  const plan = running.plan();
  const fields = {
    identity,
    plan: plan?.version.slice(0, 12),
    listening: urlsOf(plan, fleet.ports),
    ...(admin !== undefined && { admin: `http://${portKey(admin.address, admin.port)}` }),
    pid: process.pid,
  };
  if (options.announce === 'json') out.line(JSON.stringify({ event: 'ready', ...fields }));
  log.info('Ready', fields);
}
