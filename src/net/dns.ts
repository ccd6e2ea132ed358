/**
 * Names of upstreams, resolved in the background. A request never waits for a
 * name: whoever watches one is told when its addresses are known and when they
 * change. When a name cannot be resolved, the last addresses stay in use.
 */
import dns, { Resolver as NodeResolver } from 'node:dns/promises';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { Turnstile } from '../base/turnstile.ts';
import { HostsFile } from './hosts-file.ts';

export interface ResolverOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** `ADDRESS:PORT` of name servers; empty for those of the system. */
  readonly servers?: readonly string[];
  /** Answers that a name server may keep us waiting for. Default: two tries of 2 s. */
  readonly timeoutMs?: number;
  /** Default: `/etc/hosts`. */
  readonly hostsFile?: string;
  /** Called after each lookup. */
  readonly onLookUp?: (result: 'ok' | 'failed') => void;
}

/** Addresses of a name, IPv4 before IPv6, sorted, so that equal answers compare equal. */
export type OnAddresses = (addresses: readonly string[]) => void;

export interface NameState {
  readonly addresses: readonly string[];
  /** Monotonic time of the last good answer; undefined before the first. */
  readonly resolvedMs: number | undefined;
  /** Why the last try failed; undefined when it did not. The addresses are those of `resolvedMs`. */
  readonly failure: string | undefined;
}

/** Names watched at one time. Beyond, a name has no addresses and says so in the log. */
const NAMES_MAX = 10_000;

/** Addresses of one name that are used; an answer of UDP holds fewer. */
const ADDRESSES_MAX = 256;

/** A TTL of zero would mean a query for every request of a second; a very long one would outlive a failover. */
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 300_000;

/** Names that come from the hosts file or the platform have no TTL. */
const LOCAL_TTL_MS = 30_000;

const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 30_000;

/** Lookups that run at one time: a plan with thousands of names must not flood a name server. */
const LOOKUPS_MAX = 32;

/** The platform resolves on the few threads that files are read with; a slow one must not take them all. */
const PLATFORM_LOOKUPS_MAX = 2;

interface Answer {
  readonly addresses: readonly string[];
  readonly ttlMs: number;
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #servers: NodeResolver;
  readonly #ownServers: boolean;
  readonly #hosts: HostsFile;
  readonly #names = new Map<string, WatchedName>();
  readonly #lookUps = new Turnstile(LOOKUPS_MAX);
  readonly #platformLookUps = new Turnstile(PLATFORM_LOOKUPS_MAX);

