/** The resolvers of the system: resolv.conf(5). */
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Upstream } from './dns-forward.ts';

const DNS_PORT = 53;

export function upstreamsIn(text: string): Upstream[] {
  return text.split('\n').flatMap((line) => {
    const [word, address = ''] = line.trim().split(/\s+/);
    return word === 'nameserver' && isIP(address.replace(/%.*$/, '')) !== 0 ? [{ address, port: DNS_PORT }] : [];
  });
}

/** Read again when the file is another one: DHCP and VPNs write it anew. */
export class ResolvConf {
  readonly #path: string;
  #stamp = '';
  #upstreams: readonly Upstream[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  /** As of now. None when there is no such file. */
  get upstreams(): readonly Upstream[] {
    try {
      const { mtimeMs, ino, size } = statSync(this.#path);
      const stamp = `${mtimeMs} ${ino} ${size}`;
      if (stamp !== this.#stamp) this.#upstreams = upstreamsIn(readFileSync(this.#path, 'utf8'));
      this.#stamp = stamp;
    } catch {
      this.#stamp = '';
      this.#upstreams = [];
    }
    return this.#upstreams;
  }
}
