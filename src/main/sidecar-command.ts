/** `fourways sidecar` and `fourways run`: a sidecar as a process, alone or with the application that it was started with. */
import { constants } from 'node:os';
import { TICKET_KEYS_MS } from '../base/limits.ts';
import type { ExitCode, RunOptions, SidecarOptions } from '../cli/command.ts';
import type { Account } from '../capture/account.ts';
import { portKey } from '../ir/key.ts';
import { Application, type ApplicationOptions } from '../sidecar/application.ts';
import { accountOf, captureOf, dryRunOf } from './capture.ts';
import { type Console, openConsole } from './console.ts';
import { endWith, readTokenFile } from './member-start.ts';
import { type RunningSidecar, startSidecar } from './sidecar.ts';
import { findOldSidecar, forgetOwnProcess, handOver, tellOwnProcess } from './sidecar-takeover.ts';
import { instanceName } from './instance-name.ts';
import { kindOf } from './line-writer.ts';
import { HAND_OVER, listenToSignals, passOn, type Signals } from './signals.ts';
import { allowCollecting, collectAtRest, collectSoon } from './spare-memory.ts';

/** How long an application may take to end before it is killed, besides the time for running requests. */
const END_MS = 5_000;

/** How long its last output may take. */
const OUTPUT_MS_MAX = 1_000;

/** As a shell says it of a program that a signal has ended. */
const BY_SIGNAL = 128;

/** What an application may want to hear and no proxy has a use for. */
const PASSED_ON = ['SIGUSR1', 'SIGUSR2', 'SIGQUIT', 'SIGWINCH'] as const;

const CUT = 'Ended at once: running requests are cut';

/** Does not return: the process ends. */
export async function sidecarCommand(options: SidecarOptions): Promise<ExitCode> {
  allowCollecting();
  const console = openConsole(options.logLevel);
  const signals = listenToSignals(() => console.lastWords(CUT));
  process.on(HAND_OVER, () => signals.ask(HAND_OVER));
  passOn(['SIGQUIT'], () => quit(console));
  return endWith(console, async () => {
    if (options.dryRun) return dryRun(options, console);
    const old = options.takeover ? await findOldSidecar(options.dataDir, options.forward.port) : undefined;
    const sidecar = await unlessStopped(start(options, console, old === undefined ? 'alone' : 'shared'), signals);
    if (typeof sidecar === 'string') return 0;
    if (old !== undefined) {
      // The plan of the disk is served, on the same ports: from here on both take in what comes.
      handOver(old);
      console.log.info('Took over: the process before drains and ends', { pid: old });
    }
    sidecar.connect();
    if ((await unlessStopped(sidecar.ready, signals)) !== undefined) return 0;
    await tellOwnProcess(options.dataDir);
    announce(sidecar, options, console);
    collectSoon(() => false);
    collectAtRest();
    const why = await signals.stop;
    console.log.info('Draining: running requests may finish', { signal: why, deadlineMs: options.drainMs });
    // Where another process goes on, nobody has to be told: the instance is where it was.
    if (why === HAND_OVER) await sidecar.letGo();
    else await sidecar.farewell(options.drainMs);
    await sidecar.drain(options.drainMs);
    await forgetOwnProcess(options.dataDir);
    return 0;
  });
}

/** Does not return: the process ends, with the exit code of the application. */
export async function runCommandBeside(options: RunOptions): Promise<ExitCode> {
  allowCollecting();
  const console = openConsole(options.logLevel);
  let application: Application | undefined;
  const signals = listenToSignals(() => {
    console.lastWords(CUT);
    // It would outlive us, and hold its port.
    application?.signal('SIGKILL');
  });
  passOn(PASSED_ON, (signal) => {
    if (application !== undefined) application.signal(signal);
    else if (signal === 'SIGQUIT') quit(console);
  });
  return endWith(console, async () => {
    if (options.dryRun) return dryRun(options, console);
    const account = await accountOf(options);
    const sidecar = await unlessStopped(start(options, console, 'alone'), signals);
    if (typeof sidecar === 'string') return BY_SIGNAL + constants.signals[sidecar];
    sidecar.connect();
    const early = await unlessStopped(sidecar.ready, signals);
    if (early !== undefined) return BY_SIGNAL + constants.signals[early];
    application = new Application({
      command: options.command,
      env: environment(options, account),
      output: outputOfApplication(),
      ...(account !== undefined && { account }),
    });
    const running = application;
    announce(sidecar, options, console);
    collectSoon(() => false);
    collectAtRest();
    // What it does with SIGHUP is its own business; ours has nothing to read again.
    signals.onReload(() => void running.signal('SIGHUP'));
    const first = await Promise.race([signals.stop, running.exit]);
    if (typeof first === 'string') await endPolitely(running, sidecar, { why: first, drainMs: options.drainMs });
    const { code, reason } = await running.exit;
    console.log.info(`The application ${reason}`);
    // Of one that has ended by itself nobody knows yet: they would try it until its proxy is given up.
    if (typeof first !== 'string') await sidecar.farewell(options.drainMs);
    await sidecar.drain(typeof first === 'string' ? 0 : options.drainMs);
    await lastOutput(running);
    return code;
  });
}

