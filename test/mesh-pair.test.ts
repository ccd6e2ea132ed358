/** Client -> sidecar A -> mTLS, HTTP/2 -> sidecar B -> application, with clients and applications that are not ours. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import test from 'node:test';
import { promisify } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import { type Certified, makeCertificate } from '../src/net/testing/certificates.ts';
import {
  HTTP_NAME,
  idOf,
  letIn,
  meshCluster,
  Pair,
  root,
  selfIs,
  TCP_NAME,
  workload,
} from '../src/proxy/testing/mesh.ts';
import { clusterTo, PORT, request, Upstream } from '../src/proxy/testing/node-harness.ts';
import { connect, listen, readAll } from '../src/proxy/testing/streams.ts';
import { openSocket, WsUpstream } from '../src/proxy/testing/web-sockets.ts';
import { EchoServer, SERVICE } from './client/grpc.ts';

const run = promisify(execFile);

const app = (): Promise<Upstream> =>
  Upstream.start((asked, answer) => {
    let body = '';
    asked.on('data', (bytes: Buffer) => (body += bytes.toString()));
    asked.on('end', () => answer.end(`${asked.method} ${asked.headers.host} ${asked.headers.via} ${body}`));
  });

const VIA = '1.1 fourways, 2.0 fourways';

test('HTTP/1.1 of any client goes over HTTP/2 with mTLS, and both ends know each other', async () => {
  await using http = await app();
  await using pair = await Pair.start({ http: http.port, tcp: 1 });
  const proxy = `http://127.0.0.1:${pair.a.port}`;
  const curl = async (...args: string[]): Promise<string> =>
    (await run('curl', ['-sS', '--max-time', '5', '-x', proxy, ...args])).stdout;
  assert.equal(await curl('http://orders.shop/'), `GET orders.shop ${VIA} `);
  assert.equal(await curl('-d', 'x=1', 'http://orders.shop/'), `POST orders.shop ${VIA} x=1`);
  assert.equal(await curl('-p', 'http://orders.shop/'), `GET orders.shop ${VIA} `);
  const [line] = pair.b.lines();
  assert.deepEqual([line!['peer'], line!['tls_version']], [idOf('web'), 'TLSv1.3']);
});

test('a call of gRPC by a client that knows HTTP_PROXY', async () => {
  await using server = await EchoServer.start();
  await using pair = await Pair.start({ http: server.port, tcp: 1 });
  // The application speaks HTTP/2 with prior knowledge, as those of gRPC do.
  await pair.b.change({ clusters: { c: clusterTo([server.port], { protocol: 'h2' }) } });
  await pair.a.change({ clusters: { c: { ...meshCluster(pair.b.port, HTTP_NAME), protocol: 'h2' } } });
  const before = process.env['grpc_proxy'];
  process.env['grpc_proxy'] = `http://127.0.0.1:${pair.a.port}`;
  const client = new grpc.Client('orders.shop:80', grpc.credentials.createInsecure());
  try {
    const same = (bytes: Buffer): Buffer => bytes;
    const answer = await new Promise<Buffer>((resolve, reject) => {
      const deadline = Date.now() + 5_000;
      client.makeUnaryRequest(`/${SERVICE}/Unary`, same, same, Buffer.from('hi'), { deadline }, (error, value) =>
        error === null ? resolve(value!) : reject(error),
      );
    });
    assert.equal(answer.toString(), 'hi');
    assert.equal(pair.b.lines().at(-1)?.['rpc_grpc_status_code'], 0);
  } finally {
    client.close();
    if (before === undefined) delete process.env['grpc_proxy'];
    else process.env['grpc_proxy'] = before;
  }
});

test('a WebSocket', async () => {
  await using server = await WsUpstream.start('h1');
  await using pair = await Pair.start({ http: server.port, tcp: 1 });
  const client = await openSocket('h1', pair.a.port, { path: 'http://orders.shop/socket' });
  const peer = await server.accept();
  client.text('hello');
  assert.equal(await peer.nextText(), 'hello');
  peer.text('and back');
  assert.equal(await client.nextText(), 'and back');
  client.close(1_000);
  assert.equal((await peer.nextClose()).code, 1_000);
  peer.close(1_000);
  assert.equal((await client.nextClose()).code, 1_000);
  for (const end of [client, peer]) end.end();
});

test('a server that speaks first is heard, and identities are in both logs', async () => {
  await using tcp = await listen((socket) => {
    socket.write('welcome ');
    socket.once('data', (bytes) => socket.end(bytes));
  });
  await using pair = await Pair.start({ http: 1, tcp: tcp.port });
  const client = connect(pair.a.port);
  client.write('CONNECT db.shop:5432 HTTP/1.1\r\nHost: db.shop:5432\r\n\r\n');
  let text = '';
  client.on('data', (bytes: Buffer) => (text += bytes.toString()));
  while (!text.endsWith('welcome ')) await once(client, 'data');
  client.end('bye');
  await once(client, 'end');
  assert.match(text, /^HTTP\/1.1 200 .*\r\n\r\nwelcome bye$/s);
  const line = pair.b.lines()[0]!;
  assert.deepEqual([line['server_name'], line['peer'], line['bytes_out']], [TCP_NAME, idOf('web'), 11]);
});

/** Requests without a pause by several clients, until told to stop: how many there were, and what went wrong. */
function load(port: number): { stop(): Promise<{ sent: number; failed: string[] }> } {
  let running = true;
  let sent = 0;
  const failed: string[] = [];
  const client = async (): Promise<void> => {
    while (running) {
      sent++;
      const got = await request(port, { path: 'http://orders.shop/' }).catch((error: Error) => error.message);
      if (typeof got === 'string' || got.status !== 200) failed.push(typeof got === 'string' ? got : got.body);
    }
  };
  const clients = Array.from({ length: 4 }, client);
  return {
    async stop() {
      running = false;
      await Promise.all(clients);
      return { sent, failed };
    },
  };
}

