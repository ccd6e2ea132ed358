/**
 * Metrics as text: the Prometheus exposition format 0.0.4, or OpenMetrics 1.0
 * for those who ask for it.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 * @see https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
import type { MetricDef } from './metric-list.ts';

export interface Family {
  readonly name: string;
  readonly def: MetricDef;
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** In the order of the definition; `overflow` for what had no place in the budget. */
  readonly labels: readonly string[] | 'overflow';
  /** One figure; of a histogram the counts of each bucket, each observation once, then the sum. */
  readonly slots: Float64Array;
}

export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

type Format = 'text' | 'openmetrics';

const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** @param accept  the Accept header of the scrape, if any */
export function expose(families: readonly Family[], accept: string | undefined): Exposition {
  const format = negotiate(accept);
  const lines: string[] = [];
  for (const family of families) writeFamily(lines, family, format);
  if (format === 'openmetrics') lines.push('# EOF');
  lines.push('');
  return { contentType: CONTENT_TYPES[format], body: lines.join('\n') };
}

/** OpenMetrics when it is named and not liked less than plain text (RFC 9110 section 12.5.1). */
function negotiate(accept: string | undefined): Format {
  let open = 0;
  let text = 0;
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.toLowerCase().split(';');
    const q = parameters.map((parameter) => /^\s*q=([01](?:\.\d{0,3})?)\s*$/.exec(parameter)?.[1]).find(Boolean);
    const quality = q === undefined ? 1 : Number(q);
    if (type.trim() === 'application/openmetrics-text') open = Math.max(open, quality);
    if (type.trim() === 'text/plain') text = Math.max(text, quality);
  }
  return open > 0 && open >= text ? 'openmetrics' : 'text';
}

function writeFamily(lines: string[], { name, def, samples }: Family, format: Format): void {
  const isOpen = format === 'openmetrics';
  // OpenMetrics names the family without the suffix of its samples; the older format names the samples.
  const family = isOpen ? name.replace(/_(?:total|info)$/, '') : name;
  const type = !isOpen && def.type === 'info' ? 'gauge' : def.type;
  lines.push(`# HELP ${family} ${escapeHelp(def.help, format)}`, `# TYPE ${family} ${type}`);
  if (isOpen && def.unit !== '') lines.push(`# UNIT ${family} ${def.unit}`);
  for (const { labels, slots } of samples) {
    const pairs = labels === 'overflow' ? ['overflow="true"'] : labels.map((value, i) => pair(def.labels[i]!, value));
    if (def.type === 'histogram') writeHistogram(lines, { name, def, pairs, slots, isOpen });
    else lines.push(`${name}${block(pairs)} ${figure(slots[0]!)}`);
  }
}

interface HistogramText {
  readonly name: string;
  readonly def: MetricDef;
  readonly pairs: readonly string[];
  readonly slots: Float64Array;
  readonly isOpen: boolean;
}

function writeHistogram(lines: string[], { name, def, pairs, slots, isOpen }: HistogramText): void {
  const bounds = def.buckets ?? [];
  let count = 0;
  bounds.forEach((bound, i) => {
    count += slots[i]!;
    // OpenMetrics wants a bound of 1 to read "1.0", so that one bound has one spelling.
    const le = isOpen && Number.isInteger(bound) ? `${bound}.0` : String(bound);
    lines.push(`${name}_bucket${block([...pairs, pair('le', le)])} ${count}`);
  });
  count += slots[bounds.length]!;
  lines.push(`${name}_bucket${block([...pairs, pair('le', '+Inf')])} ${count}`);
  lines.push(`${name}_sum${block(pairs)} ${figure(slots[bounds.length + 1]!)}`);
  // Counted from the buckets, so that it agrees with them although the worker goes on writing.
  lines.push(`${name}_count${block(pairs)} ${count}`);
}

function block(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function pair(name: string, value: string): string {
  const escaped = value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
  return `${name}="${escaped}"`;
}

function escapeHelp(help: string, format: Format): string {
  const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return format === 'openmetrics' ? escaped.replaceAll('"', '\\"') : escaped;
}

function figure(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}
