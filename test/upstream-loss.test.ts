/**
 * A process of the backend is killed and started again, over and over under load, with either wire to it: the only
 * requests that fail are those that it may have begun and that are not repeated, because their method does not allow it
 * or their connection was a fresh one; each gets an answer that says why, unless its answer had begun; and the new
 * process is used at once.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { clusterTo, type Harness, request } from '../src/proxy/testing/node-harness.ts';
import { proxyTo, type WireName, WIRES } from './client/pairing.ts';

const KILLS = 5;
const CLIENTS = 16;
/** So many requests between two events, of all clients together. */
const REQUESTS = 60;
/** How long the proxy prefers others after the first failure, and what it may take to be late on a busy machine. */
const AVOID_MS = 500 + 500;
const SCRIPT = new URL('client/killable-origin.ts', import.meta.url).pathname;

class KillableOrigin {
  readonly wire: WireName;
  port = 0;
  #child: ChildProcess | undefined;

  constructor(wire: WireName) {
    this.wire = wire;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Listens on the port that it had before, if it had one. */
  async start(): Promise<this> {
    const child = spawn(process.execPath, [SCRIPT, this.wire, String(this.port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [Buffer | number];
    assert.ok(line instanceof Buffer, `The backend ended with ${String(line)}`);
    this.port = Number(line.toString());
    return this;
  }

  async kill(): Promise<void> {
    if (this.#child!.exitCode !== null || this.#child!.signalCode !== null) return;
    const ended = once(this.#child!, 'exit');
    this.#child!.kill('SIGKILL');
    await ended;
  }
}

interface Outcome {
  readonly method: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly status: number;
  readonly body: string;
}

/** Requests without pause from clients that each wait for their answers. */
class Callers {
  readonly outcomes: Outcome[] = [];
  readonly #port: number;
  readonly #loops: Promise<void>[];
  #stopping = false;
  #wake: (() => void) | undefined;

  constructor(port: number) {
    this.#port = port;
    this.#loops = Array.from({ length: CLIENTS }, (_, i) => this.#loop(i));
  }

  async #loop(client: number): Promise<void> {
    for (let i = 0; !this.#stopping; i++) {
      const method = (client + i) % 2 === 0 ? 'GET' : 'POST';
      const startMs = performance.now();
      const body = `${client}-${i}`;
      const got = await request(this.#port, { method, path: '/', ...(method === 'POST' && { body }) }).catch(brokenOff);
      if (got.status === 200) assert.equal(got.body.split(' ')[1], method === 'POST' ? body : '');
      this.outcomes.push({ method, startMs, endMs: performance.now(), status: got.status, body: got.body });
      this.#wake?.();
    }
  }

  /** Waits for so many more answers. */
  async more(count: number): Promise<void> {
    const until = this.outcomes.length + count;
    while (this.outcomes.length < until) await this.until();
  }

  async until(): Promise<void> {
    await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), ...this.#loops]);
  }

  /** @throws {Error} when a request got no answer */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#loops);
  }
}

/** The backend died between head and body of its answer. */
function brokenOff(error: unknown): { status: number; body: string } {
  assert.equal((error as Error).message, 'aborted');
  return { status: 0, body: 'broken off' };
}

async function proxyToBoth(wire: WireName, origins: readonly KillableOrigin[]): Promise<Harness> {
  const proxy = await proxyTo({ wire, port: origins[0]!.port });
  const ports = origins.map(({ port }) => port);
  await proxy.change({ clusters: { c: clusterTo(ports, { protocol: wire === 'h2' ? 'h2' : 'http1' }) } });
  return proxy;
}

for (const wire of WIRES) {
  test(`${KILLS} kills of an ${wire} backend under load: only what it had begun and cannot be repeated fails`, async () => {
    const kept = await new KillableOrigin(wire).start();
    const killed = await new KillableOrigin(wire).start();
    await using proxy = await proxyToBoth(wire, [kept, killed]);
    const callers = new Callers(proxy.port);
    const kills: { readonly fromMs: number; readonly toMs: number }[] = [];
    try {
      for (let i = 0; i < KILLS; i++) {
        await callers.more(REQUESTS);
        const fromMs = performance.now();
        await killed.kill();
        kills.push({ fromMs, toMs: performance.now() });
        await callers.more(REQUESTS);
        await killed.start();
        const [startedMs, from] = [performance.now(), callers.outcomes.length];
        const isServed = ({ body }: Outcome): boolean => body.startsWith(`${killed.pid} `);
        const awayMs = startedMs - fromMs;
        while (!callers.outcomes.slice(from).some(isServed)) {
          await callers.until();
          // It is tried again after half a second, and then twice that: never later than it was away.
          const lateMs = performance.now() - startedMs;
          assert.ok(lateMs <= awayMs + AVOID_MS, `Away for ${awayMs} ms, and not used again after ${lateMs} ms`);
        }
      }
    } finally {
      await callers.stop();
      await kept.kill();
      await killed.kill();
    }
    const failed = callers.outcomes.filter(({ status }) => status !== 200);
    for (const { method, startMs, endMs, status, body } of failed) {
      const why = `${method} ${status} ${body}`;
      if (status !== 0) {
        assert.equal(status, 502, why);
        assert.match(body, /"code":"upstream\.(?:closed|reset)"/, why);
      }
      assert.ok(
        kills.some(({ fromMs, toMs }) => startMs <= toMs && endMs >= fromMs),
        `Was not in flight at a kill: ${why}`,
      );
    }
    // What can be repeated on another connection is: nearly all that fail are the others.
    const repeatable = failed.filter(({ method }) => method === 'GET').length;
    assert.ok(repeatable <= KILLS * 2, `${repeatable} requests failed that could have been repeated`);
    // Two in flight of each client and kill would be more than there are.
    assert.ok(failed.length <= CLIENTS * KILLS, `${failed.length} failed`);
    assert.ok(callers.outcomes.length >= KILLS * REQUESTS * 2);
  });
}
