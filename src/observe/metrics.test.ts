import assert from 'node:assert/strict';
import { answerFor } from '../base/fault.ts';
import { once } from 'node:events';
import { test } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { expose } from './exposition.ts';
import { METRIC_NAMES, metricDef } from './metric-list.ts';
import { MetricsReader } from './metrics-reader.ts';
import { type SeriesEvent, WorkerMetrics } from './metrics.ts';
import { allocateSlab, linesOf } from './slab.ts';
import { TrafficMetrics } from './traffic-metrics.ts';

/** A worker and the reader, wired as main wires them. */
function joined(reader: MetricsReader, id: string, seriesMax = 10_000): TrafficMetrics {
  const slab = allocateSlab(seriesMax);
  reader.join(id, slab);
  return new TrafficMetrics(new WorkerMetrics({ slab, seriesMax, announce: (event) => reader.announced(id, event) }));
}

const DURATION = 'http_server_request_duration_seconds';
const text = (reader: MetricsReader): string => expose(reader.families(), undefined).body;

if (isMainThread) runTests();
else countInWorker();

/** This file is also the worker of one of its tests. */
function countInWorker(): void {
  const traffic = new TrafficMetrics(
    new WorkerMetrics({ slab: workerData as SharedArrayBuffer, announce: (event) => parentPort!.postMessage(event) }),
  );
  const rule = traffic.rule('HTTPRoute/shop/web/0');
  for (let i = 0; i < 10_000; i++) rule.end('GET', 200, 3);
  parentPort!.postMessage('done');
}

