import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DRAIN_MS, TICKET_KEYS_MS } from '../src/base/limits.ts';
import { silentLog } from '../src/base/log.ts';
import { runCommand } from '../src/cli/main.ts';
import { fakeIo } from '../src/cli/testing/fake-io.ts';
import { Relocation } from '../src/main/relocate.ts';
import { terminalIo } from '../src/main/terminal.ts';
import type { Running } from '../src/main/running.ts';
import { up } from '../src/main/up.ts';

/** Two workers, each of which keeps answers of its own. */
const folder = mkdtempSync(join(tmpdir(), 'fourways-cache-'));
let asked = 0;
const origin = http.createServer((_, response) => {
  asked++;
  response.writeHead(200, { 'cache-control': 'max-age=60', 'cache-tag': 'all' }).end(String(asked));
});
let running: Running;

before(async () => {
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  const { port } = origin.address() as AddressInfo;
  const file = join(folder, 'fourways.yaml');
  writeFileSync(
    file,
    JSON.stringify({ listen: 8080, routes: [{ to: `http://127.0.0.1:${port}`, policies: [{ cache: {} }] }] }),
  );
  running = await up({
    path: file,
    bind: '127.0.0.1',
    admin: { host: '127.0.0.1', port: 0 },
    workers: 2,
    ticketKeysMs: TICKET_KEYS_MS,
    dataDir: undefined,
    ports: 'alone',
    drainMs: DRAIN_MS,
    relocation: await Relocation.reserve(),
    log: silentLog,
    logLevel: 'error',
    writeLines: async () => undefined,
  });
});
after(async () => {
  await running.close();
  origin.close();
  origin.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});

/** One request on a connection of its own, which the kernel gives to one of the workers. */
function ask(path: string, method = 'GET'): Promise<string> {
  const port = Object.values(running.ports())[0]!.port;
  return new Promise((resolve, reject) => {
    const sent = http.request(
      { host: '127.0.0.1', port, path, method, agent: false, headers: { host: 'shop.test' } },
      (answer) => {
        answer.resume();
        answer.once('end', () => resolve(String(answer.headers['cache-status'])));
      },
    );
    sent.once('error', reject);
    sent.end();
  });
}

/** Until both workers have it. */
async function fill(path: string): Promise<void> {
  const from = asked;
  for (let i = 0; i < 200 && asked < from + 2; i++) await ask(path);
  assert.equal(asked, from + 2);
}

async function command(...args: string[]): Promise<string> {
  const fail = (): never => assert.fail();
  const terminal = terminalIo({ up: fail, control: fail, gateway: fail, sidecar: fail, run: fail });
  const io = {
    ...fakeIo(),
    get: (url: string) => terminal.get(url),
    post: (url: string, body: object) => terminal.post(url, body),
  };
  assert.equal(await runCommand(['cache', ...args, '--admin', `127.0.0.1:${running.admin!.port}`], io), 0);
  return io.outLines.join('\n');
}

for (const [rule, purge, says] of [
  ['a URL', ['--url', 'http://shop.test/a'], 'Purged 2 answers in 2 workers'],
  ['a tag', ['--tag', 'all'], 'Purged 2 answers in 2 workers'],
  ['nothing that is there', ['--tag', 'other'], 'Purged 0 answers in 2 workers'],
] as const) {
  test(`cache of two workers: ${rule} is purged in both`, async () => {
    await command('purge', '--all');
    await fill('/a');
    assert.match(await command('stats'), /^Policy \S+ +2 .*\n\nin 2 workers$/m);
    const before = asked;
    assert.equal(await command('purge', ...purge), says);
    if (says.includes('0')) {
      for (let i = 0; i < 20; i++) assert.match(await ask('/a'), /hit/);
      assert.equal(asked, before);
    } else await fill('/a');
  });
}

test('cache of two workers: what one changes, both forget', async () => {
  await command('purge', '--all');
  await fill('/b');
  await fill('/c');
  const before = asked;
  assert.equal(await ask('/b', 'POST'), 'fourways; fwd=method');
  await fill('/b');
  assert.equal(asked, before + 3);
  for (let i = 0; i < 20; i++) assert.match(await ask('/c'), /hit/);
});
