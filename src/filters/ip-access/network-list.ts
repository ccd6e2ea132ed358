/**
 * Networks from a configuration and from files. Lists that say the same are one:
 * a policy on a Gateway with thousands of routes holds its 100,000 networks once.
 */
import { CidrSet, isCidr } from '../../base/cidr.ts';
import type { Env, LoweredFile } from '../../filter/env.ts';
import { FileNotRead } from '../../filter/shared-file.ts';

/** What a list is made of. */
export interface ListSource {
  readonly networks: readonly string[];
  readonly files: readonly LoweredFile[];
}

/** Longest file: beyond, it is no list of networks. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

/** Networks of one file, some 20 MB of memory and a second to read. */
const FILE_NETWORKS_MAX = 1_000_000;

/** Lists that are in use, by what they are made of. Bounded by the filters of the plan, which let go of theirs. */
const LISTS = new Map<string, NetworkList>();

export class NetworkList {
  readonly #key: string;
  readonly #source: ListSource;
  /** Whoever uses the list; the first one watches the files for all. */
  readonly #users = new Set<Env>();
  /** Undefined while the files were never right: nothing can be decided then. */
  #set: CidrSet | undefined;
  #stops: (() => void)[] = [];

  static open(source: ListSource, env: Env): NetworkList {
    const key = JSON.stringify(source);
    const list = LISTS.get(key) ?? new NetworkList(key, source);
    LISTS.set(key, list);
    list.#users.add(env);
    if (list.#users.size === 1) {
      // Watched before it is read: a change in between is seen.
      list.#watch(env);
      list.#read(env, 'first');
    }
    return list;
  }

  private constructor(key: string, source: ListSource) {
    this.#key = key;
    this.#source = source;
  }

  /**
   * Whether a network of the list holds the address; undefined for what is not an address.
   *
   * @throws {FileNotRead} while a file of it was never right
   */
  holds(ip: string): boolean | undefined {
    if (this.#set === undefined) throw new FileNotRead('A list of networks was never right');
    return this.#set.holds(ip);
  }

  close(env: Env): void {
    const wasWatching = this.#users.values().next().value === env;
    this.#users.delete(env);
    if (!wasWatching) return;
    const stops = this.#stops;
    this.#stops = [];
    const [next] = this.#users;
    if (next === undefined) LISTS.delete(this.#key);
    else this.#watch(next);
    // Last, so that the files are watched without a gap.
    for (const stop of stops) stop();
  }

  #watch(env: Env): void {
    this.#stops = this.#source.files.map((file) => env.watchFile(file, () => this.#read(env, 'changed')));
  }

  #read(env: Env, why: 'first' | 'changed'): void {
    try {
      this.#set = readSet(this.#source, env);
      if (why === 'changed') env.count('list_read');
    } catch (error) {
      env.count('list_refused');
      const meanwhile =
        this.#set === undefined ? 'Requests answer 500 until it is right' : 'The one from before goes on';
      env.warn(`List of networks is not used: ${(error as Error).message}. ${meanwhile}`);
    }
  }
}

function readSet({ networks, files }: ListSource, env: Env): CidrSet {
  return new CidrSet([...networks, ...files.flatMap((file) => networksOf(file, env))]);
}

/** @throws {Error} */
function networksOf(reference: LoweredFile, env: Env): string[] {
  const bytes = env.readFile(reference);
  if (bytes.length > FILE_BYTES_MAX) {
    throw new Error(`${reference.file} is too long: ${bytes.length} bytes, at most ${FILE_BYTES_MAX}`);
  }
  const networks: string[] = [];
  for (const [i, line] of bytes.toString('latin1').split('\n').entries()) {
    const network = withoutComment(line);
    if (network === '') continue;
    if (!isCidr(network)) throw new Error(`${reference.file}:${i + 1}: expected a network such as "10.0.0.0/8"`);
    if (networks.push(network) > FILE_NETWORKS_MAX) {
      throw new Error(`${reference.file}:${i + 1}: too many networks, at most ${FILE_NETWORKS_MAX}`);
    }
  }
  return networks;
}

function withoutComment(line: string): string {
  const hash = line.search(/[#;]/);
  return (hash < 0 ? line : line.slice(0, hash)).trim();
}
