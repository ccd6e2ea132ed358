/**
 * The worker's side of the metrics: a series is resolved once, to an object that
 * holds its slot; counting is then one addition in the worker's slab.
 */
import { METRIC_SERIES_MAX } from '../base/limits.ts';
import { type LabelsOf, metricDef, type MetricName, type MetricOf } from './metric-list.ts';
import { ownedBy } from './owner.ts';
import { linesOf, openSlab, OVERFLOW_SLOTS, RESERVED_SLOTS, type Slab, slotsOf } from './slab.ts';

/** What a worker tells the reader, in order. Plain data: it crosses to the main thread. */
export type SeriesEvent =
  | {
      readonly kind: 'series';
      readonly metric: MetricName;
      readonly labels: readonly string[];
      readonly slot: number;
      readonly generation: number;
    }
  /** The routes, rules, clusters and ports of these names, and what lies below them, have gone. */
  | { readonly kind: 'retired'; readonly owners: readonly string[] }
  | { readonly kind: 'gone'; readonly metric: MetricName; readonly labels: readonly string[] };

export interface WorkerMetricsOptions {
  /** Made by {@link allocateSlab} on the main thread, which keeps it for its reader. */
  readonly slab: SharedArrayBuffer;
  readonly announce: (event: SeriesEvent) => void;
  /** Budget in lines of /metrics; at most what the slab was allocated for. */
  readonly seriesMax?: number;
}

/** One series, or the overflow series of its metric. Kept by whoever counts; stays valid for ever. */
abstract class Series {
  protected readonly values: Float64Array;
  /** Changes once, when the series is retired: what is counted afterwards goes to the overflow series. */
  slot: number;

  constructor(values: Float64Array, slot: number) {
    this.values = values;
    this.slot = slot;
  }
}

export class Counter extends Series {
  add(amount: number): void {
    this.values[this.slot]! += amount;
  }

  /** For totals that are kept elsewhere, such as CPU time. */
  raiseTo(total: number): void {
    if (total > this.values[this.slot]!) this.values[this.slot] = total;
  }
}

export class Gauge extends Series {
  add(amount: number): void {
    this.values[this.slot]! += amount;
  }

  set(value: number): void {
    this.values[this.slot] = value;
  }
}

export class Histogram extends Series {
  /** Bounds in milliseconds: what callers measure in. */
  readonly #boundsMs: Float64Array;

  constructor(values: Float64Array, slot: number, bounds: readonly number[]) {
    super(values, slot);
    this.#boundsMs = Float64Array.from(bounds, (seconds) => seconds * 1_000);
  }

  observeMs(durationMs: number): void {
    const bounds = this.#boundsMs;
    let bucket = 0;
    // From the short end: most requests are in the first buckets.
    while (bucket < bounds.length && durationMs > bounds[bucket]!) bucket++;
    this.values[this.slot + bucket]! += 1;
    this.values[this.slot + bounds.length + 1]! += durationMs / 1_000;
  }
}

type AnySeries = Counter | Gauge | Histogram;

/** Labels whose value is the name of something that an operator may remove. */
export const OWNER_LABELS: readonly string[] = ['http_route', 'cluster', 'port', 'secret'];

interface Entry {
  readonly key: string;
  readonly metric: MetricName;
  readonly labels: readonly string[];
  readonly series: AnySeries;
}

export class WorkerMetrics {
  readonly #slab: Slab;
  readonly #announce: (event: SeriesEvent) => void;
  readonly #linesMax: number;
  readonly #entries = new Map<string, Entry>();
  readonly #owned = new Map<string, Entry[]>();
  readonly #overflow = new Map<MetricName, AnySeries>();
  readonly #infos = new Map<MetricName, Entry>();
  /** Slots of retired series, by size. */
  readonly #free = new Map<number, number[]>();
  #nextSlot = RESERVED_SLOTS;
  #lines = 0;

  constructor({ slab, announce, seriesMax = METRIC_SERIES_MAX }: WorkerMetricsOptions) {
    this.#slab = openSlab(slab);
    this.#announce = announce;
    this.#linesMax = seriesMax;
  }

  counter<N extends MetricOf<'counter'>>(metric: N, labels: LabelsOf<N>): Counter {
    return this.#resolve(metric, labels) as Counter;
  }

  gauge<N extends MetricOf<'gauge'>>(metric: N, labels: LabelsOf<N>): Gauge {
    return this.#resolve(metric, labels) as Gauge;
  }

