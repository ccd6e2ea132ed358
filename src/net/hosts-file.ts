import { readFile } from 'node:fs/promises';
import net from 'node:net';
import type { Clock } from '../base/clock.ts';

/** How long what was read is believed: a change shows within this time. */
const FRESH_MS = 5_000;

/** Addresses by name, as `/etc/hosts` has them (hosts(5)). Names are lower case. */
export function parseHosts(text: string): Map<string, string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (net.isIP(address) === 0) continue;
    for (const name of names.map((each) => each.toLowerCase())) {
      const addresses = hosts.get(name);
      if (addresses === undefined) hosts.set(name, [address]);
      else if (!addresses.includes(address)) addresses.push(address);
    }
  }
  return hosts;
}

/** The hosts file of the machine, read again when it may have changed. A file that cannot be read is an empty one. */
export class HostsFile {
  readonly #path: string;
  readonly #clock: Clock;
  #hosts: Promise<Map<string, string[]>> | undefined;
  #readMs = 0;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Addresses of a lower-case name, in the order of the file; empty when it is not in there. */
  async lookUp(name: string): Promise<readonly string[]> {
    const nowMs = this.#clock.nowMs();
    if (this.#hosts === undefined || nowMs - this.#readMs >= FRESH_MS) {
      this.#readMs = nowMs;
      this.#hosts = readFile(this.#path, 'utf8').then(parseHosts, () => new Map<string, string[]>());
    }
    return (await this.#hosts).get(name) ?? [];
  }
}
