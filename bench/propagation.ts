/**
 * How long an edit takes to be served. One file of a folder is replaced by
 * rename, as editors and deployments do; connections ask for the edited route
 * all the time. An edit counts as served when the last of them sees it.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DOOR_HOST, Fourways, freePort, pause } from '../test/client/fourways.ts';
import {
  gateway,
  gatewayClass,
  httpRoute,
  type Manifest,
  prefixRule,
  service,
  writeManifests,
} from '../test/client/manifests.ts';
import { answering, ok, startOrigin } from '../test/client/origin.ts';
import { get, RawClient } from '../test/client/raw-client.ts';
import type { PartOptions } from './parts.ts';
import { percentile, round, type Row, table } from './row.ts';

const HOST = 'bench.test';
const CONNECTIONS = 16;
const EDIT_MS_MAX = 30_000;
/** Each connection asks this often: finer than what is measured, and little beside it. */
const ASK_EVERY_MS = 2;
/** Between two edits: they are to be measured apart. */
const REST_MS = 30;
/** The first edits after a start run code that was never run: they are reported apart. */
const FIRST_EDITS = 3;

export async function measurePropagation(
  options: PartOptions,
  { routes, edits }: { readonly routes: number; readonly edits: number },
): Promise<readonly Row[]> {
  const config = join(options.dir, 'config');
  mkdirSync(config, { recursive: true });
  await using origin = await startOrigin(answering(() => ok('.')));
  const port = await freePort(DOOR_HOST);
  writeManifests(config, 'gateway.yaml', [gatewayClass(), gateway({ port }), ...service('origin', [origin])]);
  for (let i = 0; i < routes; i++) writeManifests(config, `route-${i}.yaml`, [route(i, 0)]);
  await using program = await Fourways.start({
    config,
    entry: options.entry,
    workers: 1,
    core: 0,
    outputFile: join(options.dir, 'fourways.log'),
  });
  const watchers = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, nth) => Watcher.open(port, pathOf(edited(nth, routes)))),
  );
  const allMs: number[] = [];
  for (let edit = 1; edit <= FIRST_EDITS + edits; edit++) {
    await pause(REST_MS);
    allMs.push(await oneEdit(config, watchers, { edit, routes }));
  }
  const tookMs = allMs.slice(FIRST_EDITS);
  const errors = watchers.reduce((sum, watcher) => sum + watcher.errors, 0);
  const requests = watchers.reduce((sum, watcher) => sum + watcher.requests, 0);
  for (const watcher of watchers) watcher.stop();
  const row = {
    scenario: `propagation-${routes}`,
    proxy: 'fourways',
    version: options.version,
    propagation_p50_ms: round(percentile(tookMs, 50), 1),
    propagation_p99_ms: round(percentile(tookMs, 99), 1),
    propagation_max_ms: round(Math.max(...tookMs), 1),
    first_edits_max_ms: round(Math.max(...allMs.slice(0, FIRST_EDITS)), 1),
    edits,
    requests,
    errors,
    rss_mb: round(program.rssBytes() / 1e6, 1),
  };
  options.say(
    table(
      ['propagation', 'p50 ms', 'p99 ms', 'max ms', 'first edits ms', 'edits', 'requests', 'errors'],
      [
        [
          `fourways ${row.version}`,
          String(row.propagation_p50_ms),
          String(row.propagation_p99_ms),
          String(row.propagation_max_ms),
          String(row.first_edits_max_ms),
          String(edits),
          String(requests),
          String(errors),
        ],
      ],
    ),
  );
  return [row];
}

/** All connections watch the route that this edit is about, which lies somewhere else each time. */
async function oneEdit(
  config: string,
  watchers: readonly Watcher[],
  { edit, routes }: { readonly edit: number; readonly routes: number },
): Promise<number> {
  const nth = edited(edit, routes);
  const before = Math.max(0, ...watchers.map((watcher) => watcher.revision));
  for (const watcher of watchers) watcher.path = pathOf(nth);
  await pause(ASK_EVERY_MS * 3);
  const startedMs = performance.now();
  writeManifests(config, `route-${nth}.yaml`, [route(nth, before + 1)]);
  const seen = await Promise.all(watchers.map((watcher) => watcher.sees(before + 1)));
  return Math.max(...seen) - startedMs;
}

/** Spreads the edits over the folder. */
function edited(edit: number, routes: number): number {
  return (edit * 997) % routes;
}

function pathOf(nth: number): string {
  return `/r/${nth}`;
}

function route(nth: number, revision: number): Manifest {
  const filters = [
    {
      type: 'ResponseHeaderModifier',
      responseHeaderModifier: { set: [{ name: 'X-Revision', value: String(revision) }] },
    },
  ];
  return httpRoute({ name: `r${nth}`, hostnames: [HOST], rules: [prefixRule(pathOf(nth), 'origin', { filters })] });
}

class Watcher {
  path: string;
  revision = 0;
  requests = 0;
  errors = 0;
  readonly #port: number;
  #wanted = Number.MAX_SAFE_INTEGER;
  #seen: ((atMs: number) => void) | undefined;
  #stopped = false;

  private constructor(port: number, path: string) {
    this.#port = port;
    this.path = path;
  }

  static async open(port: number, path: string): Promise<Watcher> {
    const watcher = new Watcher(port, path);
    const client = await watcher.#connect();
    void watcher.#run(client);
    return watcher;
  }

  /** Resolves with the time at which this revision was first answered. */
  async sees(revision: number): Promise<number> {
    this.#wanted = revision;
    let timer: NodeJS.Timeout | undefined;
    return new Promise<number>((resolve, reject) => {
      this.#seen = resolve;
      timer = setTimeout(
        () => reject(new Error(`Revision ${revision} was not served in ${EDIT_MS_MAX} ms`)),
        EDIT_MS_MAX,
      );
    }).finally(() => clearTimeout(timer));
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(first: RawClient): Promise<void> {
    let client = first;
    while (!this.#stopped) {
      try {
        const answer = await client.exchange(get(this.path, HOST));
        this.requests++;
        if (answer.status === 200) this.#take(Number(answer.header('x-revision')));
        else this.errors++;
        if (answer.closes) client = await this.#connect();
      } catch {
        if (this.#stopped) break;
        this.errors++;
        client = await this.#connect();
      }
      await pause(ASK_EVERY_MS);
    }
    client.destroy();
  }

  #take(revision: number): void {
    this.revision = Math.max(this.revision, revision);
    if (revision < this.#wanted) return;
    this.#wanted = Number.MAX_SAFE_INTEGER;
    this.#seen?.(performance.now());
  }

  #connect(): Promise<RawClient> {
    return RawClient.open({ host: DOOR_HOST, port: this.#port });
  }
}
