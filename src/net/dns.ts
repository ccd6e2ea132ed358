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
import { querySrv, type SrvAnswer, type SrvRecord } from './srv-query.ts';
import { type Answer, codeOf, type NameState, WatchedName } from './watched-name.ts';

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

/** Records of a service, sorted. Empty: its name says that there is none. */
export type OnRecords = (records: readonly SrvRecord[]) => void;

/** Names watched at one time. Beyond, a name has no addresses and says so in the log. */
const NAMES_MAX = 10_000;

const TIMEOUT_MS = 2_000;

/** Addresses or records of one name that are used; an answer of UDP holds fewer. */
const ADDRESSES_MAX = 256;

/** For names that need not be asked for again. */
const LONG_TTL_MS = 300_000;

/** Names that come from the hosts file or the platform have no TTL. */
const LOCAL_TTL_MS = 30_000;

/** Lookups that run at one time: a plan with thousands of names must not flood a name server. */
const LOOKUPS_MAX = 32;

/** The platform resolves on the few threads that files are read with; a slow one must not take them all. */
const PLATFORM_LOOKUPS_MAX = 2;

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #servers: NodeResolver;
  readonly #ownServers: boolean;
  readonly #hosts: HostsFile;
  readonly #names = new Map<string, WatchedName<string>>();
  readonly #services = new Map<string, WatchedName<SrvRecord>>();
  readonly #lookUps = new Turnstile(LOOKUPS_MAX);
  readonly #platformLookUps = new Turnstile(PLATFORM_LOOKUPS_MAX);

  constructor(options: ResolverOptions) {
    const { clock, servers = [], timeoutMs = TIMEOUT_MS, hostsFile = '/etc/hosts' } = options;
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
    const make = (key: string): WatchedName<string> =>
      new WatchedName(key, {
        ...this.#options,
        resolve: () => this.#lookUps.run(() => this.#resolve(key)),
        usedMax: ADDRESSES_MAX,
      });
    return this.#watchIn(this.#names, name, { make, tell: onAddresses });
  }

  /**
   * The same for the SRV records of a service, `_http._tcp.orders.example`. Their targets are names to be watched.
   *
   * @returns ends the watch
   */
  watchService(name: string, onRecords: OnRecords): () => void {
    const make = (key: string): WatchedName<SrvRecord> =>
      new WatchedName(key, {
        ...this.#options,
        resolve: () => this.#lookUps.run(() => this.#askForService(key)),
        usedMax: ADDRESSES_MAX,
      });
    return this.#watchIn(this.#services, name, { make, tell: onRecords });
  }

  #watchIn<T>(
    names: Map<string, WatchedName<T>>,
    name: string,
    { make, tell }: { readonly make: (key: string) => WatchedName<T>; readonly tell: (found: readonly T[]) => void },
  ): () => void {
    const key = name.toLowerCase();
    let watched = names.get(key);
    if (watched === undefined) {
      if (this.#names.size + this.#services.size >= NAMES_MAX) {
        this.#options.log.error('Cannot resolve a name: too many names are watched', { name, max: NAMES_MAX });
        return () => undefined;
      }
      watched = make(key);
      names.set(key, watched);
      watched.start();
    }
    const owner = watched;
    // Each watch has a function of its own, so that ending one does not end another with the same callback.
    const watcher = (found: readonly T[]): void => tell(found);
    owner.add(watcher);
    return () => {
      if (owner.remove(watcher) > 0 || names.get(key) !== owner) return;
      owner.stop();
      names.delete(key);
    };
  }

  /** What is known of a watched name. */
  state(name: string): NameState<string> | undefined {
    return this.#names.get(name.toLowerCase())?.state;
  }

  serviceState(name: string): NameState<SrvRecord> | undefined {
    return this.#services.get(name.toLowerCase())?.state;
  }

  close(): void {
    for (const watched of [...this.#names.values(), ...this.#services.values()]) watched.stop();
    this.#names.clear();
    this.#services.clear();
    this.#servers.cancel();
  }

  async #askForService(name: string): Promise<Answer<SrvRecord>> {
    const { clock, random, servers, timeoutMs = TIMEOUT_MS } = this.#options;
    const asked = this.#ownServers ? servers! : this.#servers.getServers();
    const answer: SrvAnswer = await querySrv({ name, servers: asked, timeoutMs, clock, random });
    return { found: answer.records, ttlMs: answer.ttlMs };
  }

  /** @throws {Error} with a `code` of c-ares or the platform when the name has no address */
  async #resolve(name: string): Promise<Answer<string>> {
    const local = await this.#hosts.lookUp(name);
    if (local.length > 0) return { found: local, ttlMs: LOCAL_TTL_MS };
    // RFC 6761 section 6.3: localhost is never asked of a name server.
    if (name === 'localhost' || name.endsWith('.localhost')) return { found: ['127.0.0.1'], ttlMs: LONG_TTL_MS };
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
  async #askServers(name: string): Promise<Answer<string>> {
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
    return { found: [...new Set(records.map(({ address }) => address))], ttlMs };
  }

  #askPlatform(name: string): Promise<Answer<string>> {
    return this.#platformLookUps.run(async () => {
      const found = await dns.lookup(name, { all: true, order: 'ipv4first' });
      return { found: [...new Set(found.map(({ address }) => address))], ttlMs: LOCAL_TTL_MS };
    });
  }
}

/** Answers that say: this name has no address of this family. */
const NO_ADDRESS: ReadonlySet<string> = new Set(['ENODATA', 'ENOTFOUND']);

function byAddress(a: { readonly address: string }, b: { readonly address: string }): number {
  return a.address < b.address ? -1 : 1;
}
