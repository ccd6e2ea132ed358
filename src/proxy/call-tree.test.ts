import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { Headers } from '../http/headers.ts';
import type { PlanListener, PlanRule } from '../ir/plan.ts';
import type { MetricName } from '../observe/metric-list.ts';
import { CallTree, Traces, type TreePlace } from './call-tree.ts';
import { clusterTo, Harness, LISTENER, PORT, request, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';
import { Pair } from './testing/mesh.ts';

const deadline = 'x-fourways-deadline-ms';
const attempt = 'x-fourways-attempt';

const ROWS: [rule: string, place: TreePlace, came: Record<string, string>, ownMs: number | undefined, want: string][] =
  [
    ['nothing is said where nothing is known', 'join', {}, undefined, ''],
    ['own bound', 'begin', {}, 500, `${deadline}: 400\r\n`],
    [
      'who comes from outside is not believed',
      'begin',
      { [deadline]: '9', [attempt]: '2' },
      500,
      `${deadline}: 400\r\n`,
    ],
    ['not even without a bound', 'begin', { [deadline]: '9', [attempt]: '2' }, undefined, ''],
    ['what was used is taken off', 'join', { [deadline]: '300' }, undefined, `${deadline}: 200\r\n`],
    ['the least counts', 'join', { [deadline]: '300' }, 250, `${deadline}: 150\r\n`],
    ['and may be the one that came', 'join', { [deadline]: '300' }, 900, `${deadline}: 200\r\n`],
    ['never below nothing', 'join', { [deadline]: '50' }, undefined, `${deadline}: 0\r\n`],
    ['a second attempt stays one', 'join', { [attempt]: '2' }, undefined, `${attempt}: 2\r\n`],
    ['an attempt that is no second one', 'join', { [attempt]: '1' }, undefined, ''],
    ['a deadline that is none', 'join', { [deadline]: '1e3' }, undefined, ''],
    ['a negative one', 'join', { [deadline]: '-5' }, undefined, ''],
    ['one that is too long', 'join', { [deadline]: '9999999999' }, undefined, ''],
  ];

test('each hop takes its time off, and the edge believes nobody', () => {
  for (const [rule, place, came, ownMs, want] of ROWS) {
    const headers = Headers.of(Object.entries(came));
    const tree = new CallTree(
      { traces: new Traces(), wheel: { nowMs: 1_100 } },
      { place, headers, traceId: 't', nowMs: 1_000 },
    );
    tree.boundBy(ownMs);
    assert.equal(tree.lines({ timeouts: {} }, 0), want, rule);
    assert.equal(headers.toLines(), '', rule);
  }
});

test('calls of one trace get the time of the request that causes them, as long as it runs', () => {
  const lent = { traces: new Traces(), wheel: { nowMs: 0 } };
  const enter = (nowMs: number, ownMs: number, came: Record<string, string> = {}): CallTree => {
    const tree = new CallTree(lent, {
      place: 'enter',
      headers: Headers.of(Object.entries(came)),
      traceId: 't',
      nowMs,
    });
    tree.boundBy(ownMs);
    return tree;
  };
  const left = (traceId = 't'): number | undefined =>
    new CallTree(lent, { place: 'join', headers: new Headers(), traceId, nowMs: 1_200 }).boundBy(undefined);
  const first = enter(1_000, 500);
  assert.deepEqual([left(), left('other')], [300, undefined]);
  const second = enter(1_100, 1_000);
  assert.equal(left(), 900);
  second.end();
  second.end();
  assert.equal(left(), 900);
  first.end();
  assert.equal(left(), undefined);
});

interface Told {
  readonly [deadline]: number;
  readonly [attempt]: string | undefined;
}

/** An upstream that answers with these statuses, one after the other, and remembers what it was told. */
async function start(
  harness: Harness,
  statuses: number[],
  { listener, rule = {} }: { readonly listener: Partial<PlanListener>; readonly rule?: Partial<PlanRule> },
): Promise<AsyncDisposable & { readonly told: Told[] }> {
  const told: Told[] = [];
  const upstream = await Upstream.start(({ headers }, answer) => {
    told.push({ [deadline]: Number(headers[deadline]), [attempt]: headers[attempt] as string | undefined });
    answer.statusCode = statuses.shift() ?? 200;
    if (answer.statusCode === 202) answer.socket!.setTimeout(5_000);
    else answer.end();
  });
  await harness.start({
    listeners: { l: { ...LISTENER, ...listener } },
    routes: { r: routeOf(ruleTo(rule)) },
    clusters: { c: clusterTo([upstream.port]) },
  });
  return { told, [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose]() };
}

const RETRY = { retry: { attempts: 2, backoffMs: 1, codes: [503] } };

test('a retry is marked, and what is marked is not tried again', async () => {
  const rows: [
    rule: string,
    place: 'begin' | 'join' | undefined,
    came: Record<string, string>,
    want: readonly (string | undefined)[],
  ][] = [
    ['tried again', 'join', {}, [undefined, '2', '2']],
    ['a second attempt already', 'join', { [attempt]: '2' }, ['2']],
    ['from outside', 'begin', { [attempt]: '2' }, [undefined, '2', '2']],
    ['where there is no tree the field is of somebody else', undefined, { [attempt]: '7' }, ['7', '7', '7']],
  ];
  for (const [rule, callTree, headers, want] of rows) {
    await using harness = new Harness();
    await using upstream = await start(harness, [503, 503, 503], {
      listener: callTree === undefined ? {} : { callTree },
      rule: RETRY,
    });
    assert.equal((await request(harness.port, { headers })).status, 503, rule);
    assert.deepEqual(
      upstream.told.map((one) => one[attempt]),
      want,
      rule,
    );
    const counted = ['retries', 'retries_withheld'].map((what) =>
      harness.metrics.value(`fourways_upstream_${what}_total` as MetricName, ['c']),
    );
    assert.deepEqual(counted, want.length === 1 ? [0, 1] : [2, 0], rule);
  }
});

test('the deadline that came ends the request, and one that is over begins none', async () => {
  await using harness = new Harness();
  await using upstream = await start(harness, [200, 202], {
    listener: { callTree: 'join' },
    rule: { timeouts: { requestMs: 2_000 } },
  });
  assert.equal((await request(harness.port, { headers: { [deadline]: '1500' } })).status, 200);
  assert.ok(upstream.told[0]![deadline] > 0 && upstream.told[0]![deadline] <= 1_500);
  assert.equal((await request(harness.port, { headers: { [deadline]: '60' } })).status, 504);
  assert.equal((await request(harness.port, { headers: { [deadline]: '0' } })).status, 504);
  assert.equal(upstream.told.length, 2);
  assert.deepEqual(
    harness.lines().map(({ fault }) => fault),
    [undefined, 'exchange.timeout', 'exchange.timeout'],
  );
});

test('through two sidecars and an application that passes on its trace only', async () => {
  const told: Told[] = [];
  await using leaf = await Upstream.start(({ headers }, answer) => {
    told.push({ [deadline]: Number(headers[deadline]), [attempt]: headers[attempt] as string | undefined });
    answer.statusCode = 503;
    answer.end();
  });
  let outPort = 0;
  await using app = await Upstream.start((asked, answer) => {
    const headers = { traceparent: asked.headers['traceparent'] as string };
    http.get({ host: '127.0.0.1', port: outPort, path: 'http://leaf.shop/', headers, agent: false }, (got) => {
      answer.statusCode = got.resume().statusCode!;
      got.on('end', () => answer.end());
    });
  });
  await using pair = await Pair.start({ http: app.port, tcp: 1 });
  const bound = await pair.b.change({
    ports: { out: { ...PORT, protocol: 'proxy' } },
    listeners: { leaf: { ...LISTENER, port: 'out', hostname: 'leaf.shop:80', chosenBy: 'authority' } },
    routes: {
      leaf: {
        ...routeOf(
          ruleTo({
            ...RETRY,
            name: 'HTTPRoute/d/leaf/0',
            backends: [{ target: { kind: 'cluster', cluster: 'leaf' }, weight: 1, filters: [] }],
          }),
        ),
        attach: [{ listener: 'leaf', hosts: ['*'] }],
      },
    },
    clusters: { leaf: clusterTo([leaf.port]) },
  });
  const state = bound.kind === 'ack' ? bound.ports['out'] : undefined;
  outPort = state?.state === 'bound' ? state.port : 0;
  const rule = ruleTo({ ...RETRY, timeouts: { requestMs: 4_000 } });
  await pair.a.change({ routes: { r: { ...routeOf(rule), attach: [{ listener: 'h', hosts: ['*'] }] } } });
  assert.equal((await request(pair.a.port, { path: 'http://orders.shop/' })).status, 503);
  // The first call tries three times; both that A tries again are not tried again below.
  assert.deepEqual(
    told.map((one) => one[attempt]),
    [undefined, '2', '2', '2', '2'],
  );
  for (const one of told) assert.ok(one[deadline] > 0 && one[deadline] <= 4_000, String(one[deadline]));
});
