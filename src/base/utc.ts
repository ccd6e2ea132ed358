/** A moment as Kubernetes and certificates write it: RFC 3339 in UTC and whole seconds, `2026-11-29T10:59:15Z`. */
export function utcSeconds(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