/** At once, and still in good order: what is done at the end of the process is done. */
function quit(console: Console): never {
  console.lastWords(CUT);
  process.exit(BY_SIGNAL + constants.signals.SIGQUIT);
}

/** Nobody calls it any more, and what ran has its answer: now it may end, and may call others until it has. */
async function endPolitely(
  application: Application,
  sidecar: RunningSidecar,
  { why, drainMs }: { readonly why: NodeJS.Signals; readonly drainMs: number },
): Promise<void> {
  await sidecar.farewell(drainMs);
  // What is typed at a terminal goes to all programs there: it has it already, and twice means at once to many.
  if (why !== 'SIGINT' || process.stdin.isTTY !== true) application.signal(why);
  const late = setTimeout(() => application.signal('SIGKILL'), drainMs + END_MS);
  await application.exit;
  clearTimeout(late);
}

/** A control plane that is away is waited for, but not longer than anybody wants. @returns the signal that came before */
function unlessStopped<T>(step: Promise<T>, { stop }: Signals): Promise<T | NodeJS.Signals> {
  return Promise.race([step, stop]);
}

async function start(options: SidecarOptions, console: Console, sockets: 'alone' | 'shared'): Promise<RunningSidecar> {
  const { forward, tokenFile, dataDir, ...rest } = options;
  const capture = captureOf(options, await accountOf(options));
  return startSidecar({
    ...rest,
    dataDir,
    capture,
    sockets,
    forward: { address: forward.host, port: forward.port },
    instance: await instanceName(dataDir),
    token: await readTokenFile(tokenFile),
    ticketKeysMs: TICKET_KEYS_MS,
    log: console.log,
    writeLines: (text) => console.out.write(text),
  });
}

/** What it wrote last, in a bounded time: it may have left a program behind that goes on writing. */
async function lastOutput({ written }: Application): Promise<void> {
  const late = new Promise<void>((resolve) => setTimeout(resolve, OUTPUT_MS_MAX).unref());
  await Promise.race([written, late]);
}

function outputOfApplication(): ApplicationOptions['output'] {
  const { stdout: out, stderr: err } = process;
  return [out, err].some(({ fd }) => kindOf(fd) === 'socket') ? { out, err } : 'inherit';
}

/** Programs read one or the other spelling. What is on this host is reached straight. */
function environment({ forward, capture }: RunOptions, account: Account | undefined): NodeJS.ProcessEnv {
  const { FOURWAYS_TOKEN: _, ...env } = process.env;
  const { name, home } = account ?? {};
  const user = { ...(name !== undefined && { USER: name, LOGNAME: name }), ...(home !== undefined && { HOME: home }) };
  // Who is captured needs no proxy, and would pass its names by.
  if (capture !== undefined) return { ...env, ...user };
  const proxy = `http://${portKey(forward.host, forward.port)}`;
  const none = process.env['NO_PROXY'] ?? 'localhost,127.0.0.1,::1';
  // Node.js reads these variables only when it is told to.
  const node = env['NODE_USE_ENV_PROXY'] ?? '1';
  const variables = { HTTP_PROXY: proxy, http_proxy: proxy, NO_PROXY: none, no_proxy: none, NODE_USE_ENV_PROXY: node };
  return { ...env, ...user, ...variables };
}

/** Says what capture would do. */
async function dryRun(options: SidecarOptions, { out }: Console): Promise<number> {
  const would = await dryRunOf(options);
  if (would === undefined) return 0;
  if (options.announce === 'json') {
    out.line(JSON.stringify(would));
    return 0;
  }
  const { listen, upstreams, names } = would.dns;
  out.line(`# Rules that "nft -f -" would be given. Local ports are examples: the first free ones are taken.`);
  out.line(would.rules.trimEnd());
  out.line(
    `# DNS at ${listen}: all names but these are asked of ${upstreams.join(', ') || 'nobody: resolv.conf names none'}`,
  );
  for (const [name, address] of Object.entries(names)) out.line(`# ${address.padEnd(15)} ${name}`);
  return 0;
}

function announce(sidecar: RunningSidecar, options: SidecarOptions, { out, log }: Console): void {
  const fields = {
    identity: sidecar.identity,
    plan: sidecar.plan()?.version.slice(0, 12),
    proxy: `http://${portKey(options.forward.host, options.forward.port)}`,
    port: options.proxyPort,
    pid: process.pid,
  };
  if (options.announce === 'json') out.line(JSON.stringify({ event: 'ready', ...fields }));
  log.info('Ready', fields);
}
