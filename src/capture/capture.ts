/**
 * Transparent capture: an application reaches services by their names and ports, and neither it nor its environment
 * knows of a proxy.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import type { Asked } from '../sidecar/asked-services.ts';
import type { LocalAddress, NamedPort } from '../sidecar/local-ports.ts';
import { replaceFile } from '../store/replace-file.ts';
import { Addresses, type Range } from './addresses.ts';
import { Directory } from './directory.ts';
import { DnsAnswerer } from './dns-answerer.ts';
import { Forwarder } from './dns-forward.ts';
import { captureFault } from './faults.ts';
import { listTables, nft, nftNow } from './nft.ts';
import { claimPresence, isPresent } from './presence.ts';
import { ResolvConf } from './resolv-conf.ts';
import {
  type Capture,
  type Elements,
  elementOf,
  scopeOf,
  type Scope,
  serviceRules,
  tableOf,
  tableRules,
} from './rules.ts';

export interface CaptureOptions {
  readonly scope: Scope;
  readonly range: Range;
  /** File that keeps the addresses of services. */
  readonly path: string;
  readonly resolvConf: string;
  /** See {@link Directory}. */
  readonly ask: (name: string) => Promise<Asked>;
  readonly drop: (name: string) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Below the ports that systems give to clients; the first free ones are taken. */
export const PORT_MIN = 15_100;
const PORT_MAX = 19_999;

const LOOPBACK = '127.0.0.1';
const LOOPBACK6 = '::1';

/** The addresses that were kept. What cannot be read is none. */
export async function keptAddresses(path: string): Promise<Readonly<Record<string, string>>> {
  try {
    const read = JSON.parse(await readFile(path, 'utf8')) as unknown;
    if (typeof read !== 'object' || read === null) return {};
    return Object.fromEntries(Object.entries(read).filter(([, address]) => typeof address === 'string'));
  } catch {
    return {};
  }
}

export interface Led {
  readonly elements: Elements;
  /** Addresses by name, for DNS. */
  readonly names: ReadonlyMap<string, string>;
}

/** Where captured connections go. @param ports  local ports by the key of the listener */
export function ledBy(named: readonly NamedPort[], addresses: Addresses, ports: ReadonlyMap<string, number>): Led {
  const elements = new Map<string, number>();
  const names = new Map<string, string>();
  for (const { key, hosts, port } of named) {
    const local = ports.get(key);
    if (local === undefined) continue;
    for (const host of hosts) {
      const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(host);
      // Local ports are of IPv4; a service with an address of IPv6 is reached by its name.
      if (host.startsWith('[')) continue;
      const address = isAddress ? host : addresses.of(key.slice(0, key.lastIndexOf('/')));
      elements.set(elementOf(address, port), local);
      if (!isAddress) names.set(host, address);
    }
  }
  return { elements, names };
}

export class TransparentCapture {
  readonly #options: CaptureOptions;
  readonly #presence: Server;
  readonly #addresses: Addresses;
  readonly #directory: Directory;
  /** Local ports by the key of the listener. */
  readonly #ports = new Map<string, number>();
  #answerer: DnsAnswerer | undefined;
  #nextPort = PORT_MIN;
  /** What the file has; empty before it was written. */
  #kept = '';
  #rules = '';
  #isClosed = false;

  private constructor(options: CaptureOptions, presence: Server, kept: Readonly<Record<string, string>>) {
    this.#options = options;
    this.#presence = presence;
    this.#addresses = new Addresses(options.range, kept);
    this.#directory = new Directory(options);
  }

