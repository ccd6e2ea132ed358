import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { Compiled } from '../compile/compile.ts';
import { MetricsReader } from '../observe/metrics-reader.ts';
import { expose } from '../observe/exposition.ts';
import { WorkerMetrics } from '../observe/metrics.ts';
import { allocateSlab } from '../observe/slab.ts';
import { Expiry } from './expiry.ts';

const DAY_MS = 86_400_000;

/** An Expiry on a clock that is moved by hand, with what it asked for and what it measured. */
function watching(): { clock: ManualClock; expiry: Expiry; asked: () => number; metrics: () => string } {
  const clock = new ManualClock();
  const reader = new MetricsReader();
  const slab = allocateSlab();
  reader.join('main', slab);
  const metrics = new WorkerMetrics({ slab, announce: (event) => reader.announced('main', event) });
  let asked = 0;
  const expiry = new Expiry({ clock, metrics, again: () => void asked++ });
  const lines = (): string =>
    expose(reader.families(), undefined)
      .body.split('\n')
      .filter((line) => line.startsWith('fourways_certificate_expiry'))
      .join('\n');
  return { clock, expiry, asked: () => asked, metrics: lines };
}

function compiledWith(nextChangeMs: number | undefined, ends: Readonly<Record<string, number>> = {}): Compiled {
  const certificates = Object.entries(ends).map(([name, notAfterMs]) => ({ secret: `Secret/${name}`, notAfterMs }));
  return { nextChangeMs, certificates: () => certificates } as unknown as Compiled;
}

test('expiry: judged again when the time has come, and not before', () => {
  const { clock, expiry, asked } = watching();
  expiry.watch(compiledWith(clock.wallMs() + 3_600_000));
  clock.advance(3_600_000);
  assert.equal(asked(), 0);
  clock.advance(2_000);
  assert.equal(asked(), 1);
});

test('expiry: a time that is months away is not lost, though no timer runs that long', () => {
  const { clock, expiry, asked } = watching();
  expiry.watch(compiledWith(clock.wallMs() + 100 * DAY_MS));
  clock.advance(100 * DAY_MS);
  assert.equal(asked(), 0);
  clock.advance(2_000);
  assert.equal(asked(), 1);
});

test('expiry: what is served now is what is watched', () => {
  const { clock, expiry, asked } = watching();
  expiry.watch(compiledWith(clock.wallMs() + 1_000));
  expiry.watch(compiledWith(undefined));
  clock.advance(DAY_MS);
  assert.equal(asked(), 0);
  assert.equal(clock.pending, 0);
});

test('expiry: each certificate has a series, which goes with it', () => {
  const { expiry, metrics } = watching();
  expiry.watch(compiledWith(undefined, { 'shop/a': 1_800_000_000_000, 'shop/b': 1_900_000_000_000 }));
  assert.match(metrics(), /\{secret="shop\/a"\} 1800000000$/m);
  assert.match(metrics(), /\{secret="shop\/b"\} 1900000000$/m);
  expiry.watch(compiledWith(undefined, { 'shop/a': 1_850_000_000_000 }));
  assert.match(metrics(), /\{secret="shop\/a"\} 1850000000$/m);
  assert.doesNotMatch(metrics(), /shop\/b/);
});
