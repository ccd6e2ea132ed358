/**
 * The main thread's side of the metrics: knows the slabs of all workers and what
 * their slots mean, adds them up when asked, and keeps what dead workers counted,
 * so that a counter never goes back.
 */
import { METRIC_SERIES_MAX } from '../base/limits.ts';
import type { Family, Sample } from './exposition.ts';
import { metricDef, type MetricName, METRIC_NAMES } from './metric-list.ts';
import { OWNER_LABELS, type SeriesEvent } from './metrics.ts';
import { ownedBy } from './owner.ts';
import { linesOf, openSlab, OVERFLOW_SLOTS, RESERVED_SLOTS, type Slab, slotsOf } from './slab.ts';

/** Where a worker keeps its figures of one series. */
interface Holding {
  readonly slot: number;
  readonly generation: number;
}

/** One series of /metrics: what all workers hold of it, and what was counted by those that are gone. */
interface Row {
  readonly key: string;
  readonly metric: MetricName;
  readonly labels: readonly string[];
  readonly base: Float64Array;
  readonly holdings: Map<string, Holding>;
}

interface Joined {
  readonly slab: Slab;
  /** Rows that this worker holds a part of, by key. */
  readonly rows: Map<string, Row>;
  /** Series that found no place in the budget: counted in the overflow series of their metric. */
  readonly unplaced: Map<string, Holding & { readonly metric: MetricName; readonly labels: readonly string[] }>;
}

export class MetricsReader {
  readonly #workers = new Map<string, Joined>();
  readonly #rows = new Map<MetricName, Map<string, Row>>();
  /** Laid out like the reserved slots of a slab: what gone workers counted there. */
  readonly #overflowBase = new Float64Array(RESERVED_SLOTS);
  readonly #linesMax: number;
  #lines = 0;

  /** @param seriesMax  budget in lines of /metrics, over all workers */
  constructor(seriesMax: number = METRIC_SERIES_MAX) {
    this.#linesMax = seriesMax;
    for (const name of METRIC_NAMES) this.#rows.set(name, new Map());
  }

  /** A worker, or the main thread itself, begins to count into this slab. @param id  not in use */
  join(id: string, slab: SharedArrayBuffer): void {
    this.#workers.set(id, { slab: openSlab(slab), rows: new Map(), unplaced: new Map() });
  }