test('three leaves, then an issuer and a root are changed under load without a failed request', async () => {
  await using http = await app();
  await using tcp = await listen((socket) => socket.pipe(socket));
  await using pair = await Pair.start({ http: http.port, tcp: tcp.port });
  const stream = connect(pair.a.port);
  stream.write('CONNECT db.shop:5432 HTTP/1.1\r\nHost: db.shop:5432\r\n\r\n');
  await once(stream, 'data');
  const running = load(pair.a.port);
  const seen = async (leaf: Certified): Promise<void> => {
    const fingerprint = new X509Certificate(leaf.leafPem).fingerprint256.replaceAll(':', '').toLowerCase();
    for (;;) {
      const last = pair.b.lines().at(-1)?.['client_cert'] as { fingerprint?: string } | undefined;
      if (last?.fingerprint === fingerprint) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const renew = async (issuer: Certified): Promise<void> => {
    const web = workload('web', { issuer });
    await pair.b.change({ secrets: selfIs(workload('orders', { issuer })) });
    await pair.a.change({ secrets: selfIs(web) });
    await seen(web);
  };
  const trust = async (...cas: Certified[]): Promise<void> => {
    const pems = cas.map(({ leafPem }) => leafPem);
    await pair.b.change({ ports: { '127.0.0.1:0': { ...PORT, ...letIn(cas) } } });
    const trusting = (name: string): ReturnType<typeof meshCluster> => {
      const cluster = meshCluster(pair.b.port, name);
      return { ...cluster, tls: { ...cluster.tls!, cas: pems } };
    };
    await pair.a.change({ clusters: { c: trusting(HTTP_NAME), t: { ...trusting(TCP_NAME), stream: 'tcp' } } });
  };
  for (let i = 0; i < 3; i++) await renew(root);
  const issuer = makeCertificate({ kind: 'ca', subject: 'Issuer', issuer: root });
  await renew(issuer);
  const nextRoot = makeCertificate({ kind: 'ca', subject: 'Next root' });
  await trust(root, nextRoot);
  await renew(nextRoot);
  await trust(nextRoot);
  await renew(nextRoot);
  const { sent, failed } = await running.stop();
  assert.deepEqual(failed, []);
  assert.ok(sent > 20, `${sent} requests`);
  // A connection that was made under the first root was not cut.
  stream.end('still here');
  assert.equal(await readAll(stream), 'still here');
  assert.deepEqual([pair.a.said, pair.b.said], [[], []]);
});