  /** Captures, and knows no service yet. What sidecars that are gone have left behind is removed. */
  static async open(options: CaptureOptions): Promise<TransparentCapture | Fault> {
    const table = tableOf(options.scope);
    const presence = await claimPresence(table);
    if (presence === undefined) return captureFault('capture.taken', `A process has the table "${table}" already`);
    const capture = new TransparentCapture(options, presence, await keptAddresses(options.path));
    // From now on the file says that there may be rules (removeOfDead).
    await capture.#keep();
    const fault = (await removeLeftBehind(options.scope, options.log)) ?? (await capture.#begin());
    if (fault === undefined) return capture;
    await capture.close();
    return fault;
  }

  async claim(named: readonly NamedPort[]): Promise<ReadonlyMap<string, LocalAddress>> {
    for (const { key } of named) {
      if (this.#ports.has(key)) continue;
      // oxlint-disable-next-line no-await-in-loop -- the next one depends on it
      const port = await this.#freePort();
      if (port !== undefined) this.#ports.set(key, port);
      else this.#options.log.warn(captureFault('capture.no-port', `"${key}" is not captured`).detail);
    }
    return new Map([...this.#ports].map(([key, port]) => [key, { address: LOOPBACK, port }]));
  }

  async lead(named: readonly NamedPort[]): Promise<void> {
    const { scope, log } = this.#options;
    const { elements, names } = ledBy(named, this.#addresses, this.#ports);
    const rules = serviceRules(scope, elements);
    if (rules !== this.#rules && !this.#isClosed) {
      const said = await nft(['-f', '-'], rules);
      if (said instanceof Fault) log.error(`Services are not captured: ${said.detail}`, { code: said.code });
      else this.#rules = rules;
    }
    // Only now: an address that is answered leads somewhere.
    this.#directory.replace(names);
    const keys = new Set(named.map(({ key }) => key));
    for (const key of this.#ports.keys()) if (!keys.has(key)) this.#ports.delete(key);
    await this.#keep();
  }

  /** At the end of the process, when nothing can be waited for. */
  removeNow(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    nftNow(['delete', 'table', 'inet', tableOf(this.#options.scope)]);
  }

  async close(): Promise<void> {
    const { scope, log } = this.#options;
    if (!this.#isClosed && this.#answerer !== undefined) {
      const said = await nft(['delete', 'table', 'inet', tableOf(scope)]);
      if (said instanceof Fault) log.warn(`The rules of capture were not removed: ${said.detail}`);
    }
    this.#isClosed = true;
    this.#answerer?.close();
    this.#presence.close();
  }

  async #begin(): Promise<Fault | undefined> {
    const { scope, range, resolvConf, clock, log } = this.#options;
    const dnsPort = await this.#freePort();
    if (dnsPort === undefined) return captureFault('capture.no-port', 'DNS has none');
    const resolvers = new ResolvConf(resolvConf);
    const forwarder = new Forwarder({ upstreams: () => resolvers.upstreams, clock });
    const answers = {
      find: (name: string): ReturnType<Directory['find']> => this.#directory.find(name),
      forward: forwarder.ask.bind(forwarder),
    };
    let dnsOn6 = true;
    const answerer =
      (await DnsAnswerer.open([LOOPBACK, LOOPBACK6], dnsPort, answers).catch(() => undefined)) ??
      (await DnsAnswerer.open([LOOPBACK], dnsPort, answers).then(
        (only4) => {
          dnsOn6 = false;
          return only4;
        },
        (error: unknown) => captureFault('capture.no-port', `DNS: ${String(error)}`),
      ));
    if (answerer instanceof Fault) return answerer;
    const { upstreams } = resolvers;
    const capture: Capture = { scope, dnsPort, dnsOn6, range: range.cidr, upstreams };
    // Whoever is told of the rules can remove them; in between nothing can end the process but what kills it.
    const fault = nftNow(['-f', '-'], tableRules(capture, new Map()));
    if (fault !== undefined) {
      answerer.close();
      return fault;
    }
    this.#answerer = answerer;
    log.info('Connections are captured', { table: tableOf(scope), range: range.cidr, dns: `${LOOPBACK}:${dnsPort}` });
    return undefined;
  }

  async #freePort(): Promise<number | undefined> {
    for (let tries = PORT_MAX - PORT_MIN; tries >= 0; tries--) {
      const port = this.#nextPort;
      this.#nextPort = port === PORT_MAX ? PORT_MIN : port + 1;
      // oxlint-disable-next-line no-await-in-loop -- the first one that is free
      if (!new Set(this.#ports.values()).has(port) && (await isFree(port))) return port;
    }
    return undefined;
  }

  async #keep(): Promise<void> {
    const { path, log } = this.#options;
    const text = JSON.stringify(this.#addresses.kept);
    if (text === this.#kept) return;
    try {
      await replaceFile({ path, owner: 'new' }, [text]);
      this.#kept = text;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn('The addresses of services are not kept: they may be others after a restart', { reason });
    }
  }
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen({ host: LOOPBACK, port }, () => server.close(() => resolve(true)));
  return promise;
}

/** Where nothing is captured any more: rules of sidecars that are gone would keep their users from services and from DNS. */
export async function removeOfDead(log: Log): Promise<Fault | undefined> {
  const tables = await listTables();
  if (tables instanceof Fault) return tables;
  for (const table of tables) {
    // oxlint-disable-next-line no-await-in-loop -- one table after the other
    const fault = scopeOf(table) === undefined || (await isPresent(table)) ? undefined : await removeTable(table, log);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

async function removeTable(table: string, log: Log): Promise<Fault | undefined> {
  log.warn('Rules that a sidecar has left behind are removed', { table });
  const said = await nft(['delete', 'table', 'inet', table]);
  return said instanceof Fault ? said : undefined;
}

/** @returns a fault when one that runs captures the same connections */
async function removeLeftBehind(scope: Scope, log: Log): Promise<Fault | undefined> {
  const tables = await listTables();
  if (tables instanceof Fault) return tables;
  const own = tableOf(scope);
  for (const table of tables) {
    const other = scopeOf(table);
    if (other === undefined) continue;
    if (table === own) {
      log.warn('Rules that a sidecar has left behind are replaced', { table });
      continue;
    }
    // oxlint-disable-next-line no-await-in-loop -- one table after the other
    if (await isPresent(table)) {
      const isSame = scope.kind === 'others' || (other.kind === 'others' && other.uid !== scope.uid);
      if (isSame) return captureFault('capture.taken', `The sidecar with the table "${table}" runs`);
      continue;
    }
    // oxlint-disable-next-line no-await-in-loop
    const fault = await removeTable(table, log);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
