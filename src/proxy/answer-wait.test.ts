/** Filters that wait before an answer may go on, on real sockets. */
import assert from 'node:assert/strict';
import type http from 'node:http';
import { test } from 'node:test';
import { Fault } from '../base/fault.ts';
import { declareFilter } from '../filter/declaration.ts';
import { type Exchange, type Filter, WHOLE_BODY } from '../filter/filter.ts';
import type { ResponseHead } from '../http/message.ts';
import { Type } from '../schema/schema.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';

const later = <T>(value: T, delayMs = 5): Promise<T> =>
  new Promise((resolve) => setTimeout(() => resolve(value), delayMs));

async function start(
  filter: Filter,
  listener: http.RequestListener,
  audit = false,
): Promise<[Harness, AsyncDisposable]> {
  const upstream = await Upstream.start(listener);
  const declaration = declareFilter({
    name: 'test',
    phase: 'transform',
    config: Type.Object({}),
    composition: 'narrows',
    decides: 'yes',
    load: async () => ({ make: () => filter }),
  });
  const proxy = new Harness([declaration]);
  const planned = { filter: 'test', config: {}, owner: 'Policy d/p', ...(audit && { audit: true as const }) };
  await proxy.start({
    routes: { r: routeOf(ruleTo({ filters: [planned] })) },
    clusters: { c: clusterTo([upstream.port]) },
  });
  return [
    proxy,
    {
      [Symbol.asyncDispose]: async () =>
        void (await Promise.all([proxy[Symbol.asyncDispose](), upstream[Symbol.asyncDispose]()])),
    },
  ];
}

const named: http.RequestListener = (asked, answer) => {
  answer.setHeader('x-path', asked.url!);
  answer.end(`body of ${asked.url}`);
};

const ROWS: [rule: string, filter: Filter, want: [status: number, header: string | undefined, body: RegExp]][] = [
  [
    'what it changes late is sent',
    {
      onResponse: async (_, head) => {
        await later(undefined);
        head.headers.set('x-late', 'yes');
        return undefined;
      },
    },
    [200, 'yes', /^body of \/a$/],
  ],
  [
    'a reply takes the place of the answer',
    {
      onResponse: () =>
        later({ kind: 'reply', status: 203, reason: 'test', headers: [['x-late', 'r']], body: 'other' }),
    },
    [203, 'r', /^other$/],
  ],
  [
    'a fault does too',
    { onResponse: () => later(new Fault('filter.failed', 'By the test')) },
    [500, undefined, /filter\.failed/],
  ],
  ['a rejection fails it', { onResponse: () => Promise.reject(new Error('x')) }, [500, undefined, /filter\.failed/]],
  [
    'it may wish for the body then',
    {
      onResponse: () => later(WHOLE_BODY),
      onResponseBody: (_, head, body) => {
        head.headers.set('x-late', String(body.length));
        return Buffer.from(body.toString().toUpperCase());
      },
    },
    [200, '10', /^BODY OF \/A$/],
  ],
];

for (const [rule, filter, [status, header, body]] of ROWS) {
  test(`answer that waits: ${rule}`, async () => {
    const [proxy, ended] = await start(filter, named);
    await using _ = ended;
    // Twice: the connection to the upstream is used again.
    for (let i = 0; i < 2; i++) {
      const got = await request(proxy.port, { path: '/a' });
      assert.equal(got.status, status);
      assert.equal(got.headers['x-late'], header);
      assert.match(got.body, body);
    }
  });
}

test('answer that waits: in mode audit it goes on as it is', async () => {
  const [proxy, ended] = await start(
    { onResponse: () => later(new Fault('filter.failed', 'By the test')) },
    named,
    true,
  );
  await using _ = ended;
  assert.equal((await request(proxy.port, { path: '/a' })).status, 200);
  assert.equal((proxy.lines()[0]!['filters'] as Record<string, string>)['audit.test'], 'filter.failed');
});

test('answer that waits: another answer on the same connection to the upstream is not mixed with it', async () => {
  const waits: (() => void)[] = [];
  const seen: [Exchange, ResponseHead][] = [];
  const [proxy, ended] = await start(
    {
      onResponse(x, head) {
        seen.push([x, head]);
        return x.request.path === '/slow' ? new Promise((go) => waits.push(() => go(undefined))) : undefined;
      },
    },
    named,
  );
  await using _ = ended;
  const slow = request(proxy.port, { path: '/slow' });
  while (seen.length === 0) await later(undefined);
  // The answer of the upstream was read whole meanwhile, and its connection is idle.
  const fast = await request(proxy.port, { path: '/fast' });
  waits[0]!();
  const got = await slow;
  assert.deepEqual([fast.headers['x-path'], fast.body], ['/fast', 'body of /fast']);
  assert.deepEqual([got.headers['x-path'], got.body], ['/slow', 'body of /slow']);
});

test('answer that waits: a long body waits at the upstream', async () => {
  const bytes = 8 * 1024 * 1024;
  let sent = 0;
  let go: (() => void) | undefined;
  const [proxy, ended] = await start(
    { onResponse: () => new Promise((resolve) => (go = () => resolve(undefined))) },
    (_, answer) => {
      const piece = Buffer.alloc(64 * 1024, 'a');
      const more = (): void => {
        while (sent < bytes) {
          sent += piece.length;
          if (!answer.write(piece)) return void answer.once('drain', more);
        }
        answer.end();
      };
      more();
    },
  );
  await using _ = ended;
  const got = request(proxy.port, { path: '/a' });
  while (go === undefined) await later(undefined);
  await later(undefined, 50);
  // What sockets hold, and no more.
  assert.ok(sent < bytes, `${sent} bytes were taken`);
  go();
  assert.equal((await got).body.length, bytes);
});
