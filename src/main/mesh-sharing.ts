/** What control planes on one store share, put together: workloads, proxies, and news of what changed for all of them. */
import { hostname } from 'node:os';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { ProxyRow } from '../control/mesh-feeds.ts';
import type { Registry } from '../control/registry.ts';
import { type ListedProxy, SharedProxies } from '../control/shared-proxies.ts';
import { type ControlRow, type HeardNote, SharedRegistry } from '../control/shared-registry.ts';
import { NOTES_CHANNEL, SharedStore } from '../control/shared-store.ts';
import { TRUST_CHANNEL } from '../identity/sql-store.ts';
import { portKey } from '../ir/key.ts';
import { News } from '../store/news.ts';
import type { HostPort } from './host-port.ts';
import type { OpenState } from './state.ts';

export interface SharingParts extends Pick<OpenState, 'store' | 'leadership'> {
  /** Tells runs of control planes apart. */
  readonly id: string;
  /** Where proxies connect. */
  readonly at: HostPort;
  readonly registry: Registry;
  readonly rowOf: (instance: string) => ProxyRow | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Another control plane says something else of a proxy. */
  readonly onProxies: () => void;
}

export class MeshSharing {
  readonly #parts: SharingParts;
  readonly #registry: SharedRegistry;
  readonly #proxies: SharedProxies;
  #news: News | undefined;

  constructor(parts: SharingParts) {
    this.#parts = parts;
    const { store, leadership, clock, log, id } = parts;
    const name = nameOf(parts.at);
    this.#proxies = new SharedProxies(clock, name);
    this.#registry = new SharedRegistry({
      store: new SharedStore(store),
      isOpen: () => store.status.state === 'open',
      isAlone: store.place.kind === 'embedded',
      id,
      name,
      leads: () => leadership.leads,
      clock,
      log,
      hear: (note) => this.#hear(note),
    });
  }

  /** Resolves when what others say is known. @param onTrust  called when the authority may be another one */
  async start(onTrust: () => void): Promise<void> {
    const { store, clock } = this.#parts;
    await this.#registry.start();
    const hear = { [NOTES_CHANNEL]: (by: string) => this.#registry.heard(by), [TRUST_CHANNEL]: onTrust };
    this.#news = new News({ store, clock, hear });
  }

  get controls(): ControlRow[] {
    return this.#registry.controls;
  }

  /** With those of other control planes. @param own  that are connected here */
  proxies(own: readonly ProxyRow[]): ListedProxy[] {
    return this.#proxies.list(own);
  }

  /** The store is there again, or away. */
  onStore(): void {
    this.#registry.look();
  }

  workload(name: string, body: string | undefined): void {
    this.#registry.tell('workload', name, body === undefined ? undefined : () => body);
  }

  proxy(instance: string): void {
    const { rowOf } = this.#parts;
    const body = (): string | undefined => {
      const row = rowOf(instance);
      return row === undefined ? undefined : this.#proxies.bodyOf(row);
    };
    this.#registry.tell('proxy', instance, rowOf(instance) === undefined ? undefined : body);
  }

  async close(): Promise<void> {
    await this.#news?.close();
    await this.#registry.close();
  }

  #hear(note: HeardNote): void {
    const { registry, onProxies } = this.#parts;
    const { kind, name, body, control } = note;
    if (kind === 'workload') return registry.heard(control, name, body);
    this.#proxies.heard(note);
    onProxies();
  }
}

/** Where others reach it, for people. */
function nameOf({ host, port }: HostPort): string {
  return portKey(host === '0.0.0.0' || host === '::' ? hostname() : host, port);
}
