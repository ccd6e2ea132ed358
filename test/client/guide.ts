/**
 * A guide that is tried as it is written, in a network of its own: ports that it names are free there, and nobody else's, and
 * so are the names of network namespaces that it makes.
 *
 *     ```yaml mesh.yaml     a file of this name; the same for js, json, sh …
 *     ```sh                 a step: must end with 0, and show what it claims
 *     ```sh terminal        runs until the end of the guide, as in a terminal of its own
 *
 * What a step claims stands in it, as in the examples: `#> text`, `#~ regular expression`, `#! text that is not there`.
 * Steps are tried again until they show it, for a while: a change takes a moment to arrive everywhere.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TOOLS = ['bin', 'node_modules/.bin'].map((path) => join(ROOT, path));

const STEP_MS_MAX = 60_000;
const AGAIN_MS = 250;
const END_MS_MAX = 20_000;

/** Network namespaces have their names in /run. There is a way out, for whoever looks for one, and nobody answers there. */
const NETWORK = `set -e
mount -t tmpfs none /run
mkdir /run/netns
resolv=$(readlink -f /etc/resolv.conf)
mkdir -p "$(dirname "$resolv")"
printf 'nameserver 192.0.2.53\\noptions timeout:1 attempts:1\\n' > /run/resolv.conf
[ -e "$resolv" ] || touch "$resolv"
mount --bind /run/resolv.conf "$resolv"
ip link set lo up
ip link add out type veth peer name nowhere
ip address add 192.0.2.1/24 dev out
ip link set nowhere up
ip link set out up
ip route add default dev out
echo up
exec sleep 600`;

export type Block =
  | { readonly kind: 'file'; readonly name: string; readonly text: string }
  | { readonly kind: 'step' | 'terminal'; readonly command: string; readonly line: number };

/** @param page  a name in docs/guide */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(join(ROOT, 'docs/guide', page), 'utf8');
  return [...text.matchAll(/^```(\w+)(?: (.*))?\n([^]*?)^```$/gm)].flatMap(
    ({ 1: language, 2: more, 3: content, index }) => {
      const line = text.slice(0, index).split('\n').length;
      if (more !== undefined && more !== 'terminal') return { kind: 'file', name: more, text: content! };
      if (language !== 'sh') return [];
      return { kind: more === 'terminal' ? 'terminal' : 'step', command: content!, line };
    },
  );
}

export class GuideRun implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'fourways-guide-'));
  readonly #terminals: ChildProcess[] = [];
  /** Holds the network as long as it lives. */
  readonly #network: ChildProcess;
  #said = '';

  private constructor(network: ChildProcess) {
    this.#network = network;
  }

  static async open(): Promise<GuideRun> {
    // A user that is not root becomes one within.
    const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
    const network = spawn('unshare', [...asRoot, '--net', '--mount', 'sh', '-c', NETWORK], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [up] = (await Promise.race([once(network.stdout, 'data'), once(network, 'exit')])) as [unknown];
    if (String(up) !== 'up\n') throw new Error('Cannot make a network namespace: needs root, or user namespaces');
    return new GuideRun(network);
  }

  /** What the terminals have shown. */
  get said(): string {
    return this.#said;
  }

  async run(block: Block): Promise<void> {
    if (block.kind === 'file') return writeFileSync(join(this.#folder, block.name), block.text);
    if (block.kind === 'terminal') return this.#open(block.command);
    const endMs = performance.now() + STEP_MS_MAX;
    for (;;) {
      const lack = await this.#lackOf(block.command);
      if (lack === undefined) return;
      if (performance.now() > endMs)
        throw new Error(`Line ${block.line}: ${lack}\nthe terminals:\n${this.#said.slice(-4_000)}`);
      await pause(AGAIN_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const terminal of this.#terminals.toReversed()) {
      if (terminal.exitCode !== null || terminal.signalCode !== null) continue;
      const ended = once(terminal, 'exit');
      process.kill(-terminal.pid!, 'SIGTERM');
      await Promise.race([ended, pause(END_MS_MAX, undefined, { ref: false })]);
    }
    this.#network.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #open(command: string): void {
    const [program, ...args] = this.#within(command.trim().startsWith('exec') ? command : `exec ${command.trim()}`);
    const terminal = spawn(program!, args, {
      ...this.#surroundings(),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [terminal.stdout, terminal.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    }
    this.#terminals.push(terminal);
  }

  async #lackOf(command: string): Promise<string | undefined> {
    const [program, ...args] = this.#within(`exec 2>&1; set -e\n${command}`);
    const { promise, resolve } = Promise.withResolvers<{ readonly failed: boolean; readonly output: string }>();
    execFile(program!, args, { ...this.#surroundings(), timeout: STEP_MS_MAX }, (error, output) =>
      resolve({ failed: error !== null, output }),
    );
    const { failed, output } = await promise;
    const lacks = [...command.matchAll(/^#([>~!]) (.*)$/gm)].flatMap(([, kind, text = '']) => {
      if (kind === '~') return new RegExp(text, 'm').test(output) ? [] : [`no match for ${text}`];
      return output.includes(text) === (kind === '>') ? [] : [`${kind === '>' ? 'no' : 'should be no'} "${text}"`];
    });
    if (failed) lacks.push('it failed');
    return lacks.length === 0 ? undefined : `${command}\nprinted:\n${output}\n${lacks.join('\n')}`;
  }

  #within(command: string): string[] {
    const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
    const script = `cd '${this.#folder}'\n${command}`;
    return ['nsenter', '--target', String(this.#network.pid), '--net', '--mount', ...user, 'bash', '-c', script];
  }

  #surroundings(): { readonly env: NodeJS.ProcessEnv } {
    return { env: { ...process.env, PATH: [...TOOLS, process.env['PATH']].join(delimiter), NO_COLOR: '1' } };
  }
}
