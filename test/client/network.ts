/**
 * Hosts that are network namespaces of Linux, on a bridge of this one: real interfaces, routes and rules, which are gone with
 * the test. Needs root.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface NetworkHost {
  /** Of IPv4, at which the others of the network reach it. */
  readonly address: string;
  /** Words before a command that is to run there; none: it is this host. */
  readonly within: readonly string[];
}

/** Why there can be no network here; undefined when there can. */
export function noNetwork(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are of Linux';
  return process.getuid?.() === 0 ? undefined : 'network namespaces and rules need root: run the tests as root';
}

export class Network implements AsyncDisposable {
  /** This host, as the others see it. */
  readonly here: NetworkHost;
  readonly hosts: readonly NetworkHost[];
  readonly #name: string;
  readonly #count: number;

  private constructor(name: string, net: string, count: number) {
    this.#name = name;
    this.#count = count;
    this.here = { address: `${net}.1`, within: [] };
    this.hosts = Array.from({ length: count }, (_, i) => ({
      address: `${net}.${i + 2}`,
      within: ['ip', 'netns', 'exec', `${name}-${i}`],
    }));
  }

  /** @param count  hosts besides this one. What is in the network is of this process alone: its number is in every name */
  static async make(count: number): Promise<Network> {
    const { pid } = process;
    const network = new Network(`fw${pid}`, `10.${200 + (pid & 31)}.${(pid >> 5) & 255}`, count);
    try {
      await network.#make();
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
    return network;
  }

  async #make(): Promise<void> {
    const { address } = this.here;
    const bridge = this.#name;
    await ip('link', 'add', bridge, 'type', 'bridge');
    await ip('address', 'add', `${address}/24`, 'dev', bridge);
    await ip('link', 'set', bridge, 'up');
    for (const [i, host] of this.hosts.entries()) {
      const name = `${bridge}-${i}`;
      // `ip netns exec` puts it in the place of /etc/resolv.conf.
      mkdirSync(`/etc/netns/${name}`, { recursive: true });
      writeFileSync(`/etc/netns/${name}/resolv.conf`, `nameserver ${address}\noptions timeout:1 attempts:2\n`);
      // oxlint-disable-next-line no-await-in-loop -- one step after the other
      for (const step of stepsOf(name, bridge, { address: host.address, gateway: address })) await ip(...step);
    }
  }

  /** A host is away, or back: nothing goes to it, and nothing comes. */
  async link(host: NetworkHost, state: 'up' | 'down'): Promise<void> {
    await ip('link', 'set', `${this.#name}-${this.hosts.indexOf(host)}`, state);
  }

  /** Whoever runs there has to be ended before. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (let i = 0; i < this.#count; i++) {
      const name = `${this.#name}-${i}`;
      // oxlint-disable-next-line no-await-in-loop -- what was made of it, and it is too little to hurry
      await ip('netns', 'delete', name).catch(() => undefined);
      rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
    }
    await ip('link', 'delete', this.#name).catch(() => undefined);
  }
}

function stepsOf(
  name: string,
  bridge: string,
  { address, gateway }: { readonly address: string; readonly gateway: string },
): string[][] {
  const inside = ['-n', name];
  return [
    ['netns', 'add', name],
    // Names of interfaces have 15 characters at most.
    ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name],
    ['link', 'set', name, 'master', bridge, 'up'],
    [...inside, 'address', 'add', `${address}/24`, 'dev', 'eth0'],
    [...inside, 'link', 'set', 'lo', 'up'],
    [...inside, 'link', 'set', 'eth0', 'up'],
    [...inside, 'route', 'add', 'default', 'via', gateway],
  ];
}

async function ip(...args: string[]): Promise<void> {
  await run('ip', args);
}
