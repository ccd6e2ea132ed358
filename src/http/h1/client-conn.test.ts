import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { TimerWheel } from '../../base/timers.ts';
import { Headers } from '../headers.ts';
import type { ClientStreamEvents, UpstreamRequest } from '../stream.ts';
import { H1ClientConn } from './client-conn.ts';

interface Heard {
  readonly events: readonly string[];
  /** What became of the connection after the answer. */
  readonly after: 'idle' | 'closed';
  readonly sent: string;
}

/** A real server answers with exact bytes, in pieces; the client side reports what it made of them. */
async function ask(
  pieces: readonly string[],
  options: { method?: string; upgrade?: string; end?: 'fin' | 'reset' } = {},
): Promise<Heard> {
  let sent = '';
  const say = async (socket: net.Socket): Promise<void> => {
    for (const piece of pieces) {
      await new Promise((resolve) => socket.write(piece, 'latin1', resolve));
      if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
    }
    if (options.end === 'fin') socket.end();
    if (options.end === 'reset') socket.resetAndDestroy();
  };
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => (sent += bytes.toString('latin1')));
    socket.once('data', () => void say(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const wheel = new TimerWheel(systemClock);
  const events: string[] = [];
  let after: Heard['after'] = 'closed';
  await new Promise<void>((resolve) => {
    const conn = new H1ClientConn({
      socket,
      wheel,
      headerBytesMax: 16_384,
      idleMs: 1_000,
      keepAliveMs: 10_000,
      onIdle: () => (after = 'idle'),
      onClosed: () => (after = 'closed'),
    });
    let body = '';
    const heard: ClientStreamEvents = {
      onInformational: ({ status }) => events.push(`interim ${status}`),
      onAnswerHead: ({ status, bodyLength }) => events.push(`head ${status} ${bodyLength}`),
      onAnswerBody: (bytes) => (body += bytes.toString('latin1')),
      onAnswerEnd: (trailers) => {
        events.push(`end ${body}${trailers === undefined ? '' : ` +${trailers.toLines()}`}`);
        setTimeout(resolve, 20);
      },
      onSwitched: ({ headers }, tunnel) => {
        let early = '';
        tunnel.open({
          onBytes: (bytes) => (early += bytes.toString()),
          onEnd: () => undefined,
          onFinished: () => undefined,
          onGone: () => undefined,
          onWritable: () => undefined,
        });
        events.push(`switched ${headers.get('upgrade')} ${early}`);
        tunnel.reset();
        resolve();
      },
      onAttemptFault: (fault, bytes) => {
        events.push(`fault ${fault.code} ${bytes === 0 ? 'before' : 'after'} a byte`);
        resolve();
      },
      onUpstreamWritable: () => undefined,
      onAnswerIdle: () => undefined,
    };
    conn.begin(heard);
    conn.sendHead(requestOf(options));
    conn.sendEnd(undefined);
  });
  socket.destroy();
  server.close();
  wheel.close();
  return { events, after, sent };
}

function requestOf({ method = 'GET', upgrade }: { method?: string; upgrade?: string }): UpstreamRequest {
  return {
    method,
    target: '/a?b',
    authority: 'up.test',
    headers: Headers.of([['x-a', '1']]),
    extraLines: 'via: 1.1 test\r\n',
    bodyLength: 0,
    upgrade,
    expectContinue: false,
    teTrailers: false,
  };
}

const OK = 'HTTP/1.1 200 OK\r\n';

const ROWS: [rule: string, wire: string, events: string[], after: Heard['after']][] = [
  ['an answer by length', `${OK}Content-Length: 5\r\n\r\nhello`, ['head 200 5', 'end hello'], 'idle'],
  [
    'an answer by chunks with trailers',
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n`,
    ['head 200 -1', 'end hello +X-T: 1\r\n'],
    'idle',
  ],
  ['an empty answer', `${OK}Content-Length: 0\r\n\r\n`, ['head 200 0', 'end '], 'idle'],
  ['no body after 204, whatever it says', 'HTTP/1.1 204 No Content\r\n\r\n', ['head 204 -1', 'end '], 'idle'],
  [
    'no body after 304, whatever length it says',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    ['head 304 9', 'end '],
    'idle',
  ],
  ['close means close', `${OK}Connection: close\r\nContent-Length: 1\r\n\r\na`, ['head 200 1', 'end a'], 'closed'],
  ['HTTP/1.0 means close', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', ['head 200 1', 'end a'], 'closed'],
  [
    'interim answers come first',
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
    ['interim 103', 'head 200 0', 'end '],
    'idle',
  ],
  [
    'bytes behind an answer cost the connection',
    `${OK}Content-Length: 1\r\n\r\nabc`,
    ['head 200 1', 'end a'],
    'closed',
  ],
  [
    'a second answer costs the connection',
    `${OK}Content-Length: 0\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
    ['head 200 0', 'end '],
    'closed',
  ],
  [
    '101 that was not asked for is broken',
    'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    ['fault upstream.malformed after a byte'],
    'closed',
  ],
  ['a status line that is none is broken', 'HELLO\r\n\r\n', ['fault upstream.malformed after a byte'], 'closed'],
  [
    'a bare LF is broken',
    'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    ['fault upstream.malformed after a byte'],
    'closed',
  ],
  [
    'a bad chunk is broken, after its head',
    `${OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`,
    ['head 200 -1', 'fault upstream.malformed after a byte'],
    'closed',
  ],
  [
    'endless interim answers are broken',
    'HTTP/1.1 102 Processing\r\n\r\n'.repeat(40),
    [...Array.from({ length: 32 }, () => 'interim 102'), 'fault upstream.malformed after a byte'],
    'closed',
  ],
  [
    'a large head is broken',
    `${OK}A: ${'a'.repeat(20_000)}\r\n\r\n`,
    ['fault upstream.headers-too-large after a byte'],
    'closed',
  ],
];

for (const [rule, wire, events, after] of ROWS) {
  test(`client-conn: ${rule}`, async () => {
    const heard = await ask([wire]);
    assert.deepEqual(heard.events, events);
    assert.equal(heard.after, after);
  });
  if (wire.length < 200) {
    test(`client-conn: ${rule}, byte by byte`, async () => {
      assert.deepEqual((await ask(wire.split(''))).events, events);
    });
  }
}

test('client-conn: an answer without a length ends with the connection', async () => {
  assert.deepEqual((await ask([`${OK}\r\n`, 'hello'], { end: 'fin' })).events, ['head 200 -1', 'end hello']);
});

test('client-conn: a connection that is lost early is a fault, and says whether a byte had come', async () => {
  assert.deepEqual((await ask([], { end: 'fin' })).events, ['fault upstream.closed before a byte']);
  assert.deepEqual((await ask([], { end: 'reset' })).events, ['fault upstream.closed before a byte']);
  const cut = await ask([`${OK}Content-Length: 5\r\n\r\nhe`], { end: 'fin' });
  assert.deepEqual(cut.events, ['head 200 5', 'fault upstream.closed after a byte']);
});

test('client-conn: silence is a fault', async () => {
  assert.deepEqual((await ask([])).events, ['fault upstream.timeout before a byte']);
});

test('client-conn: HEAD has a length and no body', async () => {
  const heard = await ask([`${OK}Content-Length: 5\r\n\r\n`], { method: 'HEAD' });
  assert.deepEqual(heard.events, ['head 200 5', 'end ']);
  assert.equal(heard.after, 'idle');
});

test('client-conn: 101 gives the connection away, with what came behind it', async () => {
  const heard = await ask(['HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: Echo\r\n\r\nhi'], { upgrade: 'echo' });
  assert.deepEqual(heard.events, ['switched echo hi']);
  assert.match(heard.sent, /connection: upgrade\r\nupgrade: echo\r\n/);
});

test('client-conn: a request is written in one form', async () => {
  const { sent } = await ask([`${OK}Content-Length: 0\r\n\r\n`], { method: 'POST' });
  assert.equal(sent, 'POST /a?b HTTP/1.1\r\nhost: up.test\r\nx-a: 1\r\nvia: 1.1 test\r\ncontent-length: 0\r\n\r\n');
});

test('client-conn: who waited at the last piece of an answer does not hold up the next one', async () => {
  const server = net.createServer((socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const wheel = new TimerWheel(systemClock);
  const conn = new H1ClientConn({
    socket,
    wheel,
    headerBytesMax: 16_384,
    idleMs: 1_000,
    keepAliveMs: 10_000,
    onIdle: () => undefined,
    onClosed: () => undefined,
  });
  for (let nth = 1; nth <= 3; nth++) {
    const said = await new Promise<string>((resolve) => {
      conn.begin({
        onInformational: () => undefined,
        onAnswerHead: () => undefined,
        onAnswerBody: () => conn.pauseAnswer(),
        onAnswerEnd: () => resolve('answered'),
        onSwitched: () => undefined,
        onAttemptFault: (fault) => resolve(fault.code),
        onUpstreamWritable: () => undefined,
        onAnswerIdle: () => undefined,
      });
      conn.sendHead(requestOf({}));
      conn.sendEnd(undefined);
    });
    assert.equal(said, 'answered', `request ${nth}`);
  }
  socket.destroy();
  server.close();
  wheel.close();
});
