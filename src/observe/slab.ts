/**
 * Where the figures live: one SharedArrayBuffer for each worker.
 *
 * Only the worker writes its slab, so a plain `+= 1` loses nothing and needs no
 * atomic. The main thread reads without stopping anybody: an aligned 64-bit
 * store is one instruction on every platform that Node runs on, so it sees the
 * figure before or after, never half of it. Float64 is exact to 2^53.
 *
 * Beside each figure stands the generation of its slot. A slot that is given to
 * another series changes it first, so a reader that has not heard of that yet
 * does not take the new figures for the old series.
 */
import { METRIC_SERIES_MAX } from '../base/limits.ts';
import { METRIC_NAMES, metricDef, type MetricDef, type MetricName } from './metric-list.ts';

export interface Slab {
  readonly values: Float64Array;
  readonly generations: Int32Array;
}

const BYTES_PER_SLOT = 8 + 4;

/** Slots of one series: one, or for histograms a count for each bucket, +Inf included, and the sum. */
export function slotsOf({ buckets }: MetricDef): number {
  return buckets === undefined ? 1 : buckets.length + 2;
}

/** Lines of one series in /metrics, which is what a Prometheus server counts as series. */
export function linesOf({ buckets }: MetricDef): number {
  return buckets === undefined ? 1 : buckets.length + 3;
}

/** Where the overflow series of each metric begins. They stand before all others and are outside the budget. */
export const OVERFLOW_SLOTS: ReadonlyMap<MetricName, number> = overflowSlots();

export const RESERVED_SLOTS: number = METRIC_NAMES.reduce((sum, name) => sum + slotsOf(metricDef(name)), 0);

/** Memory for one worker's figures. @param seriesMax  budget of the worker, in lines of /metrics */
export function allocateSlab(seriesMax: number = METRIC_SERIES_MAX): SharedArrayBuffer {
  return new SharedArrayBuffer((RESERVED_SLOTS + seriesMax) * BYTES_PER_SLOT);
}

export function openSlab(buffer: SharedArrayBuffer): Slab {
  const slots = Math.floor(buffer.byteLength / BYTES_PER_SLOT);
  return { values: new Float64Array(buffer, 0, slots), generations: new Int32Array(buffer, slots * 8, slots) };
}

function overflowSlots(): Map<MetricName, number> {
  const slots = new Map<MetricName, number>();
  let next = 0;
  for (const name of METRIC_NAMES) {
    slots.set(name, next);
    next += slotsOf(metricDef(name));
  }
  return slots;
}
