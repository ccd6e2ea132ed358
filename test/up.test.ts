/** `fourways up` as a process: how it starts, what it says, what it survives, how it ends. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, pause } from './client/fourways.ts';
import {
  gateway,
  gatewayClass,
  httpRoute,
  type Manifest,
  prefixRule,
  service,
  writeManifests,
} from './client/manifests.ts';

const PROGRAM = fileURLToPath(new URL('../src/main/fourways.ts', import.meta.url));
const HOST = '127.0.0.1';
const WAIT_MS_MAX = 30_000;

const scratch = mkdtempSync(join(tmpdir(), 'fourways-up-'));
let origin: Server;
/** Answers `/slow` when a test says so. */
let slow: ServerResponse | undefined;
let folders = 0;

before(async () => {
  origin = createServer((request, response) => {
    if (request.url === '/slow') slow = response;
    else response.end(`${request.url} ${String(request.headers['x-revision'] ?? '')}`);
  });
  await once(origin.listen(0, HOST), 'listening');
});

after(() => {
  origin.closeAllConnections();
  origin.close();
  rmSync(scratch, { recursive: true, force: true });
});

interface Config {
  readonly dir: string;
  readonly port: number;
}

/** A folder with one gateway, whose route tells the origin its revision. */
async function writeConfig(more: readonly Manifest[] = []): Promise<Config> {
  const config = { dir: join(scratch, `config${folders++}`), port: await freePort(HOST) };
  writeManifests(config.dir, 'gateway.yaml', [gatewayClass(), gateway({ address: HOST, port: config.port }), ...more]);
  writeManifests(
    config.dir,
    'service.yaml',
    service('shop', [{ host: HOST, port: (origin.address() as AddressInfo).port }]),
  );
  writeRoute(config, 'one');
  return config;
}

function writeRoute({ dir }: Config, revision: string): void {
  const set = [{ name: 'x-revision', value: revision }];
  const filters = [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set } }];
  writeManifests(dir, 'route.yaml', [httpRoute({ name: 'shop', rules: [prefixRule('/', 'shop', { filters })] })]);
}

interface Ready {
  readonly event: 'ready';
  readonly admin: string;
  readonly listening: readonly string[];
  readonly pid: number;
}

/** The program with its output; ended with the test that started it. */
class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  out = '';
  err = '';

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [PROGRAM, 'up', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    this.ended = once(this.child, 'close').then(([code]) => code as number | null);
  }

  static async start({ dir }: { readonly dir: string }, ...more: string[]): Promise<Program> {
    const admin = more.includes('--admin') ? [] : ['--admin', `${HOST}:0`];
    const data = more.includes('--data') ? [] : ['--data', join(scratch, `data${folders++}`)];
    const program = new Program([dir, '--json', '--workers', '1', ...admin, ...data, ...more]);
    await program.until(() => program.ready !== undefined, 'ready');
    return program;
  }

  get ready(): Ready | undefined {
    const line = this.out.split('\n').find((candidate) => candidate.startsWith('{"event":"ready"'));
    return line === undefined ? undefined : (JSON.parse(line) as Ready);
  }

  async until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const endMs = performance.now() + WAIT_MS_MAX;
    while (!(await holds())) {
      if (this.child.exitCode !== null) assert.fail(`It ended before: ${what}\n${this.out}\n${this.err}`);
      if (performance.now() > endMs) assert.fail(`Waited in vain: ${what}\n${this.out}\n${this.err}`);
      await pause(10);
    }
  }

  async admin(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const { status, text } = await ask(this.ready!.admin + path);
    return { status, text };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null) this.child.kill('SIGKILL');
    await this.ended;
  }
}

async function ask(url: string): Promise<{ readonly status: number; readonly text: string }> {
  const [answer] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  let text = '';
  for await (const part of answer.setEncoding('utf8')) text += part;
  return { status: answer.statusCode!, text };
}

async function shop({ port }: Config, path = '/'): Promise<string> {
  const { status, text } = await ask(`http://${HOST}:${port}${path}`);
  return status === 200 ? text : `status ${status}`;
}

test('up: serves, says so, and serves each change', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config);
  assert.deepEqual(program.ready!.listening, [`http://${HOST}:${config.port}`]);
  assert.equal(program.ready!.pid, program.child.pid);
  assert.equal(await shop(config, '/a'), '/a one');
  assert.equal((await program.admin('/readyz')).status, 200);

  writeRoute(config, 'two');
  await program.until(async () => (await shop(config)) === '/ two', 'the change is served');
  await program.until(() => program.err.includes('"changed":["HTTPRoute/default/shop"]'), 'the change is logged');
  assert.match((await program.admin('/metrics')).text, /^fourways_config_reloads_total\{result="applied"\} 2$/m);
  const plan = JSON.parse((await program.admin('/plan')).text) as { version: string };
  const status = JSON.parse((await program.admin('/status')).text) as { items: { kind: string }[] };
  assert.match(plan.version, /^[0-9a-f]{64}$/);
  assert.deepEqual(
    status.items.map(({ kind }) => kind),
    ['GatewayClass', 'Gateway', 'HTTPRoute'],
  );
  await program.until(() => program.out.includes('"path":"/a"'), 'the access log is on standard output');
});

