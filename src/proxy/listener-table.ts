import { HostMap } from './host-map.ts';

/**
 * Which listener of one port takes a host: the one with the most specific
 * hostname, and no other is tried (Gateway API, listener isolation).
 */
export class PortListeners<L> {
  readonly #byHost: HostMap<L>;

  /** @param listeners  hostnames as in the plan (`a.test`, `*.a.test`, `*`), each at most once; the compiler settles conflicts */
  constructor(listeners: Iterable<readonly [hostname: string, listener: L]>) {
    this.#byHost = HostMap.of(listeners);
  }

  /** @param host  lower case, without port and trailing dot */
  find(host: string): L | undefined {
    return this.#byHost.find(host);
  }
}
