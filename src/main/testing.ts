/**
 * The package export `fourways/testing`: a real gateway for tests, on free ports
 * of the loopback address, whatever ports its configuration names.
 *
 *     await using gateway = await startGateway({ path: 'fourways.yaml' });
 *     const answer = await gateway.request('/orders', { host: 'shop.test' });
 *
 * And filters of your own without sockets: `testFilter`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DRAIN_MS, TICKET_KEYS_MS } from '../base/limits.ts';
import { silentLog } from '../base/log.ts';
import type { Outcome } from '../control/pipeline.ts';
import { Relocation } from './relocate.ts';
import type { Running } from './running.ts';
import { up } from './up.ts';

export { testFilter } from './test-filter.ts';
export type {
  FilteredRequest,
  FilterRequest,
  FilterResponse,
  GivenAnswer,
  PassedRequest,
  TestedFilter,
  TestFilterSettings,
} from './test-filter.ts';

export interface TestGatewayOptions {
  /** File or folder; it is watched as by `fourways up`. */
  readonly path?: string;
  /** Instead of a path: manifests or a short form as text, or a short form as an object. */
  readonly config?: string | object;
  /** Worker threads; default 0, a proxy in this thread. */
  readonly workers?: number;
  /** Takes the lines of the access log. */
  readonly onAccessLog?: (line: string) => void;
}

export interface TestRequest {
  readonly method?: string;
  /** Value of Host; default the address of the gateway. */
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Port as configured; needed when there are several. */
  readonly port?: number;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface TestGateway extends AsyncDisposable, Pick<Running, 'plan' | 'status' | 'problems' | 'next' | 'ports'> {
  /** `http://127.0.0.1:PORT` of a configured port, which may be left out when there is only one. */
  url(port?: number): string;
  /** One request over plain HTTP, with any Host. */
  request(path: string, request?: TestRequest): Promise<TestAnswer>;
  /** Replaces the configuration that was given as `config`; resolves when the change is served or refused. */
  change(config: string | object): Promise<Outcome>;
  close(): Promise<void>;
}

/** @throws {Error} when the configuration cannot be served at all; the message names every problem */
export async function startGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const { path, config, workers = 0, onAccessLog } = options;
  if ((path === undefined) === (config === undefined)) throw new TypeError('Cannot start: give either path or config');
  await using cleanup = new AsyncDisposableStack();
  const file = path === undefined ? await scratchFile(cleanup) : resolve(path);
  if (config !== undefined) await writeFile(file, textOf(config));
  const relocation = await Relocation.reserve();
  const running = await up({
    path: file,
    bind: '127.0.0.1',
    admin: undefined,
    workers,
    ticketKeysMs: TICKET_KEYS_MS,
    dataDir: undefined,
    ports: 'alone',
    drainMs: DRAIN_MS,
    relocation,
    log: silentLog,
    logLevel: 'error',
    async writeLines(text) {
      for (const line of text.split('\n')) if (line !== '') onAccessLog?.(line);
    },
  });
  cleanup.use(running);
  return new Gateway({ running, relocation, file: config === undefined ? undefined : file, cleanup: cleanup.move() });
}

/** A name by which a short form is known as one, and manifests are read as well. */
async function scratchFile(cleanup: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fourways-testing-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'gateway.yaml');
}

/** JSON is YAML. */
function textOf(config: string | object): string {
  return typeof config === 'string' ? config : JSON.stringify(config);
}

interface GatewayParts {
  readonly running: Running;
  readonly relocation: Relocation;
  /** Where `config` was written. */
  readonly file: string | undefined;
  readonly cleanup: AsyncDisposableStack;
}

class Gateway implements TestGateway {
  readonly #parts: GatewayParts;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  plan(): ReturnType<Running['plan']> {
    return this.#parts.running.plan();
  }

  status(): ReturnType<Running['status']> {
    return this.#parts.running.status();
  }

  problems(): ReturnType<Running['problems']> {
    return this.#parts.running.problems();
  }

  ports(): ReturnType<Running['ports']> {
    return this.#parts.running.ports();
  }

  next(): Promise<Outcome> {
    return this.#parts.running.next();
  }

  url(port?: number): string {
    return `http://127.0.0.1:${this.#portOf(port)}`;
  }

  request(path: string, { method = 'GET', host, headers = {}, body, port }: TestRequest = {}): Promise<TestAnswer> {
    const fields = { ...(host === undefined ? {} : { host }), ...headers };
    return new Promise((answer, reject) => {
      const options = { host: '127.0.0.1', port: this.#portOf(port), path, method, headers: fields, agent: false };
      const request = httpRequest(options, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (text += part));
        response.on('error', reject);
        response.on('end', () => answer({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  async change(config: string | object): Promise<Outcome> {
    const { file, running } = this.#parts;
    if (file === undefined) throw new TypeError('Cannot change: the configuration was given as a path');
    await writeFile(file, textOf(config));
    const outcome = running.next();
    await running.reload();
    return outcome;
  }

  close(): Promise<void> {
    return this.#parts.cleanup.disposeAsync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #portOf(configured: number | undefined): number {
    const { relocation } = this.#parts;
    const all = relocation.configuredPorts;
    const wanted = configured ?? (all.length === 1 ? all[0] : undefined);
    if (wanted === undefined) throw new TypeError(`Name a port: the configuration has ${all.join(', ') || 'none'}`);
    const port = relocation.portOf(wanted);
    if (port === undefined)
      throw new TypeError(`No listener has port ${wanted}: the configuration has ${all.join(', ')}`);
    return port;
  }
}