test('up: a wrong edit is said everywhere, and what was good goes on being served', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config);
  writeFileSync(join(config.dir, 'route.yaml'), 'kind: HTTPRoute\n  broken: [');
  await program.until(() => program.err.includes('Configuration refused'), 'the refusal is logged');
  assert.equal(await shop(config), '/ one');
  assert.match((await program.admin('/metrics')).text, /^fourways_config_last_reload_successful 0$/m);
  const problems = JSON.parse((await program.admin('/problems')).text) as {
    refused: string;
    problems: { at: { file: string } }[];
  };
  assert.ok(problems.refused.length > 0);
  assert.ok(problems.problems.some(({ at }) => at.file.endsWith('route.yaml')));
  assert.equal((await program.admin('/readyz')).status, 200, 'what is served is served well');

  writeRoute(config, 'mended');
  await program.until(async () => (await shop(config)) === '/ mended', 'the mended file is served');
  assert.match((await program.admin('/metrics')).text, /^fourways_config_last_reload_successful 1$/m);
});

test('up: without its sources it serves what was good last', async () => {
  const config = await writeConfig();
  const data = join(scratch, 'kept');
  {
    await using program = await Program.start(config, '--data', data);
    await program.until(async () => (await shop(config)) === '/ one', 'the first is served');
    program.child.kill('SIGTERM');
    assert.equal(await program.ended, 0);
  }
  renameSync(config.dir, `${config.dir}.away`);
  await using program = await Program.start(config, '--data', data);
  assert.equal(await shop(config), '/ one');
  assert.match(program.err, /Configuration refused, the last good one goes on serving/);

  renameSync(`${config.dir}.away`, config.dir);
  writeRoute(config, 'back');
  await program.until(async () => (await shop(config)) === '/ back', 'the sources are back');
});

test('up: a folder for the last good configuration that cannot be written is a warning', async () => {
  const config = await writeConfig();
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  await using program = await Program.start(config, '--data', join(file, 'below'));
  await program.until(() => /Cannot write .*not a directory/.test(program.err), 'the warning');
  assert.equal(await shop(config), '/ one');
});

const FAILURES: [rule: string, args: (config: Config) => Promise<string[]> | string[], want: RegExp][] = [
  ['nothing is at the path', ({ dir }) => [`${dir}/nowhere`], /Cannot start: nothing could be read from .*nowhere/],
  [
    'the admin address is taken',
    async ({ dir }) => [dir, '--admin', await takenAddress()],
    /Admin API: Cannot bind 127\.0\.0\.1:\d+: address in use by process/,
  ],
  [
    'the admin address is not ours',
    ({ dir }) => [dir, '--admin', '192.0.2.1:9900'],
    /Admin API: Cannot bind 192\.0\.2\.1:9900: the address is not of this machine/,
  ],
];

for (const [rule, args, want] of FAILURES) {
  test(`up: ends with 1 when ${rule}`, async () => {
    await using program = new Program(['--workers', '1', ...(await args(await writeConfig()))]);
    assert.equal(await program.ended, 1);
    assert.match(program.err, want);
  });
}

const holders: ReturnType<typeof createNetServer>[] = [];
after(() => {
  for (const holder of holders) holder.close();
});

async function takenAddress(): Promise<string> {
  return `${HOST}:${await hold(0)}`;
}

async function hold(port: number): Promise<number> {
  const holder = createNetServer((socket) => socket.destroy());
  holders.push(holder);
  await once(holder.listen({ host: HOST, port, reusePort: true }), 'listening');
  return (holder.address() as AddressInfo).port;
}

test('up: ends with 1 when another Fourways has the only port', async () => {
  const config = await writeConfig();
  await using first = await Program.start(config);
  await using second = new Program([
    config.dir,
    '--workers',
    '1',
    '--admin',
    `${HOST}:0`,
    '--data',
    join(scratch, 'second'),
  ]);
  assert.equal(await second.ended, 1);
  assert.match(
    second.err,
    new RegExp(`Cannot bind ${HOST}:${config.port}: address in use by process ${first.child.pid} `),
  );
  assert.equal(await shop(config), '/ one');
});

test('up: a port that is taken later is a status, and is bound when it is free', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config);
  const port = await hold(0);
  writeManifests(config.dir, 'other.yaml', [
    gateway({ name: 'other', address: HOST, port }),
    httpRoute({ name: 'other', gateway: 'other', rules: [prefixRule('/', 'shop')] }),
  ]);
  const programmed = async (): Promise<string> => {
    const { items } = JSON.parse((await program.admin('/status')).text) as StatusList;
    const conditions = items.find(({ kind, metadata }) => kind === 'Gateway' && metadata.name === 'other')?.status
      .conditions;
    return conditions?.find(({ type }) => type === 'Programmed')?.status ?? 'none';
  };
  await program.until(async () => (await programmed()) === 'False', 'the status says that it is not programmed');
  assert.equal(await shop(config), '/ one', 'the other gateway is not touched');

  holders.at(-1)!.close();
  await program.until(async () => (await programmed()) === 'True', 'the port is bound');
  assert.equal(await shop({ ...config, port }), '/ ');
});