  histogram<N extends MetricOf<'histogram'>>(metric: N, labels: LabelsOf<N>): Histogram {
    return this.#resolve(metric, labels) as Histogram;
  }

  /** Says something in the labels of a series; what the same metric said before goes. */
  info<N extends MetricOf<'info'>>(metric: N, labels: LabelsOf<N>): void {
    const before = this.#infos.get(metric);
    const entry = this.#entryOf(metric, labels);
    if (entry === undefined || entry === before) return;
    (entry.series as Gauge).set(1);
    this.#infos.set(metric, entry);
    if (before === undefined) return;
    this.#release(before);
    this.#announce({ kind: 'gone', metric, labels: before.labels });
  }

  /** The series that takes what has no series of its own, labelled `overflow="true"`. */
  overflow(metric: MetricName): Counter | Gauge | Histogram {
    let series = this.#overflow.get(metric);
    if (series === undefined) {
      series = this.#make(metric, OVERFLOW_SLOTS.get(metric)!);
      this.#overflow.set(metric, series);
    }
    return series;
  }

  /** Number of lines of /metrics that this worker's series take. */
  get lines(): number {
    return this.#lines;
  }

  /**
   * These routes, rules, clusters or ports, and what lies below them (`owner/…`),
   * have gone: their series leave /metrics and the slots are used again. Objects
   * that still count into them count into the overflow series.
   */
  retire(owners: readonly string[]): void {
    const isGone = ownedBy(owners);
    for (const [name, entries] of this.#owned) {
      if (!isGone(name)) continue;
      for (const entry of entries) this.#release(entry);
      this.#owned.delete(name);
    }
    // Also when nothing is held here: a worker that died may have left figures with the reader.
    this.#announce({ kind: 'retired', owners });
  }

  #resolve(metric: MetricName, labels: readonly string[]): AnySeries {
    // A metric without labels is its own overflow series: its slot is known to everybody beforehand.
    if (labels.length === 0) return this.overflow(metric);
    return this.#entryOf(metric, labels)?.series ?? this.overflow(metric);
  }

  #entryOf(metric: MetricName, labels: readonly string[]): Entry | undefined {
    const key = `${metric}\n${labels.join('\n')}`;
    const found = this.#entries.get(key);
    if (found !== undefined) return found;
    const slot = this.#allocate(metric);
    if (slot < 0) return undefined;

    const entry: Entry = { key, metric, labels, series: this.#make(metric, slot) };
    this.#entries.set(key, entry);
    const at = metricDef(metric).labels.findIndex((label) => OWNER_LABELS.includes(label));
    if (at >= 0) {
      const owned = this.#owned.get(labels[at]!);
      if (owned === undefined) this.#owned.set(labels[at]!, [entry]);
      else owned.push(entry);
    }
    this.#announce({ kind: 'series', metric, labels, slot, generation: this.#slab.generations[slot]! });
    return entry;
  }

  #make(metric: MetricName, slot: number): AnySeries {
    const { type, buckets } = metricDef(metric);
    if (type === 'histogram') return new Histogram(this.#slab.values, slot, buckets ?? []);
    return type === 'counter' ? new Counter(this.#slab.values, slot) : new Gauge(this.#slab.values, slot);
  }

  /** First slot of a new series, all zero; -1 when the budget is used up. */
  #allocate(metric: MetricName): number {
    const def = metricDef(metric);
    if (this.#lines + linesOf(def) > this.#linesMax) return -1;
    const size = slotsOf(def);
    let slot = this.#free.get(size)?.pop();
    if (slot === undefined) {
      if (this.#nextSlot + size > this.#slab.values.length) return -1;
      slot = this.#nextSlot;
      this.#nextSlot += size;
    } else {
      // Generation first, then zero: whoever reads in between sees that the slot is another's.
      Atomics.add(this.#slab.generations, slot, 1);
      this.#slab.values.fill(0, slot, slot + size);
    }
    this.#lines += linesOf(def);
    return slot;
  }

  #release({ key, metric, series }: Entry): void {
    const def = metricDef(metric);
    const { slot } = series;
    const overflowSlot = OVERFLOW_SLOTS.get(metric)!;
    // What was added to a gauge will be taken off again by those who still hold it.
    if (def.type === 'gauge') this.#slab.values[overflowSlot]! += this.#slab.values[slot]!;
    series.slot = overflowSlot;
    this.#entries.delete(key);
    this.#lines -= linesOf(def);
    const free = this.#free.get(slotsOf(def));
    if (free === undefined) this.#free.set(slotsOf(def), [slot]);
    else free.push(slot);
  }
}
