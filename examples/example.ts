/**
 * An example: a folder with manifests and a README.md, in which everything stands that this program and the tests
 * need. The line `npm run services -- …` says what runs behind the gateway, the line `bin/fourways up …` how the
 * gateway is started, `examples/services/certificates.sh …` which certificates are made before, lines
 * `bin/fourways sidecar …` which sidecars. Steps are shell lines, each with what it shows above it and
 * what its output must be below it:
 *
 *     # What it shows
 *     curl -s http://127.0.0.1:8080/
 *     #> text that the output contains
 *     #~ regular expression that it matches
 *     #! text that it does not contain
 */
import { execFile, type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import { type Service, startService } from './services/service.ts';
import { endSidecars, startSidecars } from './sidecars.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const EXAMPLES = join(ROOT, 'examples');
/** Programs that steps use: `fourways`, `certificates.sh`, the right `node`. */
export const TOOLS: readonly string[] = ['bin', 'examples/services', 'node_modules/.bin'].map((path) =>
  join(ROOT, path),
);
const HOST = '127.0.0.1';
const ADMIN_PORT = 9900;
/** A control plane makes its database first, which takes seconds. */
const READY_MS_MAX = 60_000;
/** The longest step waits for a certificate, and before it for a database that is made. */
const STEP_MS_MAX = 120_000;

/** Ports as examples write them: of gateways, with TLS, of services, of the admin API, of sidecars and their control plane. */
const PORT = /\b(?:80[89]\d|844\d|9900|150\d\d)\b/g;

export interface Step {
  readonly shows: string;
  /** For bash, in the folder of the example. */
  readonly command: string;
  readonly wants: readonly Want[];
}

interface Want {
  readonly kind: '>' | '~' | '!';
  readonly text: string;
}

export interface Example {
  readonly name: string;
  readonly folder: string;
  /** What it is about: the first line of the README. */
  readonly title: string;
  readonly services: readonly string[];
  /** `bin/fourways up …`, and what makes certificates if any: as the README has them, for the root of the repository. */
  readonly up: string;
  readonly certificates: string | undefined;
  /** `bin/fourways sidecar …`, each. */
  readonly sidecars: readonly string[];
  readonly adminPort: number;
  readonly steps: readonly Step[];
}

export function exampleNames(): string[] {
  return readdirSync(EXAMPLES).filter((name) => textOf(join(EXAMPLES, name)).includes(`npm run example -- ${name}\n`));
}

/** @throws {Error} when there is none of this name, or its README lacks a part */
export function readExample(name: string, folder: string = join(EXAMPLES, name)): Example {
  const text = textOf(folder);
  const title = /^# (.+)$/m.exec(text)?.[1];
  const services = /^npm run services -- (.+)$/m.exec(text)?.[1];
  const up = /^bin\/fourways up .+$/m.exec(text)?.[0];
  if (title === undefined || services === undefined || up === undefined) {
    const known = exampleNames().join(', ');
    throw new Error(`Cannot read the example "${name}": there are ${known}`);
  }
  const blocks = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block!);
  return {
    name,
    folder,
    title,
    services: services.trim().split(/\s+/),
    up,
    certificates: /^examples\/services\/certificates\.sh .+$/m.exec(text)?.[0],
    sidecars: text.match(/^bin\/fourways sidecar .+$/gm) ?? [],
    adminPort: ADMIN_PORT,
    steps: blocks.filter((block) => /^#[>~!] /m.test(block)).flatMap(stepsOf),
  };
}

function textOf(folder: string): string {
  const path = join(folder, 'README.md');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function stepsOf(block: string): Step[] {
  return block
    .trim()
    .split(/\n\n+/)
    .map((paragraph) => {
      const lines = paragraph.split('\n');
      const wants = lines.flatMap((line) => {
        const [, kind, text] = /^#([>~!]) (.*)$/.exec(line) ?? [];
        return kind === undefined ? [] : [{ kind: kind as Want['kind'], text: text! }];
      });
      const said = lines.filter((line) => line.startsWith('# ')).map((line) => line.slice(2));
      const command = lines.filter((line) => !/^#[>~! ]/.test(line)).join('\n');
      return { shows: said.join(' '), command, wants };
    });
}

/** The example in another folder, with a free port in place of each of its ports. */
export async function copyExample(name: string, folder: string): Promise<Example> {
  cpSync(join(EXAMPLES, name), folder, {
    recursive: true,
    filter: (path) => basename(path) !== 'certificates' && !path.endsWith('.log'),
  });
  const files = readdirSync(folder).map((file) => join(folder, file));
  const texts = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));
  const asked = new Set([String(ADMIN_PORT)]);
  for (const text of texts.values()) for (const [port] of text.matchAll(PORT)) asked.add(port);
  const free = new Map(await Promise.all([...asked].map(async (port) => [port, await freePort(HOST)] as const)));
  for (const [file, text] of texts)
    writeFileSync(
      file,
      text.replace(PORT, (port) => String(free.get(port))),
    );
  return { ...readExample(name, folder), adminPort: free.get(String(ADMIN_PORT))! };
}

export interface RunningExample {
  readonly gateway: ChildProcess;
  /** Ends what was started, the gateway last of all. @returns its exit code */
  stop(): Promise<number | null>;
}

export interface StartOptions {
  /** Folder for the last good plan. */
  readonly data: string;
  /** `inherit`: the gateway speaks to our own output. */
  readonly output: 'inherit' | 'ignore';
}

/**
 * Makes the certificates, starts services and gateway, waits until every worker serves.
 *
 * @throws {Error} when one of them does not start
 */
export async function startExample(example: Example, options: StartOptions): Promise<RunningExample> {
  if (await isReady(example)) {
    throw new Error(`Cannot start: a gateway runs already, at port ${example.adminPort}. End it, or add --free-ports`);
  }
  if (example.certificates !== undefined) {
    const { code, output } = await run(here(example.certificates, example), ROOT);
    if (code !== 0) throw new Error(`Cannot make the certificates:\n${output}`);
  }
  const services: Service[] = [];
  const close = async (): Promise<void> => void (await Promise.all(services.map((service) => service.close())));
  try {
    for (const text of example.services) services.push(await startService(here(text, example)));
    const gateway = await startGateway(example, options);
    const sidecars = await startSidecars(example.sidecars, {
      root: ROOT,
      admin: `${HOST}:${example.adminPort}`,
      data: `${options.data}-sidecars`,
      output: options.output,
    }).catch(async (error: unknown) => {
      await end(gateway);
      throw error;
    });
    return {
      gateway,
      async stop() {
        await endSidecars(sidecars);
        return stop(gateway, close);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startGateway(example: Example, { data, output }: StartOptions): Promise<ChildProcess> {
  const where = `bin/fourways up $1 --admin ${HOST}:${example.adminPort} --data '${data}'`;
  const line = here(example.up.replace(/^bin\/fourways up (\S+)/, where), example);
  const gateway = spawn('bash', ['-c', `exec ${line}`], {
    cwd: ROOT,
    stdio: ['ignore', output, output === 'inherit' ? output : 'pipe'],
  });
  let said = '';
  gateway.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-65_536)));
  const endMs = performance.now() + READY_MS_MAX;
  while (performance.now() < endMs && gateway.exitCode === null && gateway.signalCode === null) {
    if (await isReady(example)) return gateway;
    await pause(20);
  }
  await end(gateway);
  throw new Error(`Cannot start the gateway of "${example.name}":\n${said}`);
}

async function isReady({ adminPort }: Example): Promise<boolean> {
  const answer = await fetch(`http://${HOST}:${adminPort}/readyz`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.ok === true;
}

async function stop(gateway: ChildProcess, close: () => Promise<void>): Promise<number | null> {
  const code = await end(gateway);
  await close();
  return code;
}

async function end(gateway: ChildProcess): Promise<number | null> {
  const isOver = gateway.exitCode !== null || gateway.signalCode !== null;
  const ended = isOver ? undefined : once(gateway, 'exit');
  gateway.kill('SIGTERM');
  await ended;
  return gateway.exitCode;
}

/** Lines of the README name the folder as seen from the root; the example may be a copy elsewhere. */
function here(text: string, { name, folder }: Example): string {
  return text.replaceAll(`examples/${name}`, folder);
}

/** @returns what is missing of what the step should print; undefined when all is there */
export async function tryStep({ command, wants }: Step, { folder }: Example): Promise<string | undefined> {
  const { output } = await run(command, folder);
  const lacks = wants.flatMap(({ kind, text }) => {
    if (kind === '~') return new RegExp(text, 'm').test(output) ? [] : [`no match for ${text}`];
    return output.includes(text) === (kind === '>') ? [] : [`${kind === '>' ? 'no' : 'should be no'} "${text}"`];
  });
  return lacks.length === 0 ? undefined : `${command}\nprinted:\n${output}\n${lacks.join('\n')}`;
}

/** Standard output and error of a shell line together, as a terminal shows them. */
function run(command: string, cwd: string): Promise<{ readonly code: number | null; readonly output: string }> {
  const env = { ...process.env, PATH: [...TOOLS, process.env['PATH']].join(delimiter), NO_COLOR: '1' };
  const shell = execFile('bash', ['-c', `exec 2>&1\n${command}`], { cwd, env, timeout: STEP_MS_MAX });
  let output = '';
  shell.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => shell.once('close', (code) => resolve({ code, output })));
}
