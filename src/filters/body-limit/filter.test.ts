import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import type { BodyStage, BodyOut } from '../../filter/filter.ts';
import { makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { bodyLimit } from './config.ts';
import { code } from './filter.ts';

const MATCH = { matchedPath: '/' };

const REQUESTS: [rule: string, bodyLength: number, want: string][] = [
  ['no body', 0, 'passes'],
  ['the longest', 10, 'passes'],
  ['one byte more', 11, 'body-limit.request'],
  ['far more', Number.MAX_SAFE_INTEGER, 'body-limit.request'],
  ['an unknown length is counted', -1, 'counted'],
];

for (const [rule, bodyLength, want] of REQUESTS) {
  test(`bodyLimit: request, ${rule}`, () => {
    const said = code.make({ bytesMax: 10 }, makeEnv()).onRequest!(makeExchange({ bodyLength }), MATCH);
    assert.equal(said === undefined ? 'passes' : said instanceof Fault ? said.code : 'counted', want);
  });
}

const ANSWERS: [rule: string, method: string, bodyLength: number, want: string][] = [
  ['the longest', 'GET', 10, 'passes'],
  ['one byte more', 'GET', 11, 'body-limit.answer'],
  ['HEAD has no body, whatever it announces', 'HEAD', 11, 'passes'],
  ['an unknown length is counted', 'GET', -1, 'counted'],
];

for (const [rule, method, bodyLength, want] of ANSWERS) {
  test(`bodyLimit: answer, ${rule}`, () => {
    const filter = code.make({ answerBytesMax: 10 }, makeEnv());
    const said = filter.onResponse!(makeExchange({ method }), { ...makeResponse(), bodyLength });
    assert.equal(said === undefined ? 'passes' : said instanceof Fault ? said.code : 'counted', want);
  });
}

const PIECES: [rule: string, pieces: number[], wantBytes: number, want: string][] = [
  ['exactly the longest', [4, 6], 10, 'end'],
  ['one byte more in the last piece', [4, 7], 4, 'body-limit.request'],
  ['all in one piece', [11], 0, 'body-limit.request'],
  ['told once', [11, 11, 11], 0, 'body-limit.request'],
];

for (const [rule, pieces, wantBytes, want] of PIECES) {
  test(`bodyLimit: counted, ${rule}`, () => {
    const env = makeEnv();
    const stage = code.make({ bytesMax: 10 }, env).onRequest!(makeExchange({ bodyLength: -1 }), MATCH) as BodyStage;
    const told: string[] = [];
    let bytes = 0;
    const out: BodyOut = {
      bytes: (piece) => (bytes += piece.length) >= 0,
      end: () => void told.push('end'),
      fail: (fault) => void told.push(fault.code),
      resume: () => undefined,
    };
    stage.start(out);
    for (const length of pieces) stage.write(Buffer.alloc(length));
    stage.end();
    assert.deepEqual(told, [want]);
    assert.equal(bytes, wantBytes);
    assert.equal(env.counts.get('broken_off') ?? 0, want === 'end' ? 0 : 1);
  });
}

test('bodyLimit: limiting nothing is a mistake', () => {
  assert.equal(bodyLimit.check({}).length, 1);
  assert.equal(bodyLimit.check({ bytesMax: 0 }).length, 0);
});

async function start(config: object, upstream: Upstream): Promise<Harness> {
  const harness = new Harness([bodyLimit]);
  const filters = [{ filter: 'bodyLimit', owner: 'Policy d/p', config }];
  await harness.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  return harness;
}

test('bodyLimit: a client that announces too much is refused before it sends anything', async () => {
  let asked = 0;
  await using upstream = await Upstream.start((_, answer) => {
    asked++;
    answer.end();
  });
  await using harness = await start({ bytesMax: 1_000 }, upstream);
  const sent = http.request({
    host: '127.0.0.1',
    port: harness.port,
    method: 'POST',
    agent: false,
    headers: { 'content-length': '1001', expect: '100-continue' },
  });
  let continued = false;
  sent.on('continue', () => (continued = true));
  sent.flushHeaders();
  const [answer] = (await once(sent, 'response')) as [http.IncomingMessage];
  assert.equal(answer.statusCode, 413);
  assert.equal(continued, false);
  assert.equal(asked, 0);
  sent.destroy();
});

test('bodyLimit: chunked bodies end where they become too long, and never reach the service as whole', async () => {
  let whole = 0;
  await using upstream = await Upstream.start((incoming, answer) => {
    incoming.resume();
    incoming.on('error', () => undefined);
    incoming.on('end', () => {
      whole++;
      answer.end('done');
    });
  });
  await using harness = await start({ bytesMax: 200_000 }, upstream);
  const chunked = { 'transfer-encoding': 'chunked' };
  const post = (bytes: number): ReturnType<typeof request> =>
    request(harness.port, { method: 'POST', headers: chunked, body: Buffer.alloc(bytes) });
  assert.equal((await post(200_000)).status, 200);
  const refused = await post(200_001);
  assert.equal(refused.status, 413);
  assert.equal((JSON.parse(refused.body) as { code: string }).code, 'body-limit.request');
  assert.equal(whole, 1);
});

test('bodyLimit: answers that are too long are replaced, or broken off once they have begun', async () => {
  await using upstream = await Upstream.start((incoming, answer) => {
    const bytes = Number(incoming.url!.slice(2));
    if (incoming.url!.startsWith('/l')) answer.setHeader('content-length', bytes);
    else answer.write(' ');
    answer.end(Buffer.alloc(incoming.url!.startsWith('/l') ? bytes : bytes - 1));
  });
  await using harness = await start({ answerBytesMax: 100_000 }, upstream);
  assert.equal((await request(harness.port, { path: '/l100000' })).body.length, 100_000);
  assert.equal((await request(harness.port, { path: '/l100001' })).status, 502);
  assert.equal((await request(harness.port, { path: '/c100000' })).body.length, 100_000);
  await assert.rejects(request(harness.port, { path: '/c900000' }));
});
