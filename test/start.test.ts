/** `npm start`, on other ports: every line that it prints is run, and held to what it claims to show. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sections } from '../examples/start/lines.ts';
import { type Addresses, SERVICE_NAMES } from '../examples/start/ports.ts';
import { freePort } from './client/fourways.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const START = fileURLToPath(new URL('../examples/start/start.ts', import.meta.url));

let example: ChildProcess;
let said = '';
let addresses: Addresses;

before(async () => {
  const [port, adminPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
  const args = ['--port', String(port), '--admin-port', String(adminPort), '--mesh-port', '0', '--service-port', '0'];
  example = spawn(process.execPath, [START, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const printed = Promise.withResolvers<void>();
  for (const stream of [example.stdout!, example.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('Ctrl-C stops it')) printed.resolve();
    });
  }
  example.once('exit', () => printed.reject(new Error(`the example ended early:\n${said}`)));
  await printed.promise;
  // Which ports were free for sidecars is not known before.
  const proxies = [...said.matchAll(/ -x (http:\S+)/g)].map(([, proxy]) => proxy);
  addresses = {
    gateway: `http://127.0.0.1:${port}`,
    admin: `http://127.0.0.1:${adminPort}`,
    proxies: Object.fromEntries(SERVICE_NAMES.map((name, i) => [name, proxies[i]!])) as Addresses['proxies'],
  };
});

after(() => void example.kill('SIGKILL'));

// The addresses are not known while the list is made, so the rows are named with those of the shipped example.
const NAMED = sections({
  gateway: 'GATEWAY',
  admin: 'ADMIN',
  proxies: { web: 'WEB', 'web-next': 'NEXT', orders: 'ORDERS' },
});

for (const [s, { title, lines }] of NAMED.entries()) {
  for (const [l, { shows }] of lines.entries()) {
    test(`npm start: ${title}: ${shows}`, () => {
      const { command, want } = sections(addresses)[s]!.lines[l]!;
      assert.ok(said.includes(`# ${shows}\n  ${command}\n`), 'the line is printed as it is run');
      const { stdout, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8', cwd: ROOT });
      assert.match(stdout, want, stderr);
    });
  }
}

test('npm start: SIGTERM ends it with 0, and everything it started', async () => {
  example.kill('SIGTERM');
  const [code] = (await once(example, 'exit')) as [number | null];
  assert.equal(code, 0, said);
  await assert.rejects(fetch(addresses.admin));
  await assert.rejects(fetch(addresses.gateway));
});

test('npm start: says clearly that a port is taken', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const started = spawn(process.execPath, [START, '--port', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  started.stderr.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  const [code] = (await once(started, 'exit')) as [number | null];
  taken.close();
  assert.equal(code, 1);
  assert.match(text, new RegExp(`^Cannot start the gateway: port ${port} of 127\\.0\\.0\\.1 is in use`));
  assert.match(text, /npm start -- --port 8090/);
});