function runTests(): void {
  for (const name of METRIC_NAMES) {
    test(`metric ${name} keeps the naming rules`, () => {
      const { type, unit, labels, buckets, help } = metricDef(name);
      assert.match(name, /^[a-z][a-z0-9_]*$/);
      const family = name.replace(/_(?:total|info)$/, '');
      assert.equal(name.endsWith('_total'), type === 'counter');
      assert.equal(name.endsWith('_info'), type === 'info');
      if (unit !== '') assert.ok(family.endsWith(`_${unit}`), 'the name ends in its unit');
      assert.equal(buckets !== undefined, type === 'histogram');
      assert.deepEqual(
        buckets,
        buckets?.toSorted((a, b) => a - b),
      );
      for (const label of labels) assert.match(label, /^[a-z][a-z0-9_]*$/);
      assert.match(help, /^[A-Z0-9].*\.$/);
    });
  }

  test('figures of all workers are added up', () => {
    const reader = new MetricsReader();
    for (const id of ['1', '2']) {
      const traffic = joined(reader, id);
      traffic.rule('r').end('GET', 200, 3);
      traffic.rule('r').end('GET', 200, 30_000);
      traffic.rule('r').bodies(10, 20);
      traffic.port('*:80').connectionsOpen.add(1);
      traffic.fault(answerFor('route.none'));
      traffic.cluster('c').attemptEnded(204, 2);
      traffic.cluster('c').attemptEnded(0, 2);
    }
    assert.equal(reader.value(DURATION, ['GET', '200', 'r']), 4);
    assert.equal(reader.value('fourways_request_body_bytes_total', ['r']), 20);
    assert.equal(reader.value('fourways_response_body_bytes_total', ['r']), 40);
    assert.equal(reader.value('fourways_connections_open', ['*:80']), 2);
    assert.equal(reader.value('fourways_faults_total', ['route.none', 'client']), 2);
    assert.equal(reader.value('http_client_request_duration_seconds', ['c', '2xx']), 2);
    assert.equal(reader.value('http_client_request_duration_seconds', ['c', 'none']), 2);
    const labels = 'http_request_method="GET",http_response_status_code="200",http_route="r"';
    const body = text(reader);
    assert.ok(body.includes(`${DURATION}_bucket{${labels},le="0.005"} 2\n`));
    assert.ok(body.includes(`${DURATION}_bucket{${labels},le="10"} 2\n`));
    assert.ok(body.includes(`${DURATION}_bucket{${labels},le="+Inf"} 4\n`));
    assert.ok(body.includes(`${DURATION}_sum{${labels}} 60.006\n`));
    assert.ok(body.includes(`${DURATION}_count{${labels}} 4\n`));
  });

  test('a bound belongs to its bucket', () => {
    const reader = new MetricsReader();
    const rule = joined(reader, '1').rule('r');
    for (const ms of [0, 5, 5.001, 10, 10_000, 10_001]) rule.end('GET', 200, ms);
    const counts = [
      ...text(reader).matchAll(/http_server_request_duration_seconds_bucket\{.*le="([^"]+)"\} (\d+)/g),
    ].map((found) => [found[1], found[2]]);
    assert.deepEqual(counts.slice(0, 2), [
      ['0.005', '2'],
      ['0.01', '4'],
    ]);
    assert.deepEqual(counts.slice(-2), [
      ['10', '5'],
      ['+Inf', '6'],
    ]);
  });

  test('no label comes from a client: unknown methods share one, and case counts', () => {
    const reader = new MetricsReader();
    const rule = joined(reader, '1').rule('r');
    for (const method of ['GET', 'get', 'BREW', 'X'.repeat(1_000), 'PATCH']) rule.end(method, 200, 1);
    assert.equal(reader.value(DURATION, ['_OTHER', '200', 'r']), 3);
    assert.equal(reader.value(DURATION, ['PATCH', '200', 'r']), 1);
  });

  test('an upstream that makes up statuses cannot use up the budget', () => {
    const reader = new MetricsReader();
    const rule = joined(reader, '1').rule('r');
    for (let status = 100; status < 1_000; status++) rule.end('GET', status, 1);
    assert.ok(reader.lines < 1_200);
    assert.ok(text(reader).includes(`${DURATION}_count{overflow="true"} 836\n`));
  });

  test('a dead worker takes its gauges along and leaves its counters', () => {
    const reader = new MetricsReader();
    const dead = joined(reader, '1');
    dead.rule('r').end('GET', 200, 3);
    dead.port('*:80').connectionsOpen.add(7);
    dead.metrics.counter('fourways_accesslog_lines_total', []).add(5);
    const before = text(reader);
    assert.ok(before.includes('fourways_connections_open{port="*:80"} 7'));
    reader.leave('1');
    assert.ok(!text(reader).includes('fourways_connections_open{'));
    const fresh = joined(reader, '1');
    fresh.rule('r').end('GET', 200, 3);
    fresh.metrics.counter('fourways_accesslog_lines_total', []).add(1);
    assert.equal(reader.value(DURATION, ['GET', '200', 'r']), 2);
    assert.equal(reader.value('fourways_accesslog_lines_total', []), 6);
  });

  test('the budget of a worker: what has no place is counted as overflow', () => {
    const reader = new MetricsReader();
    const traffic = joined(reader, '1', 200);
    for (let i = 0; i < 100; i++) traffic.rule(`r${i}`).end('GET', 200, 1);
    assert.ok(traffic.metrics.lines <= 200);
    const counted = [...text(reader).matchAll(/^http_server_request_duration_seconds_count\{.*\} (\d+)$/gm)];
    assert.equal(
      counted.reduce((sum, found) => sum + Number(found[1]), 0),
      100,
    );
    assert.ok(text(reader).includes('overflow="true"'));
  });

  test('the budget holds over all workers together, and overflow never goes back', () => {
    const reader = new MetricsReader(300);
    const overflow = (): number => Number(/_count\{overflow="true"\} (\d+)/.exec(text(reader))?.[1] ?? 0);
    let last = 0;
    for (const id of ['1', '2', '3']) {
      const traffic = joined(reader, id);
      for (let i = 0; i < 20; i++) traffic.rule(`${id}-${i}`).end('GET', 200, 1);
      assert.ok(overflow() >= last);
      last = overflow();
    }
    assert.ok(reader.lines <= 300);
    reader.leave('2');
    assert.equal(overflow(), last);
    const sum = [...text(reader).matchAll(/_duration_seconds_count\{.*\} (\d+)$/gm)].map((found) => Number(found[1]));
    assert.equal(
      sum.reduce((a, b) => a + b, 0),
      60,
    );
  });

  test('series of a route that has gone leave, and their slots are used again', () => {
    const reader = new MetricsReader();
    const traffic = joined(reader, '1', 400);
    for (let round = 0; round < 50; round++) {
      const rule = traffic.rule(`HTTPRoute/shop/web${round}/0`);
      rule.end('GET', 200, 1);
      assert.equal(reader.value(DURATION, ['GET', '200', `HTTPRoute/shop/web${round}/0`]), 1);
      traffic.retire([`HTTPRoute/shop/web${round}`]);
      rule.end('GET', 200, 1); // was still running
      rule.end('POST', 500, 1);
    }
    assert.ok(!text(reader).includes('http_route='));
    assert.ok(text(reader).includes(`${DURATION}_count{overflow="true"} 100\n`));
  });

  test('retiring takes what lies below, and nothing whose name only begins alike', () => {
    const reader = new MetricsReader();
    const traffic = joined(reader, '1');
    for (const name of ['HTTPRoute/a/b/0', 'HTTPRoute/a/b/1', 'HTTPRoute/a/bc/0'])
      traffic.rule(name).end('GET', 200, 1);
    traffic.cluster('Service/a/s/80').retries.add(1);
    traffic.retire(['HTTPRoute/a/b', 'Service/a/s/80']);
    const routes = [...text(reader).matchAll(/_count\{.*http_route="([^"]+)"/g)].map((found) => found[1]);
    assert.deepEqual(routes, ['HTTPRoute/a/bc/0']);
    assert.ok(!text(reader).includes('Service/a/s/80'));
  });

  test('a gauge that is retired while something is counted comes back to zero', () => {
    const reader = new MetricsReader();
    const traffic = joined(reader, '1');
    const cluster = traffic.cluster('c');
    cluster.connectionsOpen.add(3);
    traffic.retire(['c']);
    assert.ok(text(reader).includes('fourways_upstream_connections_open{overflow="true"} 3\n'));
    cluster.connectionsOpen.add(-3);
    assert.ok(!text(reader).includes('fourways_upstream_connections_open{'));
  });

  test('a route that only a dead worker had served leaves too', () => {
    const reader = new MetricsReader();
    joined(reader, '1').rule('HTTPRoute/a/b/0').end('GET', 200, 1);
    reader.leave('1');
    assert.ok(text(reader).includes('http_route="HTTPRoute/a/b/0"'));
    joined(reader, '2').retire(['HTTPRoute/a/b']);
    assert.ok(!text(reader).includes('http_route='));
  });

  test('a slot that was given away is not read for its old series', () => {
    const reader = new MetricsReader();
    const late: SeriesEvent[] = [];
    const slab = allocateSlab();
    reader.join('1', slab);
    let announce = (event: SeriesEvent): void => reader.announced('1', event);
    const traffic = new TrafficMetrics(new WorkerMetrics({ slab, announce: (event) => announce(event) }));
    traffic.rule('old').end('GET', 200, 1);
    announce = (event) => late.push(event); // events are on their way, the slab is already changed
    traffic.retire(['old']);
    for (let i = 0; i < 5; i++) traffic.rule('new').end('GET', 200, 1);
    assert.equal(reader.value(DURATION, ['GET', '200', 'old']), 0);
    for (const event of late) reader.announced('1', event);
    assert.equal(reader.value(DURATION, ['GET', '200', 'new']), 5);
    assert.ok(!text(reader).includes('http_route="old"'));
  });

  test('an info metric says one thing at a time', () => {
    const reader = new MetricsReader();
    const { metrics } = joined(reader, 'main');
    for (const version of ['aaa', 'bbb', 'bbb', 'ccc']) metrics.info('fourways_config_version_info', [version]);
    assert.deepEqual(text(reader).match(/^fourways_config_version_info.*$/gm), [
      'fourways_config_version_info{version="ccc"} 1',
    ]);
  });

  test('label values are escaped', () => {
    const reader = new MetricsReader();
    joined(reader, '1').filterEvent('a"b\\c\nd', 'e').add(1);
    assert.ok(text(reader).includes('fourways_filter_events_total{filter="a\\"b\\\\c\\nd",event="e"} 1\n'));
  });

  test('every worker thread writes its own slab, and main reads it', async () => {
    const reader = new MetricsReader();
    await Promise.all(
      ['1', '2'].map(async (id) => {
        const slab = allocateSlab();
        reader.join(id, slab);
        const worker = new Worker(new URL(import.meta.url), { workerData: slab });
        worker.on('message', (event: SeriesEvent | 'done') => {
          if (event !== 'done') reader.announced(id, event);
        });
        await once(worker, 'exit');
      }),
    );
    assert.equal(reader.value(DURATION, ['GET', '200', 'HTTPRoute/shop/web/0']), 20_000);
  });

  const ACCEPTS: [rule: string, accept: string | undefined, want: RegExp][] = [
    ['nothing asked for: text', undefined, /^text\/plain; version=0\.0\.4/],
    ['anything: text', '*/*', /^text\/plain/],
    [
      'what Prometheus 2 sends: OpenMetrics',
      'application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      /^application\/openmetrics-text; version=1\.0\.0/,
    ],
    ['OpenMetrics liked less: text', 'application/openmetrics-text;q=0.3,text/plain;q=0.9', /^text\/plain/],
    ['OpenMetrics refused: text', 'application/openmetrics-text;q=0', /^text\/plain/],
    ['nonsense: text', ';;,q=,', /^text\/plain/],
  ];
  for (const [rule, accept, want] of ACCEPTS) {
    test(`format: ${rule}`, () => assert.match(expose([], accept).contentType, want));
  }

  test('OpenMetrics: families without suffix, units, spelled bounds, end mark', () => {
    const reader = new MetricsReader();
    const traffic = joined(reader, '1');
    traffic.rule('r').end('GET', 200, 3);
    traffic.metrics.info('fourways_config_version_info', ['v']);
    const { body } = expose(reader.families(), 'application/openmetrics-text');
    assert.ok(body.includes('# TYPE fourways_faults counter\n'));
    assert.ok(body.includes('# TYPE fourways_config_version info\n'));
    assert.ok(body.includes(`# UNIT ${DURATION} seconds\n`));
    assert.ok(body.includes('le="1.0"}'));
    assert.ok(body.endsWith('\n# EOF\n'));
  });

  test('lines agree with what is printed', () => {
    const reader = new MetricsReader();
    const traffic = joined(reader, '1');
    traffic.rule('r').end('GET', 200, 3);
    traffic.port('p').connectionsOpened.add(1);
    const bare = METRIC_NAMES.filter((name) => metricDef(name).labels.length === 0);
    const bareLines = bare.reduce((sum, name) => sum + linesOf(metricDef(name)), 0);
    const printed = text(reader)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    assert.equal(printed.length, reader.lines + bareLines);
  });
}
