import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { MetricsReader } from '../observe/metrics-reader.ts';
import { WorkerMetrics } from '../observe/metrics.ts';
import { allocateSlab } from '../observe/slab.ts';
import { LoopFigures } from './loop-figures.ts';

test('LoopFigures: says how late timers ran since it was asked before', (t) => {
  const clock = new ManualClock();
  const slab = allocateSlab();
  const reader = new MetricsReader();
  reader.join('1', slab);
  const metrics = new WorkerMetrics({ slab, announce: (event) => reader.announced('1', event) });
  const figures = new LoopFigures(clock, metrics, '1');
  t.after(() => figures.close());
  const value = (name: Parameters<MetricsReader['value']>[0]) => reader.value(name, ['1']);

  for (let i = 0; i < 98; i++) clock.advance(100);
  clock.jump(150);
  clock.jump(400);
  figures.measure();
  assert.equal(value('nodejs_eventloop_delay_p50_seconds'), 0);
  assert.equal(value('nodejs_eventloop_delay_p99_seconds'), 0.05);
  assert.equal(value('nodejs_eventloop_delay_max_seconds'), 0.3);
  assert.ok(value('v8js_memory_heap_used_bytes') > 1_000_000);

  figures.measure();
  assert.equal(value('nodejs_eventloop_delay_max_seconds'), 0);
  for (let i = 0; i < 10_000; i++) clock.advance(100);
  figures.measure();
  assert.equal(value('nodejs_eventloop_delay_max_seconds'), 0);
});
