/** How long something lasts, for a cell of a table: `90s`, `45m`, `23h`. */
export function ageOf(ms: number): string {
  if (ms < 0) return 'ended';
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes}m` : `${Math.round(minutes / 60)}h`;
}
