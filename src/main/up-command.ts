/**
 * `fourways up`: runs until it is told to stop. What belongs to a process and not
 * to a gateway is dealt with here: signals, standard output, the exit code.
 */
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExitCode, UpOptions } from '../cli/command.ts';
import { bannerLines, readyOf } from './banner.ts';
import { type Console, openConsole } from './console.ts';
import { HAND_OVER, listenToSignals, type Signals } from './signals.ts';
import { allowCollecting, collectSoon } from './spare-memory.ts';
import { StartFailure } from './start-failure.ts';
import { defaultDataDir, readRedis, readState } from './environment.ts';
import type { Running } from './running.ts';
import { up } from './up.ts';

/** How often the admin address is tried while the process that we take over from still holds it. */
const ADMIN_RETRY_MS = 50;
const ADMIN_WAIT_MS_MAX = 10_000;

/** Does not return: the process ends. */
export async function upCommand(options: UpOptions): Promise<ExitCode> {
  allowCollecting();
  const console = openConsole(options.logLevel);
  process.on('uncaughtException', (error) => {
    console.lastWords(JSON.stringify({ level: 'error', message: 'Uncaught error: ending', stack: error.stack }));
    process.exit(1);
  });
  const signals = listenToSignals(() => console.lastWords('Ended at once: running requests are cut'));
  process.on(HAND_OVER, () => signals.ask(HAND_OVER));
  const code = await run(options, console, signals);
  await console.flush();
  // Whatever is still open, a slow reader of standard output for example, must not keep the process.
  process.exit(code);
}

async function run(options: UpOptions, console: Console, signals: Signals): Promise<ExitCode> {
  let running: Running;
  try {
    running = await start(options, console);
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    for (const line of error.message.split('\n')) console.log.error(line);
    return 1;
  }
  signals.onReload(() => void running.reload());
  announce(running, options, console);
  collectSoon(() => false);

  const why = await signals.stop;
  const { drainMs } = options;
  console.log.info('Draining: no new connections, running requests may finish', { signal: why, deadlineMs: drainMs });
  if (why === HAND_OVER) await running.closeAdmin();
  await running.drain(drainMs);
  console.log.info('Ended');
  return 0;
}

async function start(options: UpOptions, console: Console): Promise<Running> {
  const { path, bind, admin, takeover, dataDir, logLevel, drainMs, ticketKeysMs, mesh, meshIssuer, zone } = options;
  const old = takeover ? await (await import('./takeover.ts')).findOld(admin.host, admin.port) : undefined;
  const running = await up({
    path,
    bind,
    // The old process holds the admin address until it is told to go.
    admin: old === undefined ? admin : undefined,
    workers: workersOf(options),
    ticketKeysMs,
    dataDir: dataDir ?? defaultDataDir(path),
    state: readState(),
    mesh,
    meshIssuer,
    zone,
    redisUrl: readRedis(options.redisUrl),
    ports: old === undefined ? 'alone' : 'shared',
    drainMs,
    log: console.log,
    logLevel,
    writeLines: (text) => console.out.write(text),
  });
  if (old === undefined) return running;
  process.kill(old, HAND_OVER);
  console.log.info('Took over: the process before drains and ends', { pid: old });
  await openAdmin(running, options, console);
  return running;
}

/** A gateway that serves is not ended because its admin address is still held: that is said, and that is all. */
async function openAdmin(running: Running, { admin }: UpOptions, { log }: Console): Promise<void> {
  const endMs = performance.now() + ADMIN_WAIT_MS_MAX;
  for (;;) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      return await running.openAdmin(admin);
    } catch (error) {
      if (!(error instanceof StartFailure) || performance.now() > endMs) {
        log.error(error instanceof Error ? error.message : String(error));
        return undefined;
      }
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      await pause(ADMIN_RETRY_MS);
    }
  }
}

function announce(running: Running, options: UpOptions, { out, err, log, attended }: Console): void {
  const ready = readyOf(running, workersOf(options));
  const { event, ...fields } = ready;
  if (options.announce === 'json') out.line(JSON.stringify({ event, ...fields }));
  if (attended) for (const line of bannerLines(ready, relative(process.cwd(), options.path) || '.')) err.line(line);
  else log.info('Ready', fields);
}

function workersOf({ workers }: UpOptions): number {
  return workers === 0 ? availableParallelism() : workers;
}
