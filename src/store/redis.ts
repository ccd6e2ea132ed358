/**
 * Redis, or Valkey, for what all proxies count together. One connection for each worker, on which commands are sent
 * without waiting for each other's answers.
 *
 * Nobody waits for a Redis that is away: commands are rejected at once, nothing is queued for later, and one that does
 * not answer in time ends the connection. It is tried again until it comes back.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';

const CONNECT_MS_MAX = 5_000;

/** What has not answered by then is away. */
const COMMAND_MS_MAX = 1_000;

/** How often a connection is asked whether it is there: one that is silent may be dead. */
const BEAT_MS = 2_000;

/** Commands whose answers are on their way. Beyond: rejected. */
const COMMANDS_MAX = 10_000;

/** Waits between tries double from the first to the last; half of each is by chance, so that workers spread. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 3_000;

export interface RedisOptions {
  /** `redis://user:password@host:6379/0`, or `rediss:` for TLS. Secret. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What is used of the package. */
interface Client {
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(words: readonly (string | Buffer)[]): Promise<unknown>;
  on(event: 'error' | 'end', listener: (error?: Error) => void): unknown;
}

export class RedisStore {
  readonly #options: RedisOptions;
  readonly #name: string;
  /** Hashes by script: as many as filters have. */
  readonly #hashes = new Map<string, string>();
  readonly #stopBeat: () => void;
  #client: Client | undefined;
  #isUp = false;
  #closed = false;
  #saidAway = false;
  #tries = 0;
  #cancelRetry: (() => void) | undefined;

  /** Connects in the background. */
  constructor(options: RedisOptions) {
    this.#options = options;
    this.#name = redisName(options.url);
    this.#stopBeat = options.clock.every(BEAT_MS, () => this.#beat());
    void this.#connect();
  }

  /** Whether it answered last. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Runs a script by its hash; one that Redis does not know, or has forgotten, is sent whole. */
  async run(script: string, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    let hash = this.#hashes.get(script);
    if (hash === undefined) {
      hash = createHash('sha1').update(script).digest('hex');
      this.#hashes.set(script, hash);
    }
    const rest = [keys.length, ...keys, ...args];
    try {
      return await this.command('EVALSHA', hash, ...rest);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return this.command('EVAL', script, ...rest);
    }
  }

  /** @throws {Error} at once when it is away, when it refuses, and when it does not answer in time */
  command(...words: readonly (string | Buffer | number)[]): Promise<unknown> {
    const client = this.#client;
    if (client === undefined || !this.#isUp) return Promise.reject(new Error('Redis is away'));
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.after(COMMAND_MS_MAX, () => {
        const error = new Error(`No answer in ${COMMAND_MS_MAX} ms`);
        reject(error);
        this.#lose(client, error);
      });
      client.sendCommand(words.map((word) => (typeof word === 'number' ? String(word) : word))).then(
        (answer) => {
          cancel();
          resolve(answer);
        },
        (error: unknown) => {
          cancel();
          reject(error as Error);
        },
      );
    });
  }

  close(): void {
    this.#closed = true;
    this.#isUp = false;
    this.#stopBeat();
    this.#cancelRetry?.();
    this.#client?.destroy();
    this.#client = undefined;
  }

  async #connect(): Promise<void> {
    let client: Client | undefined;
    // Of the whole greeting: the package has a time for the connection only.
    const cancel = this.#options.clock.after(CONNECT_MS_MAX, () =>
      this.#lose(client, new Error(`No greeting in ${CONNECT_MS_MAX} ms`)),
    );
    try {
      client = await openClient(this.#options.url);
      // It may be closed while the package is loaded.
      if (this.#closed) return;
      const opened = client;
      this.#client = opened;
      opened.on('error', (error) => this.#lose(opened, error));
      opened.on('end', () => this.#lose(opened, undefined));
      await opened.connect();
    } catch (error) {
      return this.#lose(client, error);
    } finally {
      cancel();
    }
    if (this.#client !== client) return;
    this.#isUp = true;
    this.#tries = 0;
    const { log } = this.#options;
    if (this.#saidAway) log.info('Redis is back', { redis: this.#name });
    else log.debug('Redis is there', { redis: this.#name });
    this.#saidAway = false;
  }

  /** Told more than once of a connection that ends in several ways. */
  #lose(client: Client | undefined, error: unknown): void {
    if (this.#client !== client || this.#closed) return;
    this.#client = undefined;
    this.#isUp = false;
    client?.destroy();
    if (!this.#saidAway) {
      this.#saidAway = true;
      // Messages of the package and of the system name an address, never the password.
      const why = error instanceof Error ? error.message : 'the connection was closed';
      this.#options.log.warn('Redis is away: it is tried again until it is back', { redis: this.#name, error: why });
    }
    const { clock, random } = this.#options;
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(this.#tries++, 16));
    this.#cancelRetry = clock.after(waitMs * (0.5 + random.unit() / 2), () => void this.#connect());
  }

  #beat(): void {
    if (this.#isUp) this.command('PING').catch(() => undefined);
  }
}

/** Loaded when the first connection is made: most gateways have no Redis. */
async function openClient(url: string): Promise<Client> {
  const { createClient } = await import('@redis/client');
  const gone = new AbortController();
  const client = createClient({
    url,
    RESP: 2,
    name: 'fourways',
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_MAX,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    // When to try again is ours.
    // The package forgets a socket that is destroyed before it is connected: the signal ends that one too.
    socket: { connectTimeout: CONNECT_MS_MAX, reconnectStrategy: false, signal: gone.signal },
  });
  return {
    connect: () => client.connect(),
    sendCommand: (words) => client.sendCommand(words),
    on: (event, listener) => client.on(event, listener),
    destroy: () => {
      gone.abort();
      if (client.isOpen) client.destroy();
    },
  };
}

/** Host, port and database: user and password are nobody's business. */
export function redisName(url: string): string {
  const { hostname, port, pathname, protocol } = new URL(url);
  return `${protocol}//${hostname}:${port === '' ? '6379' : port}${pathname === '/' ? '' : pathname}`;
}
