/**
 * Names of upstreams, resolved in the background. A request never waits for a
 * name: whoever watches one is told when its addresses are known and when they
 * change. When a name cannot be resolved, the last addresses stay in use.
 */
import { Resolver as NodeResolver } from 'node:dns/promises';
import dns from 'node:dns/promises';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';

export interface ResolverOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** `ADDRESS:PORT` of name servers; empty for those of the system. */
  readonly servers?: readonly string[];
}

/** Addresses of a name, IPv4 before IPv6, sorted, so that equal answers compare equal. */
export type OnAddresses = (addresses: readonly string[]) => void;

export interface NameState {
  readonly addresses: readonly string[];
  /** Monotonic time of the last good answer; undefined before the first. */
  readonly resolvedMs: number | undefined;
  /** Why the last try failed; undefined when it did not. */
  readonly failure: string | undefined;
}

/** Names watched at one time. Beyond, a name has no addresses and says so in the log. */
const NAMES_MAX = 10_000;

/** A TTL of zero would mean a query per request of a second; a very long one would outlive a failover. */
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 300_000;

/** Names that come from the hosts file or the platform have no TTL. */
const LOCAL_TTL_MS = 30_000;

const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 30_000;

interface Answer {
  readonly addresses: readonly string[];
  readonly ttlMs: number;
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #servers: NodeResolver;
  readonly #names = new Map<string, WatchedName>();

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#servers = new NodeResolver({ timeout: 2_000, tries: 2 });
    if (options.servers !== undefined && options.servers.length > 0) this.#servers.setServers(options.servers);
  }

  /**
   * Calls `onAddresses` once the name is resolved (never in this turn) and whenever its addresses change.
   *
   * @returns ends the watch
   */
  watch(name: string, onAddresses: OnAddresses): () => void {
    let watched = this.#names.get(name);
    if (watched === undefined) {
      if (this.#names.size >= NAMES_MAX) {
        this.#options.log.error('Cannot resolve a name: too many names are watched', { name, max: NAMES_MAX });
        return () => undefined;
      }
      watched = new WatchedName(name, this.#options, () => this.#resolve(name));
      this.#names.set(name, watched);
      watched.start();
    }
    const owner = watched;
    owner.add(onAddresses);
    return () => {
      if (owner.remove(onAddresses) > 0 || this.#names.get(name) !== owner) return;
      owner.stop();
      this.#names.delete(name);
    };
  }

  /** What is known of a watched name. */
  state(name: string): NameState | undefined {
    return this.#names.get(name)?.state;
  }

  close(): void {
    for (const watched of this.#names.values()) watched.stop();
    this.#names.clear();
    this.#servers.cancel();
  }

  /** @throws {Error} with a `code` of c-ares or the platform when the name has no address */
  async #resolve(name: string): Promise<Answer> {
    // RFC 6761 section 6.3: localhost is never asked of a name server.
    if (name === 'localhost' || name.endsWith('.localhost')) return { addresses: ['127.0.0.1'], ttlMs: TTL_MS_MAX };
    const own = this.#options.servers !== undefined && this.#options.servers.length > 0;
    if (!own && !name.includes('.')) return lookUp(name); // search domains and the hosts file are the platform's
    const [four, six] = await Promise.allSettled([
      this.#servers.resolve4(name, { ttl: true }),
      this.#servers.resolve6(name, { ttl: true }),
    ]);
    const records = [
      ...(four.status === 'fulfilled' ? four.value.toSorted(byAddress) : []),
      ...(six.status === 'fulfilled' ? six.value.toSorted(byAddress) : []),
    ];
    if (records.length > 0) {
      const ttlMs = Math.min(...records.map(({ ttl }) => ttl)) * 1_000;
      return { addresses: [...new Set(records.map(({ address }) => address))], ttlMs: Math.max(TTL_MS_MIN, ttlMs) };
    }
    // Perhaps only the hosts file knows it; a name server that we were told to use has the last word.
    if (own) throw (four as PromiseRejectedResult).reason;
    return lookUp(name);
  }
}

async function lookUp(name: string): Promise<Answer> {
  const found = await dns.lookup(name, { all: true, order: 'ipv4first' });
  return { addresses: [...new Set(found.map(({ address }) => address))], ttlMs: LOCAL_TTL_MS };
}

function byAddress(a: { readonly address: string }, b: { readonly address: string }): number {
  return a.address < b.address ? -1 : 1;
}

/** One name and those who wait for it: a single query at a time, however many they are. */
class WatchedName {
  state: NameState = { addresses: [], resolvedMs: undefined, failure: undefined };
  readonly #name: string;
  readonly #options: ResolverOptions;
  readonly #resolve: () => Promise<Answer>;
  readonly #watchers = new Set<OnAddresses>();
  #failures = 0;
  #stopped = false;
  #cancel: (() => void) | undefined;

  constructor(name: string, options: ResolverOptions, resolve: () => Promise<Answer>) {
    this.#name = name;
    this.#options = options;
    this.#resolve = resolve;
  }

  add(watcher: OnAddresses): void {
    this.#watchers.add(watcher);
    if (this.state.resolvedMs === undefined) return;
    queueMicrotask(() => this.#watchers.has(watcher) && watcher(this.state.addresses));
  }

  /** @returns how many still watch */
  remove(watcher: OnAddresses): number {
    this.#watchers.delete(watcher);
    return this.#watchers.size;
  }

  start(): void {
    this.#resolve().then(
      (answer) => this.#resolved(answer),
      (error: NodeJS.ErrnoException) => this.#failed(error.code ?? error.message),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #resolved({ addresses, ttlMs }: Answer): void {
    if (this.#stopped) return;
    const before = this.state;
    if (this.#failures > 0) this.#options.log.info('A name resolves again', { name: this.#name });
    this.#failures = 0;
    this.state = { addresses, resolvedMs: this.#options.clock.nowMs(), failure: undefined };
    const same = before.resolvedMs !== undefined && before.addresses.join() === addresses.join();
    if (!same) for (const watcher of this.#watchers) watcher(addresses);
    this.#again(Math.min(TTL_MS_MAX, ttlMs));
  }

  #failed(why: string): void {
    if (this.#stopped) return;
    if (this.#failures === 0) {
      const kept = this.state.addresses.length;
      this.#options.log.warn('Cannot resolve a name', { name: this.#name, error: why, addressesKept: kept });
    }
    this.state = { ...this.state, failure: why };
    this.#again(Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** Math.min(10, this.#failures)));
    this.#failures++;
  }

  /** Up to a tenth early or late, so that names that were first asked together do not stay together. */
  #again(delayMs: number): void {
    const jittered = delayMs * (0.9 + this.#options.random.unit() / 5);
    this.#cancel = this.#options.clock.after(jittered, () => this.start());
  }
}
