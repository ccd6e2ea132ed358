/** UDP and the PROXY protocol in two workers of the real program: who stays where, and that the counters add up. */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';

const CLIENTS = 40;
const BAD_HEADERS = 30;

const dir = mkdtempSync(join(tmpdir(), 'fourways-udp-workers-'));
const upstream = dgram.createSocket('udp4');
/** Ports that each client was heard from at the upstream, by what it says. */
const heardFrom = new Map<string, Set<number>>();
let program: Fourways;
let ports: { readonly udp: number; readonly http: number };

before(async () => {
  upstream.on('message', (bytes, from) => {
    const name = bytes.toString();
    heardFrom.set(name, (heardFrom.get(name) ?? new Set()).add(from.port));
    upstream.send(bytes, from.port, from.address);
  });
  upstream.bind(0, '127.0.0.1');
  await once(upstream, 'listening');
  ports = { udp: await freePort(DOOR_HOST), http: await freePort(DOOR_HOST) };
  write('first');
  program = await Fourways.start({ config: dir, workers: 2, drain: '100ms' });
});

after(async () => {
  await program?.stop('SIGKILL');
  upstream.close();
  rmSync(dir, { recursive: true, force: true });
});

function write(mark: string): void {
  const form = {
    listen: [ports.http, { port: ports.udp, protocol: 'udp' }],
    routes: [
      { match: '/mark', respond: mark },
      { udp: ports.udp, to: `udp://127.0.0.1:${upstream.address().port}` },
    ],
    settings: { proxyProtocol: { mode: 'required', trustedPeers: ['127.0.0.0/8'] } },
  };
  writeFileSync(join(dir, '.new'), JSON.stringify(form));
  renameSync(join(dir, '.new'), join(dir, 'fourways.yaml'));
}

/** Sum of all samples of this metric that have these labels. */
async function figure(name: string, labels = ''): Promise<number> {
  const lines = (await program.adminText('/metrics')).split('\n');
  const own = lines.filter((line) => line.startsWith(`${name}{`) && line.includes(labels));
  return own.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

test('sessions stay with their worker and their socket over an edit, and the counters of both add up', async () => {
  const clients = Array.from({ length: CLIENTS }, () => dgram.createSocket('udp4'));
  const askAll = (): Promise<unknown> =>
    Promise.all(
      clients.map(async (socket, i) => {
        socket.send(`client ${i}`, ports.udp, DOOR_HOST);
        const [bytes] = (await once(socket, 'message')) as [Buffer];
        assert.equal(bytes.toString(), `client ${i}`);
      }),
    );
  await askAll();
  write('second');
  await program.until(async () => (await program.adminText('/plan')).includes('second'), 'the edit is served');
  await askAll();
  await askAll();
  assert.equal(heardFrom.size, CLIENTS);
  assert.deepEqual(
    [...heardFrom].filter(([, from]) => from.size > 1),
    [],
    'one socket for each client',
  );
  const { workers } = JSON.parse(await program.adminText('/endpoints')) as { workers: { connections: number }[] };
  assert.ok(workers.length === 2 && workers.every(({ connections }) => connections > 0), JSON.stringify(workers));
  assert.equal(await figure('fourways_udp_sessions_opened_total'), CLIENTS);
  assert.equal(await figure('fourways_udp_sessions_open'), CLIENTS);
  assert.equal(await figure('fourways_udp_datagrams_total', 'direction="in"'), CLIENTS * 3);
  assert.equal(await figure('fourways_udp_datagrams_total', 'direction="out"'), CLIENTS * 3);
  for (const socket of clients) socket.close();
});

test('headers of the PROXY protocol that are refused are all counted, and said now and then', async () => {
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: BAD_HEADERS }, async () => {
      const socket = net.connect({ host: DOOR_HOST, port: ports.http });
      socket.on('error', () => undefined);
      socket.write('PROXY TCP4 nonsense\r\n');
      await once(socket.resume(), 'close');
    }),
  );
  await program.until(
    async () => (await figure('fourways_proxy_protocol_total', '"malformed"')) === BAD_HEADERS,
    'all are counted',
  );
  const lines = program
    .output()
    .split('\n')
    .filter((line) => line.includes('A PROXY protocol header was refused'));
  // At most one in 100 ms of each worker.
  const linesMax = 2 * (1 + (performance.now() - startMs) / 100);
  assert.ok(lines.length >= 1 && lines.length <= linesMax, `${lines.length} lines`);
  assert.match(lines[0]!, /"reason":"malformed"/);
});
