/** Filters of users in a running gateway with worker threads: a new version under load, and what one may do wrong. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Condition } from '../src/compile/condition.ts';
import type { StatusItem } from '../src/compile/status-item.ts';
import { startGateway, type TestAnswer, type TestGateway } from '../src/main/testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'fourways-own-up-'));
const service = createServer((request, response) => response.end(JSON.stringify(request.headers)));
let gateway: TestGateway;

const write = (name: string, text: string): void => {
  // Replaced whole, as editors do.
  writeFileSync(join(folder, `${name}.new`), text);
  renameSync(join(folder, `${name}.new`), join(folder, name));
};

const stamp = (value: string): string => `
  import { defineFilter } from 'fourways/filter';
  export default defineFilter({ name: 'stamp', make: () => ({
    async onRequest(x) { await null; x.request.headers.set('x-in', '${value}'); },
    onResponse(x, response) { response.headers.set('x-out', '${value}'); },
  }) });`;

const HAZARD = `
  import { defineFilter } from 'fourways/filter';
  export default defineFilter({ name: 'hazard', timeoutMs: 200, make: () => ({
    async onRequest(x) {
      const what = x.request.path.split('/').at(-1);
      if (what === 'throw') throw new RangeError('about ' + x.request.headers.get('cookie'));
      if (what === 'reject') return Promise.reject('about ' + x.request.headers.get('cookie'));
      if (what === 'nonsense') return 42 as never;
      if (what === 'hang') for (;;);
      if (what === 'late') { await null; for (;;); }
      if (what === 'wait') await new Promise(() => undefined);
      if (what === 'exit') process.exit(1);
      if (what === 'timer') { setTimeout(() => { throw new Error('in a timer'); }, 1); await new Promise(() => undefined); }
      if (what === 'memory') { const all: unknown[] = []; for (;;) all.push(new Array(10_000).fill(all.length)); }
      return undefined;
    },
  }) });`;

const lines: string[] = [];

before(async () => {
  await once(service.listen(0, '127.0.0.1'), 'listening');
  write('stamp.ts', stamp('one'));
  write('hazard.ts', HAZARD);
  const to = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  write(
    'fourways.yaml',
    `services: { web: "${to}" }
routes:
  - { match: /, to: web }
  - { match: /stamped, to: web, policies: [{ own: { use: [{ module: ./stamp.ts }] } }] }
  - { match: /hazard, to: web, policies: [{ own: { use: [{ module: ./hazard.ts, heapMegabytesMax: 32 }] } }] }
  - { match: /absent, to: web, policies: [{ own: { use: [{ module: ./absent.ts }] } }] }
`,
  );
  gateway = await startGateway({
    path: join(folder, 'fourways.yaml'),
    workers: 1,
    onAccessLog: (line) => lines.push(line),
  });
});

after(async () => {
  await gateway.close();
  service.closeAllConnections();
  service.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Requests one after the other, until `stop`; nobody rests between. */
class Load {
  readonly answers: TestAnswer[] = [];
  readonly #done: Promise<void>;
  #over = false;

  constructor(path: string) {
    this.#done = this.#run(path);
  }

  async #run(path: string): Promise<void> {
    while (!this.#over) this.answers.push(await gateway.request(path));
  }

  async stop(): Promise<readonly TestAnswer[]> {
    this.#over = true;
    await this.#done;
    return this.answers;
  }
}

/** Resolves when the newest answer is as wanted. The test runner ends it when it never is. */
async function until(load: Load, wanted: (answer: TestAnswer) => boolean): Promise<void> {
  while (load.answers.length === 0 || !wanted(load.answers.at(-1)!)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What the Policy of the module that is not there says of itself; it is asked by heartbeats. */
async function untilProgrammed(wanted: string): Promise<void> {
  for (;;) {
    const items = gateway.status().items as readonly StatusItem[];
    const said = items.flatMap(({ kind, status }) =>
      kind === 'Policy' ? (status as { ancestors: { conditions: Condition[] }[] }).ancestors : [],
    );
    const programmed = said.flatMap(({ conditions }) => conditions.filter(({ type }) => type === 'Programmed'));
    const others = programmed.map(({ status, reason, message }) => `${status} ${reason} ${message}`);
    if (others.at(-1) === wanted && others.slice(0, -1).every((one) => one === 'True Programmed ')) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const inOf = ({ body }: TestAnswer): string => (JSON.parse(body) as Record<string, string>)['x-in']!;

test('own filter: a new version takes over under load without a failed request', { timeout: 60_000 }, async () => {
  const load = new Load('/stamped');
  await until(load, (answer) => answer.headers['x-out'] === 'one');
  write('stamp.ts', stamp('two'));
  await until(load, (answer) => answer.headers['x-out'] === 'two');
  // One that is broken changes nothing; the one after it is taken.
  write('stamp.ts', 'export default (');
  const before = load.answers.length;
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assert.ok(load.answers.length > before);
  write('stamp.ts', stamp('three'));
  await until(load, (answer) => answer.headers['x-out'] === 'three');
  const answers = await load.stop();
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  // What began on a version ends on it.
  for (const answer of answers) assert.equal(inOf(answer), answer.headers['x-out']);
  assert.deepEqual([...new Set(answers.map(inOf))], ['one', 'two', 'three']);
});

for (const what of ['throw', 'reject', 'nonsense', 'wait', 'hang', 'late', 'exit', 'timer', 'memory']) {
  test(`own filter: one that does "${what}" harms no other request`, { timeout: 60_000 }, async () => {
    const others = [new Load('/plain'), new Load('/stamped')];
    const answer = await gateway.request(`/hazard/${what}`, { headers: { cookie: 'planted-cookie' } });
    assert.equal(answer.status, 500);
    const problem = JSON.parse(answer.body) as Record<string, unknown>;
    assert.deepEqual([problem['code'], problem['filter']], ['filter.failed', 'own.hazard']);
    const [plain, stamped] = await Promise.all(others.map((load) => load.stop()));
    assert.deepEqual([...new Set([...plain!, ...stamped!].map(({ status }) => status))], [200]);
    // Its own requests are answered again, too.
    const again = new Load('/hazard/nothing');
    await until(again, ({ status }) => status === 200);
    await again.stop();
    assert.ok(!lines.join().includes('planted-cookie'));
  });
}

test(
  'own filter: a module that is not there fails its own rule only, until it comes',
  { timeout: 60_000 },
  async () => {
    const { status, body } = await gateway.request('/absent');
    assert.equal(status, 500);
    assert.equal((JSON.parse(body) as Record<string, unknown>)['filter'], 'own.absent');
    assert.equal((await gateway.request('/plain')).status, 200);
    const why = 'Filter "own" cannot do its work: absent: there is no such file';
    await untilProgrammed(`False FilterFailed ${why}`);
    write('absent.ts', stamp('here'));
    const load = new Load('/absent');
    await until(load, (answer) => answer.status === 200);
    await load.stop();
    await untilProgrammed('True Programmed ');
  },
);
