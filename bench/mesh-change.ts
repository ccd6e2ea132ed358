/**
 * How soon a mesh uses an endpoint that comes. An instance of a service registers; it counts when each of many proxies has
 * the plan with it, and, for a real sidecar that is called all the time, when it gets its first request.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DOOR_HOST, freePort, pause } from '../test/client/fourways.ts';
import { get, RawClient } from '../test/client/raw-client.ts';
import { BenchMesh, fleetToken, MESH, serviceManifest } from './mesh.ts';
import { MeshServices } from './mesh-service.ts';
import type { PartOptions } from './parts.ts';
import type { ClientsNews } from './peers/mesh-clients.ts';
import { joinAs, type MeshMember } from './peers/mesh-member.ts';
import { percentile, round, type Row } from './row.ts';

const CONTROL_CORE = 0;
const OTHER_CORE = 1;
const CLIENTS_SCRIPT = fileURLToPath(new URL('peers/mesh-clients.ts', import.meta.url));
/** Proxies take their plans at the same time in the world, and in turn in one process. */
const PROCESSES = 4;
const OTHERS = ['a', 'b', 'c', 'd'];
const CHANGE_MS_MAX = 20_000;
/** Changes are to be measured apart. */
const REST_MS = 150;
const ASK_EVERY_MS = 1;
/** They run code for the first time. */
const FIRST_CHANGES = 3;

export async function measureMeshChange(
  options: PartOptions,
  { proxies, changes }: { readonly proxies: number; readonly changes: number },
): Promise<readonly Row[]> {
  const { dir, entry, version, say } = options;
  const manifests = [MESH, ...['orders', 'web', ...OTHERS].map((name) => serviceManifest(name))].join('');
  await using mesh = await BenchMesh.start({ dir, entry, core: CONTROL_CORE, manifests });
  const token = await fleetToken(mesh.control, proxies + 2);
  const join = (instance: string): Promise<MeshMember> =>
    joinAs({ control: mesh.address, token, service: 'orders', instance });
  using first = await Instance.start(await join('first'));
  using second = await Instance.start(await join('second'));
  first.comes();
  const listen = await freePort(DOOR_HOST);
  await mesh.sidecar(OTHER_CORE, { service: 'web.shop', locals: [`orders.shop:80=${DOOR_HOST}:${listen}`] });
  const clients = new Clients({ control: mesh.address, token, count: proxies, port: second.port });
  using caller = new Caller(listen);
  try {
    await clients.ready;
    await caller.begin();
    const visible: number[] = [];
    const everywhere: number[] = [];
    const used: number[] = [];
    for (let nth = -FIRST_CHANGES; nth < changes; nth++) {
      const isUsed = second.used();
      const seen = clients.see('there');
      const startMs = nowMs();
      second.comes();
      const atMs = await seen;
      const usedMs = (await isUsed) - startMs;
      const gone = clients.see('gone');
      second.goes();
      await gone;
      await pause(REST_MS);
      if (nth < 0) continue;
      visible.push(...atMs.map((at) => at - startMs));
      everywhere.push(Math.max(...atMs) - startMs);
      used.push(usedMs);
    }
    const row = {
      scenario: 'mesh-change',
      proxy: 'fourways',
      version,
      proxies,
      changes,
      visible_p50_ms: round(percentile(visible, 50), 1),
      visible_p99_ms: round(percentile(visible, 99), 1),
      everywhere_p50_ms: round(percentile(everywhere, 50), 1),
      everywhere_p99_ms: round(percentile(everywhere, 99), 1),
      first_request_p50_ms: round(percentile(used, 50), 1),
      first_request_p99_ms: round(percentile(used, 99), 1),
      errors: caller.errors,
    };
    say(
      `fourways ${version}: an endpoint is known to one of ${proxies} proxies after ${row.visible_p50_ms} ms (p99 ${row.visible_p99_ms}), ` +
        `to all of them after ${row.everywhere_p50_ms} (p99 ${row.everywhere_p99_ms}); its first request comes after ` +
        `${row.first_request_p50_ms} ms (p99 ${row.first_request_p99_ms}); ${row.errors} errors of ${caller.requests} requests`,
    );
    return [row];
  } finally {
    clients.stop();
  }
}