  constructor(options: ResolverOptions) {
    const { clock, servers = [], timeoutMs = 2_000, hostsFile = '/etc/hosts' } = options;
    this.#options = options;
    this.#servers = new NodeResolver({ timeout: timeoutMs, tries: 2 });
    this.#ownServers = servers.length > 0;
    if (this.#ownServers) this.#servers.setServers(servers);
    this.#hosts = new HostsFile(hostsFile, clock);
  }

  /**
   * Calls `onAddresses` once the name is resolved (never in this turn) and whenever its addresses change.
   *
   * @returns ends the watch
   */
  watch(name: string, onAddresses: OnAddresses): () => void {
    const key = name.toLowerCase();
    let watched = this.#names.get(key);
    if (watched === undefined) {
      if (this.#names.size >= NAMES_MAX) {
        this.#options.log.error('Cannot resolve a name: too many names are watched', { name, max: NAMES_MAX });
        return () => undefined;
      }
      watched = new WatchedName(key, this.#options, () => this.#lookUps.run(() => this.#resolve(key)));
      this.#names.set(key, watched);
      watched.start();
    }
    const owner = watched;
    // Each watch has a function of its own, so that ending one does not end another with the same callback.
    const watcher: OnAddresses = (addresses) => onAddresses(addresses);
    owner.add(watcher);
    return () => {
      if (owner.remove(watcher) > 0 || this.#names.get(key) !== owner) return;
      owner.stop();
      this.#names.delete(key);
    };
  }

  /** What is known of a watched name. */
  state(name: string): NameState | undefined {
    return this.#names.get(name.toLowerCase())?.state;
  }

  close(): void {
    for (const watched of this.#names.values()) watched.stop();
    this.#names.clear();
    this.#servers.cancel();
  }

  /** @throws {Error} with a `code` of c-ares or the platform when the name has no address */
  async #resolve(name: string): Promise<Answer> {
    const local = await this.#hosts.lookUp(name);
    if (local.length > 0) return { addresses: local, ttlMs: LOCAL_TTL_MS };
    // RFC 6761 section 6.3: localhost is never asked of a name server.
    if (name === 'localhost' || name.endsWith('.localhost')) return { addresses: ['127.0.0.1'], ttlMs: TTL_MS_MAX };
    // Search domains are the platform's.
    if (!this.#ownServers && !name.includes('.')) return this.#askPlatform(name);
    try {
      return await this.#askServers(name);
    } catch (error) {
      // A name server that we were told to use has the last word; and after a long silence the platform would only wait again.
      if (this.#ownServers || codeOf(error) === 'ETIMEOUT') throw error;
      return this.#askPlatform(name);
    }
  }

  /** One family that fails for another reason than having no address fails both: half an answer looks like a scale-down. */
  async #askServers(name: string): Promise<Answer> {
    const results = await Promise.allSettled([
      this.#servers.resolve4(name, { ttl: true }),
      this.#servers.resolve6(name, { ttl: true }),
    ]);
    const records: { readonly address: string; readonly ttl: number }[] = [];
    let reason: unknown;
    for (const result of results) {
      if (result.status === 'fulfilled') records.push(...result.value.toSorted(byAddress));
      else if (reason === undefined || !NO_ADDRESS.has(codeOf(result.reason))) reason = result.reason;
    }
    if (records.length === 0 || (reason !== undefined && !NO_ADDRESS.has(codeOf(reason)))) throw reason;
    const ttlMs = Math.min(...records.map(({ ttl }) => ttl)) * 1_000;
    return { addresses: [...new Set(records.map(({ address }) => address))], ttlMs };
  }

  #askPlatform(name: string): Promise<Answer> {
    return this.#platformLookUps.run(async () => {
      const found = await dns.lookup(name, { all: true, order: 'ipv4first' });
      return { addresses: [...new Set(found.map(({ address }) => address))], ttlMs: LOCAL_TTL_MS };
    });
  }
}

/** Answers that say: this name has no address of this family. */
const NO_ADDRESS: ReadonlySet<string> = new Set(['ENODATA', 'ENOTFOUND']);

function codeOf(error: unknown): string {
  return error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
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
    if (this.#stopped) return;
    this.#resolve().then(
      (answer) => this.#resolved(answer),
      (error: unknown) => this.#failed(codeOf(error)),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #resolved({ addresses, ttlMs }: Answer): void {
    if (this.#stopped) return;
    const { log, clock, onLookUp } = this.#options;
    onLookUp?.('ok');
    const before = this.state;
    if (this.#failures > 0) log.info('A name resolves again', { name: this.#name });
    this.#failures = 0;
    const used = addresses.slice(0, ADDRESSES_MAX);
    this.state = { addresses: used, resolvedMs: clock.nowMs(), failure: undefined };
    const same = before.resolvedMs !== undefined && before.addresses.join() === used.join();
    if (!same) for (const watcher of this.#watchers) watcher(used);
    this.#again(Math.min(TTL_MS_MAX, Math.max(TTL_MS_MIN, ttlMs)));
  }

  #failed(why: string): void {
    if (this.#stopped) return;
    const { log, onLookUp } = this.#options;
    onLookUp?.('failed');
    if (this.#failures === 0) {
      const kept = this.state.addresses.length;
      log.warn('Cannot resolve a name', { name: this.#name, error: why, addressesKept: kept });
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