  /** What worker `id` announced. Events of workers that have left are ignored. */
  announced(id: string, event: SeriesEvent): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    if (event.kind === 'retired') {
      const isGone = ownedBy(event.owners);
      this.#remove(id, (metric, labels) => labels.some((value, i) => isOwnerLabel(metric, i) && isGone(value)));
      return;
    }
    const { metric, labels } = event;
    const key = keyOf(metric, labels);
    if (event.kind === 'gone') {
      this.#remove(id, (otherMetric, otherLabels) => keyOf(otherMetric, otherLabels) === key);
      return;
    }
    const { slot, generation } = event;
    const row = this.#rows.get(metric)!.get(key) ?? this.#addRow(metric, labels);
    if (row === undefined) {
      worker.unplaced.set(key, { metric, labels, slot, generation });
      return;
    }
    row.holdings.set(id, { slot, generation });
    worker.rows.set(key, row);
  }

  /** Worker `id` is dead: its counters are kept, its gauges are gone. */
  leave(id: string): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    for (const row of worker.rows.values()) {
      this.#keep(worker.slab, row, id);
      row.holdings.delete(id);
      if (row.holdings.size === 0 && !isCumulative(row.metric)) this.#deleteRow(row);
    }
    for (const held of worker.unplaced.values()) this.#keepInOverflow(worker.slab, held.metric, held.slot);
    for (const name of METRIC_NAMES) this.#keepInOverflow(worker.slab, name, OVERFLOW_SLOTS.get(name)!);
    this.#workers.delete(id);
  }

  /** Sum over all workers of a series; for histograms the number of observations. 0 when there is none. */
  value(metric: MetricName, labels: readonly string[]): number {
    const slots = labels.length === 0 ? this.#reserved(metric) : this.#sum(metric, labels);
    return metricDef(metric).type === 'histogram' ? total(slots) : slots[0]!;
  }

  /** All metrics that have a figure, in the order of the list. */
  families(): Family[] {
    return METRIC_NAMES.flatMap((name): Family[] => {
      const def = metricDef(name);
      const samples: Sample[] = [];
      for (const row of this.#rows.get(name)!.values()) samples.push({ labels: row.labels, slots: this.#read(row) });
      const reserved = this.#reserved(name);
      if (def.labels.length === 0) samples.push({ labels: [], slots: reserved });
      else if (reserved.some((value) => value !== 0)) samples.push({ labels: 'overflow', slots: reserved });
      return samples.length === 0 ? [] : [{ name, def, samples }];
    });
  }

  /** Lines of /metrics that are taken, out of the budget. */
  get lines(): number {
    return this.#lines;
  }

  #addRow(metric: MetricName, labels: readonly string[]): Row | undefined {
    const def = metricDef(metric);
    if (this.#lines + linesOf(def) > this.#linesMax) return undefined;
    this.#lines += linesOf(def);
    const key = keyOf(metric, labels);
    const row: Row = { key, metric, labels, base: new Float64Array(slotsOf(def)), holdings: new Map() };
    this.#rows.get(metric)!.set(key, row);
    return row;
  }

  #deleteRow(row: Row): void {
    if (this.#rows.get(row.metric)!.delete(row.key)) this.#lines -= linesOf(metricDef(row.metric));
  }

  /** The worker gives its part of rows up; the last one to do so, or a row that only the dead held, takes the row away. */
  #remove(id: string, isGone: (metric: MetricName, labels: readonly string[]) => boolean): void {
    const worker = this.#workers.get(id)!;
    for (const rows of this.#rows.values()) {
      for (const row of rows.values()) {
        if (!isGone(row.metric, row.labels)) continue;
        this.#keep(worker.slab, row, id);
        row.holdings.delete(id);
        worker.rows.delete(row.key);
        if (row.holdings.size === 0) this.#deleteRow(row);
      }
    }
    for (const [key, held] of worker.unplaced) {
      if (!isGone(held.metric, held.labels)) continue;
      this.#keepInOverflow(worker.slab, held.metric, held.slot);
      worker.unplaced.delete(key);
    }
  }

  #keep(slab: Slab, row: Row, id: string): void {
    const holding = row.holdings.get(id);
    if (holding === undefined || !isCumulative(row.metric)) return;
    addFigures(row.base, slab, holding);
  }

  #keepInOverflow(slab: Slab, metric: MetricName, slot: number): void {
    if (!isCumulative(metric)) return;
    const start = OVERFLOW_SLOTS.get(metric)!;
    const size = slotsOf(metricDef(metric));
    for (let i = 0; i < size; i++) this.#overflowBase[start + i]! += slab.values[slot + i]!;
  }

  #read(row: Row): Float64Array {
    const sum = row.base.slice();
    for (const [id, holding] of row.holdings) addFigures(sum, this.#workers.get(id)!.slab, holding);
    return sum;
  }

  #sum(metric: MetricName, labels: readonly string[]): Float64Array {
    const row = this.#rows.get(metric)!.get(keyOf(metric, labels));
    return row === undefined ? new Float64Array(1) : this.#read(row);
  }

  /** The overflow series of a metric, or its only series when it has no labels. */
  #reserved(metric: MetricName): Float64Array {
    const start = OVERFLOW_SLOTS.get(metric)!;
    const sum = this.#overflowBase.slice(start, start + slotsOf(metricDef(metric)));
    for (const { slab, unplaced } of this.#workers.values()) {
      for (let i = 0; i < sum.length; i++) sum[i]! += slab.values[start + i]!;
      for (const held of unplaced.values()) if (held.metric === metric) addFigures(sum, slab, held);
    }
    return sum;
  }
}

function keyOf(metric: MetricName, labels: readonly string[]): string {
  return `${metric}\n${labels.join('\n')}`;
}

function isCumulative(metric: MetricName): boolean {
  const { type } = metricDef(metric);
  return type === 'counter' || type === 'histogram';
}

function isOwnerLabel(metric: MetricName, at: number): boolean {
  return OWNER_LABELS.includes(metricDef(metric).labels[at]!);
}

/** Adds what a worker holds of a series, unless its slot was given to another series meanwhile. */
function addFigures(sum: Float64Array, { values, generations }: Slab, { slot, generation }: Holding): void {
  const figures = values.slice(slot, slot + sum.length);
  // Read after the figures, as the worker writes it before it clears them.
  if (Atomics.load(generations, slot) !== generation) return;
  for (let i = 0; i < sum.length; i++) sum[i]! += figures[i]!;
}

/** Observations of a histogram: all slots but the last, which is the sum. */
function total(slots: Float64Array): number {
  let count = 0;
  for (let i = 0; i < slots.length - 1; i++) count += slots[i]!;
  return count;
}
