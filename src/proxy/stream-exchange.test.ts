import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import test from 'node:test';
import { readProxyHeader } from '../net/proxy-protocol.ts';
import { Harness, LISTENER } from './testing/node-harness.ts';
import { connect, listen, readAll, streamCluster, streamTo, TCP_LISTENER } from './testing/streams.ts';

const TCP = { protocol: 'tcp' } as const;

async function start(
  harness: Harness,
  ports: readonly number[],
  more: Parameters<typeof streamCluster>[1] = {},
): Promise<void> {
  const streams = { s: streamTo('c') };
  await harness.start({ listeners: { l: TCP_LISTENER }, streams, clusters: { c: streamCluster(ports, more) } }, TCP);
}

/** The line that the next stream writes at its end. */
async function lastLine(harness: Harness): Promise<Record<string, unknown>> {
  for (;;) {
    const line = harness.lines().at(-1);
    if (line !== undefined) return line;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('bytes go both ways, and one line says how many', async () => {
  await using upstream = await listen((socket) => socket.pipe(socket));
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const client = connect(harness.port);
  client.end('hello');
  assert.equal(await readAll(client), 'hello');
  const line = await lastLine(harness);
  assert.equal(line['fault'], undefined);
  assert.deepEqual(
    [line['protocol'], line['rule'], line['bytes_in'], line['bytes_out'], line['attempts']],
    ['tcp', 'TCPRoute/d/r/0', 5, 5, 1],
  );
  assert.equal(line['endpoint'], `127.0.0.1:${upstream.port}`);
});

test('an upstream that speaks first is heard', async () => {
  await using upstream = await listen((socket) => socket.end('welcome'));
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const client = connect(harness.port);
  assert.equal(await readAll(client), 'welcome');
  client.end();
});

test('a client that ends its side still hears what comes after', async () => {
  const ended = Promise.withResolvers<net.Socket>();
  await using upstream = await listen((socket) => socket.resume().on('end', () => ended.resolve(socket)));
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const client = connect(harness.port);
  client.end('question');
  const socket = await ended.promise;
  socket.end('a late answer');
  assert.equal(await readAll(client), 'a late answer');
});

test('an upstream that ends its side still hears what comes after', async () => {
  const heard = Promise.withResolvers<string>();
  await using upstream = await listen((socket) => {
    socket.end('bye');
    void readAll(socket).then(heard.resolve);
  });
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const client = connect(harness.port);
  assert.equal(await readAll(client), 'bye');
  client.end('last words');
  assert.equal(await heard.promise, 'last words');
});

test('a reset of the upstream arrives as a reset', async () => {
  await using upstream = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const client = connect(harness.port);
  client.write('x');
  assert.equal(await readAll(client), 'ECONNRESET');
  assert.equal((await lastLine(harness))['fault'], 'upstream.closed');
});

test('a reset of the client arrives as a reset', async () => {
  const heard = Promise.withResolvers<string>();
  const there = Promise.withResolvers<void>();
  await using upstream = await listen((socket) => {
    void readAll(socket).then(heard.resolve);
    there.resolve();
  });
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const client = connect(harness.port);
  client.write('x');
  await there.promise;
  client.resetAndDestroy();
  assert.equal(await heard.promise, 'ECONNRESET');
  assert.equal((await lastLine(harness))['fault'], 'request.aborted');
});

const MEGABYTES = 64;

test('a reader that stops stops the writer, and everything arrives when it goes on', async () => {
  const piece = Buffer.alloc(1024 * 1024, 'abcdefgh');
  let written = 0;
  await using upstream = await listen((socket) => {
    const write = (): void => {
      while (written < MEGABYTES) {
        written++;
        if (!socket.write(piece)) return void socket.once('drain', write);
      }
      socket.end();
    };
    write();
  });
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const before = process.memoryUsage().arrayBuffers;
  const client = connect(harness.port);
  client.pause();
  await once(client, 'connect');
  // Until nothing moves any more: the buffers of the system are full on both ways.
  for (let seen = -1; seen !== written;) {
    seen = written;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(written < MEGABYTES, `${written} MB were taken from the upstream, read by nobody`);
  // The writer of this test holds a piece; the proxy may hold two pieces of 128 KiB.
  const held = process.memoryUsage().arrayBuffers - before;
  assert.ok(held < 4 * 1024 * 1024, `${held} bytes are held`);

  let got = 0;
  let right = true;
  client.on('data', (bytes) => {
    right &&= bytes[0] === piece[got % 8] && bytes.at(-1) === piece[(got + bytes.length - 1) % 8];
    got += bytes.length;
  });
  client.resume();
  await once(client, 'end');
  client.end();
  assert.equal(got, MEGABYTES * 1024 * 1024);
  assert.ok(right, 'bytes were mixed up');
});

test('flows of several clients at once are not mixed up', async () => {
  await using upstream = await listen((socket) => socket.pipe(socket));
  await using harness = new Harness();
  await start(harness, [upstream.port]);
  const flows = Array.from({ length: 8 }, async (_, flow) => {
    const client = connect(harness.port);
    const sent = Buffer.alloc(3 * 1024 * 1024 + flow, 65 + flow);
    let got = 0;
    client.on('data', (bytes: Buffer) => {
      assert.ok(
        bytes.every((byte) => byte === 65 + flow),
        `flow ${flow} got bytes of another one`,
      );
      got += bytes.length;
      // Small and large pieces take turns, and a reader that is slow now and then.
      if (got % 7 === 0) {
        client.pause();
        setImmediate(() => client.resume());
      }
    });
    client.end(sent);
    await once(client, 'end');
    assert.equal(got, sent.length);
  });
  await Promise.all(flows);
});

test('another endpoint is tried when a connection cannot be made', async () => {
  await using dead = await listen(() => undefined);
  const deadPort = dead.port;
  await dead[Symbol.asyncDispose]();
  await using upstream = await listen((socket) => socket.end('here'));
  await using harness = new Harness();
  await start(harness, [deadPort, upstream.port]);
  for (let i = 0; i < 4; i++) {
    const client = connect(harness.port);
    assert.equal(await readAll(client), 'here');
    client.end();
  }
});

test('what leads nowhere is reset, counted and said', async () => {
  await using dead = await listen(() => undefined);
  const deadPort = dead.port;
  await dead[Symbol.asyncDispose]();
  const rows = [
    ['upstream.connect-refused', streamTo('c')],
    ['route.backend-invalid', streamTo('c', { backends: [{ why: 'Service d/x does not exist', weight: 1 }] })],
    ['route.backend-invalid', streamTo('c', { backends: [{ cluster: 'c', weight: 0 }] })],
    ['stream.no-route', streamTo('c', { attach: [{ listener: 'l', hosts: ['a.test'] }] })],
  ] as const;
  for (const [fault, stream] of rows) {
    await using harness = new Harness();
    const clusters = { c: streamCluster([deadPort]) };
    await harness.start({ listeners: { l: TCP_LISTENER }, streams: { s: stream }, clusters }, TCP);
    assert.equal(await readAll(connect(harness.port)), 'ECONNRESET', fault);
    assert.equal((await lastLine(harness))['fault'], fault);
  }
});

test('shares of backends are exact, the share of a broken one is refused', async () => {
  await using one = await listen((socket) => socket.end('1'));
  await using two = await listen((socket) => socket.end('2'));
  await using harness = new Harness();
  const backends = [
    { cluster: 'one', weight: 2 },
    { cluster: 'two', weight: 1 },
    { why: 'gone', weight: 1 },
  ];
  await harness.start(
    {
      listeners: { l: TCP_LISTENER },
      streams: { s: streamTo('one', { backends }) },
      clusters: { one: streamCluster([one.port]), two: streamCluster([two.port]) },
    },
    TCP,
  );
  const got: Record<string, number> = {};
  for (let i = 0; i < 16; i++) {
    const client = connect(harness.port);
    const text = await readAll(client);
    client.end();
    got[text] = (got[text] ?? 0) + 1;
  }
  assert.deepEqual(got, { '1': 8, '2': 4, ECONNRESET: 4 });
});

test('of two routes on one listener the older counts, and the newer takes over when it goes; streams go on', async () => {
  await using older = await listen((socket) => socket.on('data', () => socket.write('older')));
  await using newer = await listen((socket) => socket.end('newer'));
  await using harness = new Harness();
  await harness.start(
    {
      listeners: { l: TCP_LISTENER },
      streams: { new: streamTo('new', { createdMs: 2 }), old: streamTo('old', { createdMs: 1 }) },
      clusters: { new: streamCluster([newer.port]), old: streamCluster([older.port]) },
    },
    TCP,
  );
  const client = connect(harness.port);
  const said = async (): Promise<string> => {
    client.write('?');
    return String((await once(client, 'data'))[0]);
  };
  assert.equal(await said(), 'older');
  await harness.change({}, { streams: ['old'], clusters: ['old'] });
  assert.equal(await said(), 'older', 'a stream that runs is not touched');
  const next = connect(harness.port);
  assert.equal(await readAll(next), 'newer');
  next.end();
  client.destroy();
});

test('limits: connections of the port, of an endpoint, and silence', async () => {
  await using upstream = await listen((socket) => socket.on('data', (bytes) => socket.write(bytes)));
  await using harness = new Harness();
  const tunnel = { idleMs: 100, maxMs: 0 };
  const settings = { ...streamCluster([]).settings, connectionsMax: 1, connectRetries: 0 };
  await harness.start(
    {
      listeners: { l: { ...TCP_LISTENER, settings: { ...LISTENER.settings, tunnel } } },
      streams: { s: streamTo('c') },
      clusters: { c: streamCluster([upstream.port], { settings }) },
    },
    TCP,
  );
  const first = connect(harness.port);
  first.write('x');
  await once(first, 'data');
  assert.equal(await readAll(connect(harness.port)), 'ECONNRESET');
  assert.equal((await lastLine(harness))['fault'], 'upstream.overloaded');
  assert.equal(await readAll(first), 'ECONNRESET');
  assert.equal((await lastLine(harness))['fault'], 'tunnel.idle');
});

test('limits: those of the route before those of the listener, and of a half that is left over', async () => {
  await using upstream = await listen((socket) => socket.on('data', (bytes) => socket.write(bytes)));
  await using harness = new Harness();
  await harness.start(
    {
      listeners: { l: TCP_LISTENER },
      streams: { s: streamTo('c', { tunnel: { maxMs: 150 } }) },
      clusters: { c: streamCluster([upstream.port]) },
    },
    TCP,
  );
  const old = connect(harness.port);
  old.write('x');
  await once(old, 'data');
  assert.equal(await readAll(old), 'ECONNRESET');
  assert.equal((await lastLine(harness))['fault'], 'tunnel.max');

  await harness.change({ streams: { s: streamTo('c', { tunnel: { halfClosedMs: 100 } }) } }, {});
  const half = connect(harness.port);
  half.end('x');
  assert.equal(await readAll(half), 'ECONNRESET', 'the upstream never ends its side');
  assert.equal((await lastLine(harness))['fault'], 'tunnel.idle');
});

test('a drain lets a stream finish, and cuts what is left at the deadline', async () => {
  await using upstream = await listen((socket) => socket.pipe(socket));
  for (const how of ['finish', 'cut'] as const) {
    await using harness = new Harness();
    await start(harness, [upstream.port]);
    const client = connect(harness.port);
    client.write('a');
    await once(client, 'data');
    const drained = harness.node.drain(how === 'finish' ? 60_000 : 200);
    client.write('b');
    assert.equal(String((await once(client, 'data'))[0]), 'b');
    if (how === 'cut') assert.equal(await readAll(client), 'ECONNRESET');
    else client.destroy();
    await drained;
  }
});

test('an upstream is told of the client by the PROXY protocol where its policy says so', async () => {
  for (const proxyProtocol of ['v1', 'v2', 'v2-crc32c'] as const) {
    await using upstream = await listen((socket) => socket.once('data', (bytes) => socket.end(bytes)));
    await using harness = new Harness();
    await start(harness, [upstream.port], { proxyProtocol });
    const client = connect(harness.port);
    await once(client, 'connect');
    const { localPort } = client;
    const got = await readAll(client);
    const read = readProxyHeader(Buffer.from(got, 'latin1'));
    client.end();
    assert.ok(read.kind === 'header', got);
    const { source, destination, uniqueId } = read.header;
    assert.deepEqual(
      [source, destination],
      [
        { ip: '127.0.0.1', port: localPort },
        { ip: '127.0.0.1', port: harness.port },
      ],
    );
    assert.equal(uniqueId?.length, proxyProtocol === 'v1' ? undefined : 16);
  }
});
