/** What the proxy lends to a filter. Every effect that a filter can have is on this list. */
import type { Fault } from '../base/fault.ts';
import type { Headers } from '../http/headers.ts';
import type { Exchange } from './filter.ts';
import type { Programs } from './own-program.ts';

export interface Env {
  /** Monotonic milliseconds of this turn, the same in all workers of the process. Tests pass a clock they move by hand. */
  nowMs(): number;
  /** Milliseconds since the epoch. For what carries dates: tokens, cookies, Date. */
  wallMs(): number;
  /** Cryptographically strong. */
  randomBytes(count: number): Buffer;
  /** Runs once after `delayMs`, unless the result is called before. Timers end with the filter: call it in `close`. */
  after(delayMs: number, run: () => void): () => void;
  /** Adds `count` (1) to a counter of this filter: `fourways_filter_events_total{filter, event}`. */
  count(event: string, count?: number): void;
  /** Something that an operator should know. At most a few lines a second are written. Never a secret. */
  warn(message: string, fields?: Readonly<Record<string, string | number>>): void;
  /**
   * The value of a secret that the configuration refers to (`refersTo: 'secret'`).
   *
   * @throws {Error} when the plan does not hold it: the plan is refused
   */
  secret(reference: LoweredSecret): string;
  /**
   * A file that the configuration names (`refersTo: 'file'`): it stands beside the proxy, and is not in the plan.
   *
   * @throws {Error} when it cannot be read
   */
  readFile(reference: LoweredFile): Buffer;
  /** Calls when the file may have changed. @returns how to stop */
  watchFile(reference: LoweredFile, onChange: () => void): () => void;
  /** Who this proxy is in its mesh; undefined outside of one. The same object until its certificate is renewed. */
  ownIdentity(): OwnIdentity | undefined;
  /** A service that the configuration refers to (`refersTo: 'backend'`), by the pools, TLS and health of the proxy. */
  upstream(reference: LoweredBackend): Upstream;
  /**
   * Asks a backend of the rule of `x` for what `x` asks for now, without a client that waits for it: to refresh what was
   * kept. Only for requests without a body. The exchange may end meanwhile; it is copied.
   */
  refetch(x: Exchange, how: Refetch): Promise<UpstreamAnswer | Fault>;
  /**
   * One object for all filters of this kind in this worker, made by the first that asks. It outlives changes of the
   * plan, so that what is kept in it is not lost with each.
   */
  shared<T extends object>(make: () => T): T;
  /** Of the platform: for addresses that are only known while it runs, such as those of OpenID providers. */
  fetch(url: string, init?: RequestInit): Promise<Response>;
  /** Shared by all workers of the process: exact counts (filter/cells.ts). */
  readonly cells: SharedArrayBuffer;
  /** The same for what is not true any more (filter/marks.ts). */
  readonly marks: SharedArrayBuffer;
  /** Which worker of the process this is, from 1, and of how many: for what each of them counts or takes for itself. */
  readonly worker: WorkerPlace;
  /** Shared by all proxies; undefined where no Redis was named (`--redis`, REDIS_URL). */
  readonly redis: Redis | undefined;
  /** Filters of users. */
  readonly programs: Programs;
  /** Whose filter it is: `Policy shop/limits`, and the rule. Names what several workers and proxies share. */
  readonly owner: string;
  readonly rule: string;
  /**
   * Whether what it decides is only noted (mode `audit`). Credentials then stay in the request: what is behind the proxy
   * may still be the one that asks for them.
   */
  readonly isAudited: boolean;
}

export interface WorkerPlace {
  readonly number: number;
  readonly of: number;
}

/** The key stays where it is. */
export interface OwnIdentity {
  /** SPIFFE ID. */
  readonly id: string;
  /** Leaf first, each DER in base64 (RFC 7515 section 4.1.6). Without the root. */
  readonly x5c: readonly string[];
  /** Epoch time at which the leaf ends. */
  readonly notAfterMs: number;
  /** ECDSA over P-256 with SHA-256: both numbers, 32 bytes each (RFC 7518 section 3.4). */
  sign(bytes: Buffer): Buffer;
}

/** What the compiler makes of `{ name, key }` with `refersTo: 'secret'`. */
export interface LoweredSecret {
  /** Key in the secrets of the plan. */
  readonly secret: string;
  readonly key: string;
  /** Changes with the value, so that the filter is made anew. */
  readonly hash: string;
}

/** What the compiler makes of a file name with `refersTo: 'file'`. */
export interface LoweredFile {
  /** Absolute path: a name is looked up beside the manifest. */
  readonly file: string;
}

/** What the compiler makes of a backendRef with `refersTo: 'backend'`. */
export interface LoweredBackend {
  readonly cluster: string;
}

/** One service, asked by a filter: small requests, whole answers. */
export interface Upstream {
  ask(question: UpstreamQuestion): Promise<UpstreamAnswer | Fault>;
}

export interface UpstreamQuestion {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Undefined: the name of the endpoint. */
  readonly authority?: string;
  readonly headers: Headers;
  readonly body?: Buffer;
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

export interface Refetch {
  /** Instead of lines of the same name in the request. Lower case. */
  readonly set: readonly (readonly [name: string, value: string])[];
  /** Lines that are left out. Lower case. */
  readonly remove: readonly string[];
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly trailers: Headers | undefined;
}

/** One connection per worker, with pipelining. Rejects at once while it is away. */
export interface Redis {
  /** Whether it answered last. */
  readonly isUp: boolean;
  /** Runs a script by its hash, which is loaded when it is not there. */
  run(script: string, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  command(...words: readonly (string | Buffer | number)[]): Promise<unknown>;
}
