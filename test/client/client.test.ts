import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Load } from './load.ts';
import { answering, echo, ok, startOrigin } from './origin.ts';
import { exchangeOnce, get, post, RawClient } from './raw-client.ts';
import { cutsFrom, WireError } from './wire.ts';

test('raw client: keep-alive, a body, and any way to cut the bytes', async () => {
  await using origin = await startOrigin(answering(echo));
  await using client = await RawClient.open(origin);
  const request = post('/a', 'h', 'hello');
  for (const cut of ['whole', 'every-byte', cutsFrom(7, request.length, 5)] as const) {
    const answer = await client.exchange(request, cut);
    assert.equal(JSON.parse(answer.body.toString()).body, 'hello');
  }
  assert.equal(origin.accepted, 1);
});

test('raw client: chunked answers, trailers, interim answers', async () => {
  await using origin = await startOrigin(
    answering(
      () =>
        'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nSum: 1\r\n\r\n',
    ),
  );
  const answer = await exchangeOnce(origin, get('/', 'h'));
  assert.equal(answer.body.toString(), 'abc');
  assert.deepEqual(answer.trailers, [['Sum', '1']]);
  assert.equal(answer.interim[0]!.status, 103);
});

const BAD: [rule: string, wire: string][] = [
  ['a cut body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc'],
  ['a cut chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc'],
  ['a missing last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ['both lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n'],
  ['a bare LF', 'HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n'],
  ['a 204 with a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
  ['no answer', ''],
];

for (const [rule, wire] of BAD) {
  test(`raw client: ${rule} is an error`, async () => {
    await using origin = await startOrigin(async (connection) => {
      await connection.request();
      connection.send(wire);
      connection.end();
    });
    await assert.rejects(exchangeOnce(origin, get('/', 'h')), WireError);
  });
}

test('raw client: a reset is seen as a reset', async () => {
  await using origin = await startOrigin(async (connection) => {
    await connection.request();
    connection.reset();
  });
  await using client = await RawClient.open(origin);
  client.send(get('/', 'h'));
  assert.equal(await client.peerLeft, 'reset');
});

test('raw client: silence is an error after the patience of the client', async () => {
  await using origin = await startOrigin(async (connection) => {
    await connection.request();
    connection.send(ok('x').subarray(0, 10));
  });
  await using client = await RawClient.open({ host: origin.host, port: origin.port, patienceMs: 50 });
  await assert.rejects(client.exchange(get('/', 'h')), /nothing for 50 ms/);
});

// A proof of "no failure" is worth what its notice of failures is.
const FAILING: [rule: string, wire: string, want: RegExp][] = [
  ['a cut answer', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab', /after 2 of 5 bytes/],
  ['no answer', '', /No answer/],
  ['an answer that the judge refuses', 'HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n', /Status 503/],
];

for (const [rule, wire, want] of FAILING) {
  test(`load: notices ${rule}, once in a hundred`, async () => {
    await using origin = await startOrigin(async (connection) => {
      for (let nth = 0; (await connection.request()) !== undefined; nth++) {
        connection.send(nth === 99 ? wire : ok('.'));
        if (nth === 99) connection.end();
      }
    });
    const load = new Load({
      target: origin,
      host: 'h',
      path: '/',
      connections: 2,
      gapMs: 0,
      renewEvery: 0,
    });
    await load.more(1_000);
    await load.stop();
    assert.match(load.failures[0] ?? '', want);
  });
}
