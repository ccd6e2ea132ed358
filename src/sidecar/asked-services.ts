/** Names of services that were called and are not in the plan: each is asked for once, and whoever waits is told. */

/** `unknown`: nobody knows it. `settled`: a plan was applied, which may have it. */
export type Asked = 'unknown' | 'settled';

export class AskedServices {
  readonly #subscribe: (names: readonly string[]) => boolean;
  readonly #open = new Map<string, PromiseWithResolvers<Asked>>();

  /** @param subscribe  tells the control plane. Returns false when there is no room for more */
  constructor(subscribe: (names: readonly string[]) => boolean) {
    this.#subscribe = subscribe;
  }

  /** @param name  `orders.shop`, also with a port behind it */
  ask(name: string): Promise<Asked> {
    const host = name.replace(/:\d+$/, '');
    const open = this.#open.get(host);
    if (open !== undefined) return open.promise;
    const asked = Promise.withResolvers<Asked>();
    this.#open.set(host, asked);
    if (!this.#subscribe([host])) this.unknown([host]);
    return asked.promise;
  }

  unknown(hosts: readonly string[]): void {
    this.#tell(hosts, 'unknown');
  }

  /** A plan was applied: who waits has to look at it. */
  settle(): void {
    this.#tell([...this.#open.keys()], 'settled');
  }

  #tell(hosts: readonly string[], asked: Asked): void {
    for (const host of hosts) {
      this.#open.get(host)?.resolve(asked);
      this.#open.delete(host);
    }
  }
}
