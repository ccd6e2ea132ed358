/** One line of the result file, and the table that a person reads. */

export interface Row {
  readonly scenario: string;
  readonly proxy: string;
  readonly version: string;
  readonly [figure: string]: string | number | undefined;
}

/** A throughput scenario: medians over the rounds. */
export interface LoadRow extends Row {
  readonly cpu_us_per_request: number;
  readonly rps: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly rss_mb: number;
  readonly errors: number;
  /** Lowest and highest round, for judging noise. */
  readonly cpu_us_min: number;
  readonly cpu_us_max: number;
  /** CPU time of the proxy by wall time. Below 90 the load generator or the origin was the bottleneck. */
  readonly core_busy_percent: number;
  /** What others took of the proxy's core meanwhile. Above a few percent the run is worth repeating. */
  readonly strangers_percent: number;
  /** CPU time per request by that of nginx, median of the rounds; absent when nginx did not run. */
  readonly ratio_to_nginx?: number;
  readonly ratio_to_haproxy?: number;
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Nearest rank; 0 for no value. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** The rows of one scenario as a table, with CPU time as a ratio to nginx and HAProxy when they ran. */
export function loadTable(rows: readonly LoadRow[]): string {
  const head = [
    'proxy',
    'CPU µs/req',
    'spread',
    '× nginx',
    '× HAProxy',
    'req/s',
    'p50 ms',
    'p99 ms',
    'RSS MB',
    'core %',
    'errors',
  ];
  const lines = rows.map((row) => [
    `${row.proxy} ${row.version}`,
    row.cpu_us_per_request.toFixed(1),
    `${row.cpu_us_min.toFixed(1)}–${row.cpu_us_max.toFixed(1)}`,
    row.ratio_to_nginx?.toFixed(2) ?? '–',
    row.ratio_to_haproxy?.toFixed(2) ?? '–',
    row.rps.toFixed(0),
    row.p50_ms.toFixed(2),
    row.p99_ms.toFixed(2),
    row.rss_mb.toFixed(0),
    row.core_busy_percent < 90 ? `${row.core_busy_percent.toFixed(0)} !` : row.core_busy_percent.toFixed(0),
    String(row.errors),
  ]);
  return table(head, lines);
}

export function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, ...lines.map((line) => line[i]?.length ?? 0)));
  const show = (line: readonly string[]): string =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [show(head), ...lines.map(show)].join('\n');
}
