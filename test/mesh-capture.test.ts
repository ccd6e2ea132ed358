/** Transparent capture in a network namespace: real rules of nftables, libc's resolver, programs that know no proxy. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { answerTo, readQuestion } from '../src/capture/dns-message.ts';
import { Fourways, freePort, programOf } from './client/fourways.ts';
import { Network, noNetwork } from './client/network.ts';
import { Sidecar, type SidecarOptions, tokenFor } from './client/sidecar.ts';

const run = promisify(execFile);
const reason = noNetwork();
if (reason !== undefined) console.log(`Not tried: ${reason}`);

suite('transparent capture', { skip: reason ?? false }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-capture-'));
  const world = new AsyncDisposableStack();
  let network: Network;
  let meshAt: string;
  let program: Fourways;

  before(async () => {
    network = world.use(await Network.make(1));
    const { address } = network.here;
    meshAt = `${address}:${await freePort(address)}`;
    writeFileSync(join(dir, 'mesh.yaml'), manifests(await freePort(address)));
    const [control, apps] = await Promise.all([
      Fourways.start({ config: join(dir, 'mesh.yaml'), workers: 1, mesh: meshAt, data: join(dir, 'data') }),
      startApplications(),
      answerDns(),
    ]);
    world.defer(async () => void (await control.stop('SIGKILL')));
    program = control;
    const token = await tokenFor(program, 'shop.shop');
    const app = Object.entries(apps).map(([name, port]) => `${name}=${port}`);
    world.use(await Sidecar.start({ service: 'shop.shop', dir, control: meshAt, token, app, at: network.here }));
    await program.until(
      async () => !(await program.adminText('/problems')).includes('shop/shop has no'),
      'the service has an instance',
    );
  });

  after(async () => {
    await world.disposeAsync();
    rmSync(dir, { recursive: true, force: true });
  });

  /** @returns their ports by name */
  async function startApplications(): Promise<Record<string, number>> {
    const http = createServer((request, answer) => void answer.end(`${request.headers.host} ${request.url}\n`));
    const smtp = createTcpServer(speakFirst);
    for (const server of [http, smtp]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      world.defer(() => void server.close());
    }
    world.defer(() => http.closeAllConnections());
    const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
    return { http: portOf(http), smtp: portOf(smtp) };
  }

  /** The resolver of the namespace: everything of one domain is at one address. */
  async function answerDns(): Promise<void> {
    const socket = createSocket('udp4');
    socket.on('message', (query, from) => {
      const question = readQuestion(query);
      if (typeof question !== 'object') return;
      const addresses = question.type === 1 && question.name?.endsWith('.test') === true ? ['192.0.2.7'] : [];
      socket.send(answerTo(query, question, { addresses, ttlS: 1 }), from.port, from.address);
    });
    await new Promise<void>((resolve) => socket.bind(53, network.here.address, resolve));
    world.defer(() => void socket.close());
  }

  async function options(user: string, command?: readonly string[]): Promise<SidecarOptions> {
    const token = await tokenFor(program, 'web.shop');
    const job = command === undefined ? {} : { command };
    return { service: 'web.shop', dir, control: meshAt, token, at: network.hosts[0]!, more: capturing(user), ...job };
  }

  /** @returns what it said and how it ended, when it had captured and then heard this */
  async function endedBy(signal: NodeJS.Signals, more: Partial<SidecarOptions>): Promise<string> {
    const sidecar = await Sidecar.spawn({ ...(await options('nobody')), ...more });
    await sidecar.said(more.control === undefined ? /"message":"Ready"/ : /Cannot join yet/);
    assert.deepEqual(await tables(), ['table inet fourways_user_65534']);
    sidecar.child.kill(signal);
    const { code, signal: by } = await sidecar.ended;
    return `${by ?? code} ${sidecar.err}`;
  }

  /** In the namespace, as a user. @returns what it said, and its exit code where that is not 0 */
  async function as(user: string, ...command: string[]): Promise<string> {
    const [first = '', ...rest] = network.hosts[0]!.within;
    const args = [...rest, 'setpriv', '--reuid', user, '--clear-groups', ...command];
    const { stdout } = await run(first, args).catch(({ stdout: said, code }: { stdout: string; code: number }) => ({
      stdout: `${said}exit ${code}`,
    }));
    return stdout.trim();
  }

  async function tables(): Promise<string[]> {
    const [first = '', ...rest] = network.hosts[0]!.within;
    const { stdout } = await run(first, [...rest, 'nft', 'list', 'tables']);
    return stdout.trim().split('\n').filter(Boolean);
  }

  test('a command that knows no proxy reaches services by name, and its rules go with it', async () => {
    const script = [
      'env | grep -i _proxy=; id -un',
      'getent ahostsv4 shop | head -1; getent ahostsv4 outside.test | head -1',
      'getent ahostsv6 shop.shop.svc.cluster.local | head -1',
      'curl -sS -m 10 http://shop/short; curl -sS -m 10 http://shop.shop.svc.cluster.local/long',
      'curl -sS -m 10 -X NOOP smtp://shop.shop:25',
      'curl -sS -m 10 http://shop.shop:81/; curl -sS -m 10 http://nobody.shop/',
    ].join('\n');
    await using job = await Sidecar.spawn(await options('nobody', ['sh', '-c', `exec 2>&1\n${script}`]));
    assert.equal((await job.ended).code, 6, job.err);
    const lines = job.out.split('\n').filter((line) => !line.startsWith('{'));
    const [user = '', short = '', outside = '', long = '', ...rest] = lines;
    assert.equal(user, 'nobody');
    assert.match(short, /^127\.240\.\d+\.\d+ +STREAM shop/);
    assert.match(outside, /^192\.0\.2\.7 +STREAM outside\.test/);
    // An address of IPv6 it has none, and so libc maps the other one.
    assert.match(long, /^::ffff:127\.240\.\d+\.\d+ +STREAM/);
    assert.deepEqual(rest.slice(0, 2), ['shop /short', 'shop.shop.svc.cluster.local /long']);
    const text = rest.join('\n');
    assert.match(text, /^250 fine/m);
    assert.match(text, /port 81 .*Couldn't connect/);
    assert.match(text, /Could not resolve host: nobody\.shop/);
    assert.deepEqual(await tables(), []);
  });

  test('only the user is captured; rules outlive a kill and are removed at the next start', async () => {
    const first = await Sidecar.start(await options('nobody'));
    assert.equal(await as('nobody', 'curl', '-sS', '-m', '10', 'http://shop.shop/a'), 'shop.shop /a');
    // The sidecar itself, as every other user, sees the network as it is.
    assert.match(await as('root', 'curl', '-sS', '-m', '10', 'http://shop.shop/a'), /exit 6$/);
    assert.deepEqual(await tables(), ['table inet fourways_user_65534']);
    await using second = await Sidecar.spawn(await options('nobody'));
    assert.equal((await second.ended).code, 1);
    assert.match(second.err, /has the table .*Run each application of a host as a user of its own/s);

    await first.stop('SIGKILL');
    assert.deepEqual(await tables(), ['table inet fourways_user_65534']);
    await using other = await Sidecar.start(await options('daemon'));
    assert.deepEqual(await tables(), ['table inet fourways_user_1']);
    assert.match(other.err, /left behind are removed/);
    await using again = await Sidecar.start(await options('nobody'));
    assert.equal(await as('nobody', 'curl', '-sS', '-m', '10', 'http://shop.shop/b'), 'shop.shop /b');
    await again.stop();
    await other.stop();
    assert.deepEqual(await tables(), []);
  });

  test('however a sidecar ends, its rules go with it', async () => {
    const crash = join(dir, 'crash.mjs');
    writeFileSync(crash, "process.on('SIGIO', () => { throw new Error('a defect'); });");
    const ways: [signal: NodeJS.Signals, more: Partial<SidecarOptions>, want: RegExp][] = [
      ['SIGTERM', {}, /^0 /],
      ['SIGINT', {}, /^0 /],
      ['SIGQUIT', {}, /^131 /],
      ['SIGIO', { within: ['env', `NODE_OPTIONS=--import=${crash}`] }, /^1 .*a defect/s],
      // While it waits for a control plane that is not there.
      ['SIGTERM', { control: `127.0.0.1:${await freePort('127.0.0.1')}` }, /^0 /],
    ];
    for (const [signal, more, want] of ways) {
      assert.match(await endedBy(signal, more), want);
      assert.deepEqual(await tables(), [], `after ${signal}`);
    }
    const refused = await Sidecar.spawn({ ...(await options('nobody')), token: await tokenFor(program, 'other.shop') });
    assert.equal((await refused.ended).code, 1);
    assert.match(refused.err, /Connections are captured.*Cannot join the mesh/s);
    assert.deepEqual(await tables(), [], 'after one that may not join');
  });

  test('an application that asks for names before its sidecar knows any is told that there are none', async () => {
    const control = `127.0.0.1:${await freePort('127.0.0.1')}`;
    await using waiting = await Sidecar.spawn({ ...(await options('nobody')), control });
    await waiting.said(/Cannot join yet/);
    assert.match(await as('nobody', 'curl', '-sS', '-m', '10', 'http://shop.shop/early'), /exit 6$/);
    assert.match(await as('nobody', 'getent', 'ahostsv4', 'outside.test'), /192\.0\.2\.7/);
    assert.equal(waiting.child.exitCode, null, waiting.err);
    await waiting.stop();
    assert.deepEqual(await tables(), []);
  });

  test('rules of one that was killed are removed by the next, also when it captures nothing', async () => {
    const data = join(dir, 'changed-its-mind');
    const first = await Sidecar.start({ ...(await options('nobody')), data });
    await first.stop('SIGKILL');
    assert.deepEqual(await tables(), ['table inet fourways_user_65534']);
    await using same = await Sidecar.start({ ...(await options('nobody')), data });
    assert.match(same.err, /left behind are replaced/);
    assert.equal(await as('nobody', 'curl', '-sS', '-m', '10', 'http://shop.shop/c'), 'shop.shop /c');
    await same.stop('SIGKILL');
    await using none = await Sidecar.start({ ...(await options('nobody')), data, more: [] });
    assert.match(none.err, /left behind are removed/);
    assert.deepEqual(await tables(), []);
  });

  test('a dry run says what would be done, in words that nft takes, and does nothing', async () => {
    const [first = '', ...rest] = network.hosts[0]!.within;
    const args = [
      ...programOf('source'),
      'sidecar',
      '--service',
      'web.shop',
      '--control',
      meshAt,
      '--call',
      'shop.shop',
    ];
    const dry = [...args, '--capture', 'transparent', '--user', 'nobody', '--dry-run', '--data', join(dir, 'dry')];
    const { stdout } = await run(first, [...rest, process.execPath, ...dry]);
    assert.match(stdout, /# 127\.240\.\d+\.\d+ +shop\.shop$/m);
    assert.deepEqual(await tables(), []);
    const touched = join(dir, 'touched');
    const [, , ...like] = dry;
    await run(first, [...rest, process.execPath, ...programOf('source'), 'run', ...like, '--', 'touch', touched]);
    assert.deepEqual([existsSync(touched), existsSync(join(dir, 'dry'))], [false, false]);
    const file = join(dir, 'rules');
    writeFileSync(file, stdout);
    await run(first, [...rest, 'nft', '--check', '--file', file]);
    const { stdout: json } = await run(first, [...rest, process.execPath, ...dry, '--json']);
    assert.equal((JSON.parse(json) as { table: string }).table, 'fourways_user_65534');
  });
});

function capturing(user: string): string[] {
  return ['--capture', 'transparent', '--user', user];
}

function manifests(door: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: shop }
spec:
  ports:
    - { name: http, port: 80, targetPort: http }
    - { name: smtp, port: 25, targetPort: smtp, appProtocol: tcp }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
`;
}

/** As mail servers do (RFC 5321 section 3.1): a client says nothing before it was greeted. */
function speakFirst(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.write('220 mail.test ready\r\n');
  socket.on('data', (bytes: Buffer) => {
    const words = bytes.toString('latin1');
    socket.write(/^QUIT/i.test(words) ? '221 bye\r\n' : '250 fine\r\n');
    if (/^QUIT/i.test(words)) socket.end();
  });
}
