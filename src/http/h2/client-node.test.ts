/** Our client side with servers that are not ours: random messages come back equal from Node's, and nghttpd is spoken to. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Random, seededRandom } from '../../base/random.ts';
import { Headers } from '../headers.ts';
import { below } from './hpack/testing/lists.ts';
import { TestClient } from './testing/ask.ts';

/** Answers with what came: fields, body and trailers. */
const echo = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void => {
  const pieces: Buffer[] = [];
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on('data', (bytes: Buffer) => pieces.push(bytes));
  stream.on('trailers', (came) => (trailers = came));
  stream.on('end', () => {
    const own = Object.entries(headers).filter(([name]) => name.startsWith('x-'));
    stream.respond({ ':status': 200, ...Object.fromEntries(own) }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.end(Buffer.concat(pieces));
  });
};

interface Message {
  readonly fields: readonly (readonly [string, string])[];
  readonly pieces: readonly Buffer[];
  readonly trailers: readonly (readonly [string, string])[];
}

const CHARS = ' !"#$%&()*+,-./0123456789:;<=>?@ABCXYZ[]^_`abcxyz{|}~';

function randomFields(random: Random, most: number): [string, string][] {
  return Array.from({ length: below(random, most) }, (_, i) => {
    const value = Array.from({ length: below(random, 60) }, () => CHARS[below(random, CHARS.length)]!).join('');
    return [`x-${i}-${below(random, 5)}`, value.trim()];
  });
}

function randomMessage(random: Random): Message {
  const sizes = [0, 1, 100, 16_384, 16_385, 70_000];
  const pieces = Array.from({ length: below(random, 4) }, () =>
    Buffer.alloc(sizes[below(random, sizes.length)]!, below(random, 256)),
  );
  return { fields: randomFields(random, 12), pieces, trailers: pieces.length > 0 ? randomFields(random, 3) : [] };
}

test('H2ClientConn: random messages through node:http2 and back are equal', async () => {
  const server = http2.createServer();
  server.on('stream', echo);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const random = seededRandom(7, 5, 3, 1);
  {
    using client = await TestClient.to((server.address() as AddressInfo).port);
    for (let round = 0; round < 15; round++) {
      const asked = Array.from({ length: 6 }, () => {
        const message = randomMessage(random);
        const bodyLength = message.pieces.length === 0 ? 0 : -1;
        const one = client.ask({ method: 'POST', headers: Headers.of(message.fields), bodyLength }, 'open');
        for (const piece of message.pieces) one.stream.sendBody(piece);
        one.stream.sendEnd(message.trailers.length === 0 ? undefined : Headers.of(message.trailers));
        return { message, one };
      });
      for (const { message, one } of asked) {
        const [head, end] = await one.done;
        assert.ok(head !== undefined && end !== undefined);
        for (const [name, value] of message.fields) assert.ok(head.includes(`${name}: ${value}`.trimEnd()), head);
        assert.equal(
          one.bodyBytes,
          message.pieces.reduce((sum, piece) => sum + piece.length, 0),
        );
        for (const [name, value] of message.trailers) assert.ok(end.includes(`${name}: ${value}`.trimEnd()), end);
      }
    }
    assert.equal(client.conn.streams, 0);
  }
  server.close();
});

test('H2ClientConn: nghttpd is spoken to, many requests at a time', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fourways-nghttpd-'));
  writeFileSync(join(folder, 'page'), 'x'.repeat(100_000));
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  const server = spawn('nghttpd', ['--no-tls', '-a', '127.0.0.1', '-d', folder, String(port)], { stdio: 'ignore' });
  try {
    using client = await untilThere(port);
    const asked = Array.from({ length: 50 }, (_, i) => client.ask({ target: i % 2 === 0 ? '/page' : '/none' }));
    for (const [i, one] of asked.entries()) {
      const [head] = await one.done;
      assert.match(head!, i % 2 === 0 ? /^head 200 100000 / : /^head 404 /);
      if (i % 2 === 0) assert.equal(one.bodyBytes, 100_000);
    }
    assert.ok(client.told.includes('allowed 100'), client.told.join());
  } finally {
    server.kill();
    await once(server, 'exit');
    rmSync(folder, { recursive: true });
  }
});

/** A connection as soon as somebody listens. */
async function untilThere(port: number): Promise<TestClient> {
  for (let tries = 0; ; tries++) {
    try {
      return await TestClient.to(port);
    } catch (error) {
      if (tries === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
