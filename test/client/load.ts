/**
 * Steady load from keep-alive connections that notices every failed request,
 * every cut answer and every answer of a rule that is no longer in force.
 */
import { readFile } from 'node:fs/promises';
import { pause } from './fourways.ts';
import { get, RawClient, type Target } from './raw-client.ts';
import type { RawResponse } from './message.ts';

export interface LoadOptions {
  readonly target: Target;
  readonly host: string;
  readonly path: string;
  readonly connections: number;
  /** Pause between two requests of a connection: the load is to be steady, not heavy. */
  readonly gapMs: number;
  /** A connection is opened anew after so many requests; 0 for never. */
  readonly renewEvery: number;
  /** Looks at an answer; what it returns is a failure. `startedMs` is when the request was sent. Without it: 200 is right. */
  readonly judge?: (answer: RawResponse, startedMs: number) => string | undefined;
  /** Looks at a connection that was just opened. */
  readonly onOpen?: (client: RawClient, openedMs: number) => string | undefined;
}

export class Load {
  readonly #options: LoadOptions;
  readonly #failures: string[] = [];
  readonly #loops: Promise<void>[];
  #stopping = false;
  /** Set while the program is to end: connections that it closes are not opened again. */
  #ending = false;
  requests = 0;
  opened = 0;
  #endingMs = 0;
  /** Requests of connections that were reset while {@link expectLosses} was on. */
  losses = 0;
  #lossesExpected = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#loops = Array.from({ length: options.connections }, () => this.#loop());
  }

  get failures(): readonly string[] {
    return this.#failures;
  }

  /** From now on a connection may be lost as a whole: a worker is about to be killed. */
  expectLosses(expected: boolean): void {
    this.#lossesExpected = expected;
  }

  /** From now on the server may close connections for good, politely. */
  expectEnd(): void {
    this.#ending = true;
    this.#endingMs = performance.now();
  }

  /** Waits until `count` more requests are answered. */
  async more(count: number): Promise<void> {
    const until = this.requests + count;
    while (this.requests < until && this.#failures.length === 0) await pause(5);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#loops);
  }

  /** All loops have ended by themselves. */
  async ended(): Promise<void> {
    await Promise.all(this.#loops);
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const goOn = await this.#connection();
      if (!goOn) return;
    }
  }

  /** One connection, until the server or we close it. False when there will be no other. */
  async #connection(): Promise<boolean> {
    const { target, renewEvery, onOpen } = this.#options;
    const openingMs = performance.now();
    let client: RawClient;
    try {
      client = await RawClient.open(target);
    } catch (error) {
      if (this.#ending) return false;
      if (!this.#lossesExpected) this.#fail(`Cannot connect: ${(error as Error).message}`);
      else this.losses++;
      await pause(5);
      return true;
    }
    this.opened++;
    const wrong = onOpen?.(client, openingMs);
    if (wrong !== undefined) this.#fail(wrong);
    for (let nth = 1; !this.#stopping && client.state === 'open'; nth++) {
      const isNew = nth === 1 && this.#ending && openingMs > this.#endingMs;
      const ask = await this.#request(client, isNew ? 'may be refused' : 'must be served');
      if (ask === 'last') break;
      if (renewEvery > 0 && nth >= renewEvery) break;
      if (this.#options.gapMs > 0) await pause(this.#options.gapMs);
    }
    client.destroy();
    return true;
  }

  /** @param right  a connection that came when the end had begun may be reset in the queue of the kernel: it is as if refused */
  async #request(client: RawClient, right: 'must be served' | 'may be refused'): Promise<'more' | 'last'> {
    const { host, path, judge = is200 } = this.#options;
    const startedMs = performance.now();
    try {
      const answer = await client.exchange(get(path, host));
      this.requests++;
      const wrong = judge(answer, startedMs);
      if (wrong !== undefined) this.#fail(wrong);
      return answer.closes ? 'last' : 'more';
    } catch (error) {
      if (this.#lossesExpected) this.losses++;
      else if (right === 'must be served')
        this.#fail(`Request failed after ${this.requests} good ones: ${(error as Error).message}`);
      return 'last';
    }
  }

  #fail(what: string): void {
    if (this.#failures.length < 20) this.#failures.push(what);
  }
}

function is200({ status }: RawResponse): string | undefined {
  return status === 200 ? undefined : `Status ${status}`;
}

/** Most open files that a process may have, as the system says. */
export async function openFilesMax(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  if (hard === 'unlimited') return 1_000_000;
  return Number(hard ?? 1_024);
}