/** On the monotonic clock of the machine, which all processes share. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** An instance of the service that is watched. */
class Instance implements Disposable {
  readonly #member: MeshMember;
  readonly #services: MeshServices;

  private constructor(member: MeshMember, services: MeshServices) {
    this.#member = member;
    this.#services = services;
    services.add('orders', member);
  }

  static async start(member: MeshMember): Promise<Instance> {
    return new Instance(member, await MeshServices.listen());
  }

  get port(): number {
    return this.#services.port;
  }

  comes(): void {
    this.#member.report(this.port, 'healthy');
  }

  goes(): void {
    this.#member.report(this.port, 'unhealthy');
  }

  /** Resolves with the time of the next request. */
  used(): Promise<number> {
    return new Promise((resolve) => (this.#services.onRequest = () => resolve(nowMs())));
  }

  [Symbol.dispose](): void {
    this.#member.client.close();
    this.#services[Symbol.dispose]();
  }
}

interface ClientsOptions {
  readonly control: string;
  readonly token: string;
  readonly count: number;
  /** Of the endpoint that comes and goes. */
  readonly port: number;
}

/** Proxies in processes of their own. */
class Clients {
  readonly ready: Promise<unknown>;
  readonly #children: readonly ChildProcess[];
  readonly #count: number;
  #wanted: 'there' | 'gone' = 'there';
  #seen = new Map<number, number>();
  #done: (() => void) | undefined;

  constructor({ control, token, count, port }: ClientsOptions) {
    this.#count = count;
    const each = Math.ceil(count / PROCESSES);
    this.#children = Array.from({ length: PROCESSES }, (_, i) => {
      const some = Math.min(each, count - i * each);
      const args = [control, String(i * each), String(some), 'orders', String(port), ...OTHERS];
      return fork(CLIENTS_SCRIPT, args, { env: { ...process.env, TOKEN: token } });
    });
    this.ready = Promise.all(this.#children.map((child) => this.#listen(child)));
  }

  /** Resolves with when each of them saw it. */
  async see(what: 'there' | 'gone'): Promise<number[]> {
    this.#wanted = what;
    this.#seen = new Map();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#done = resolve;
    const timer = setTimeout(
      () => reject(new Error(`${this.#seen.size} of ${this.#count} proxies saw it "${what}" in ${CHANGE_MS_MAX} ms`)),
      CHANGE_MS_MAX,
    );
    await promise.finally(() => clearTimeout(timer));
    return [...this.#seen.values()];
  }

  stop(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #listen(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`Proxies ended with code ${code}`)));
      child.on('message', (news: ClientsNews) => {
        if (news.kind === 'ready') return resolve();
        if (news.what !== this.#wanted) return;
        this.#seen.set(news.client, news.atMs);
        if (this.#seen.size === this.#count) this.#done?.();
      });
    });
  }
}

/** Calls the service through the sidecar all the time. */
class Caller implements Disposable {
  requests = 0;
  errors = 0;
  readonly #port: number;
  #isOver = false;

  constructor(port: number) {
    this.#port = port;
  }

  async begin(): Promise<void> {
    const client = await RawClient.open({ host: DOOR_HOST, port: this.#port });
    void this.#run(client);
  }

  async #run(client: RawClient): Promise<void> {
    while (!this.#isOver) {
      const status = await client.exchange(get('/', 'orders.shop')).then(
        (answer) => answer.status,
        () => 0,
      );
      this.requests++;
      if (status !== 200) this.errors++;
      await pause(ASK_EVERY_MS);
    }
    client.destroy();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
  }
}
