/**
 * WebSockets through the whole program, workers and files included: edits while messages flow, listeners that are
 * removed, and the end of the process. The clients are those of Node.js.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Service, startService } from '../examples/services/service.ts';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { gateway, gatewayClass, httpRoute, prefixRule, service, writeManifests } from './client/manifests.ts';

const EDITS = 100;
/** Of the drain; what ends before it has ended because it was asked to. */
const DRAIN_MS = 5_000;

const dir = mkdtempSync(join(tmpdir(), 'fourways-web-socket-'));
const config = join(dir, 'config');
let chat: Service;
let program: Fourways;
let ports: { readonly kept: number; readonly removed: number };

before(async () => {
  chat = await startService('chat:0');
  ports = { kept: await freePort(DOOR_HOST), removed: await freePort(DOOR_HOST) };
  writeManifests(config, 'gateway.yaml', [gatewayClass(), gateway({ name: 'kept', port: ports.kept })]);
  writeManifests(config, 'removed.yaml', [gateway({ name: 'removed', port: ports.removed })]);
  writeService(chat.port);
  writeRoute('chat', 'kept', '/');
  writeRoute('other', 'removed', '/');
  program = await Fourways.start({ config, workers: 2, logLevel: 'warn', drain: `${DRAIN_MS}ms` });
});

after(async () => {
  await program?.stop('SIGKILL');
  await chat?.close();
  rmSync(dir, { recursive: true, force: true });
});

function writeRoute(name: string, parent: string, path: string): void {
  writeManifests(config, `${name}.yaml`, [httpRoute({ name, gateway: parent, rules: [prefixRule(path, 'chat')] })]);
}

function writeService(port: number): void {
  writeManifests(config, 'service.yaml', service('chat', [{ host: '127.0.0.1', port }]));
}

async function open(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${DOOR_HOST}:${port}/chat`);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error(`Cannot open: ${program.output()}`)));
  });
  return socket;
}

function answerTo(socket: WebSocket, text: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const heard = new AbortController();
  const once = { once: true, signal: heard.signal };
  socket.addEventListener('message', ({ data }) => resolve(data), once);
  socket.addEventListener('close', ({ code }) => reject(new Error(`Closed with ${code}`)), once);
  socket.send(text);
  return promise.finally(() => heard.abort());
}

function closing(socket: WebSocket): Promise<{ code: number; reason: string; wasClean: boolean }> {
  return new Promise((resolve) => {
    socket.addEventListener('close', ({ code, reason, wasClean }) => resolve({ code, reason, wasClean }));
  });
}

function untilAnswered(status: number, what: string): Promise<void> {
  return program.until(async () => {
    const answer = await fetch(`http://${DOOR_HOST}:${ports.kept}/chat`);
    await answer.body?.cancel();
    return answer.status === status;
  }, what);
}

const GOING_AWAY = { code: 1_001, reason: 'going away', wasClean: true };

test(`${EDITS} edits, the route and the endpoint of the conversation taken away: not a message is lost`, async () => {
  const sockets = await Promise.all(Array.from({ length: 8 }, () => open(ports.kept)));
  let editing = true;
  let said = 0;
  const talks = sockets.map(async (socket) => {
    for (let i = 0; editing; i++) {
      assert.equal(await answerTo(socket, `${i}`), `chat: ${i}`);
      said++;
    }
  });
  for (let i = 0; i < EDITS; i++) {
    writeRoute('chat', 'kept', `/${i}`);
    writeService(1 + i);
    await program.adminText('/status');
  }
  await untilAnswered(404, 'nothing leads to the service any more');
  editing = false;
  await Promise.all(talks);
  assert.ok(said > EDITS);
  for (const socket of sockets) assert.equal(await answerTo(socket, 'still here'), 'chat: still here');
  writeRoute('chat', 'kept', '/');
  writeService(chat.port);
  await untilAnswered(200, 'the service is back');
  for (const socket of sockets) {
    const closed = closing(socket);
    socket.close(1_000);
    assert.equal((await closed).code, 1_000);
  }
});

test('a listener that is removed tells its WebSockets, and only those', async () => {
  const [kept, leaving] = await Promise.all([open(ports.kept), open(ports.removed)]);
  const closed = closing(leaving);
  rmSync(join(config, 'removed.yaml'));
  assert.deepEqual(await closed, GOING_AWAY);
  assert.equal(await answerTo(kept, 'and you'), 'chat: and you');
  kept.close();
});

test('the end of the process tells them all, and waits for no longer than they need', async () => {
  const sockets = await Promise.all(Array.from({ length: 16 }, () => open(ports.kept)));
  const closed = sockets.map(closing);
  const startMs = performance.now();
  const ended = program.stop('SIGTERM');
  assert.deepEqual(
    await Promise.all(closed),
    sockets.map(() => GOING_AWAY),
  );
  assert.deepEqual(await ended, { code: 0, signal: null });
  assert.ok(performance.now() - startMs < DRAIN_MS, `${performance.now() - startMs} ms`);
});