interface StatusList {
  readonly items: readonly {
    readonly kind: string;
    readonly metadata: { readonly name: string };
    readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  }[];
}

test('up: SIGTERM lets a running request finish, and ends with 0', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config);
  slow = undefined;
  const answer = shop(config, '/slow');
  await program.until(() => slow !== undefined, 'the request is at the origin');
  program.child.kill('SIGTERM');
  await program.until(() => program.err.includes('Draining'), 'the drain is logged');
  await program.until(async () => (await program.admin('/readyz')).status === 503, 'it is not ready any more');
  slow!.end('late');
  assert.equal(await answer, 'late');
  assert.equal(await program.ended, 0);
  assert.match(program.out, /"path":"\/slow","status":200/, 'the line of the last request is written');
});

test('up: a second SIGTERM ends it at once, with 1', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config);
  slow = undefined;
  const answer = shop(config, '/slow').catch(() => 'cut');
  await program.until(() => slow !== undefined, 'the request is at the origin');
  program.child.kill('SIGTERM');
  await program.until(() => program.err.includes('Draining'), 'the drain is logged');
  program.child.kill('SIGTERM');
  assert.equal(await program.ended, 1);
  assert.match(program.err, /Ended at once: running requests are cut/);
  assert.equal(await answer, 'cut');
});

test('up: SIGHUP reads everything again', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config);
  program.child.kill('SIGHUP');
  const reread = /^fourways_config_reloads_total\{result="unchanged"\} [1-9]/m;
  await program.until(async () => reread.test((await program.admin('/metrics')).text), 'it was read again');
  assert.equal(await shop(config), '/ one');
});

test('up: goes on when nobody reads its standard output any more', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config);
  program.child.stdout!.destroy();
  for (let i = 0; i < 3; i++) {
    assert.equal(await shop(config), '/ one');
    await pause(250);
  }
  const dropped = /^fourways_accesslog_dropped_total [1-9]/m;
  await program.until(async () => dropped.test((await program.admin('/metrics')).text), 'lost lines are counted');
});

test('up: a new process takes over from the old one without a failed request', async () => {
  const config = await writeConfig();
  const admin = ['--admin', `${HOST}:${await freePort(HOST)}`];
  await using old = await Program.start(config, ...admin);
  let over = false;
  const failures: unknown[] = [];
  /** Connections that were in the queue of the kernel when the old one stopped listening (docs/guide/operating.md). */
  let reset = 0;
  let answers = 0;
  const load = (async () => {
    for (; !over; answers++) {
      const answer = await shop(config).catch((error: unknown) => error);
      if (answer instanceof Error && answer.message === 'read ECONNRESET') reset++;
      else if (answer !== '/ one') failures.push(answer);
    }
  })();
  await using fresh = await Program.start(config, ...admin, '--takeover');
  assert.equal(await old.ended, 0);
  const pid = async () => (JSON.parse((await fresh.admin('/version')).text) as { pid: number }).pid;
  assert.equal(await pid(), fresh.child.pid);
  const enough = answers + 20;
  await fresh.until(() => answers > enough, 'requests are answered by the new one');
  over = true;
  await load;
  assert.deepEqual(failures, []);
  assert.ok(reset <= 1, `${reset} connections were reset`);
});

test('up: takes over from nobody', async () => {
  const config = await writeConfig();
  await using program = await Program.start(config, '--admin', `${HOST}:${await freePort(HOST)}`, '--takeover');
  assert.equal(await shop(config), '/ one');
  assert.equal((await program.admin('/readyz')).status, 200);
});

test('up: does not take over from a stranger', async () => {
  const config = await writeConfig();
  const stranger = createServer((_, response) => response.end('{}'));
  await once(stranger.listen(0, HOST), 'listening');
  const { port } = stranger.address() as AddressInfo;
  await using program = new Program([
    config.dir,
    '--admin',
    `${HOST}:${port}`,
    '--takeover',
    '--data',
    join(scratch, 'stranger'),
  ]);
  assert.equal(await program.ended, 1);
  assert.match(program.err, /Cannot take over: who listens on 127\.0\.0\.1:\d+ is not a Fourways/);
  stranger.closeAllConnections();
  stranger.close();
});

test('up: a folder with nothing in it is served, and waits for its first file', async () => {
  const dir = join(scratch, 'empty');
  mkdirSync(dir);
  await using program = await Program.start({ dir });
  assert.deepEqual(program.ready!.listening, [], 'nothing is listened on yet');
  assert.equal((await program.admin('/readyz')).status, 200);
  const config = { dir, port: await freePort(HOST) };
  writeManifests(dir, 'gateway.yaml', [gatewayClass(), gateway({ address: HOST, port: config.port })]);
  await program.until(async () => (await shop(config).catch(() => '')) === 'status 404', 'the gateway listens');
});
