/** Host names of listeners, routes and certificates: `a.test`, `*.a.test`, and `*` for all. */

/**
 * The narrower of two names that overlap, or undefined when no host can match
 * both. A wildcard stands for one or more labels (Gateway API, `Hostname`).
 */
export function intersectHosts(a: string, b: string): string | undefined {
  if (a === b || covers(b, a)) return a;
  return covers(a, b) ? b : undefined;
}

/** Whether every host that `narrow` matches is matched by `wide`. */
export function covers(wide: string, narrow: string): boolean {
  if (wide === '*' || wide === narrow) return true;
  // `*.a.test` covers `b.a.test`, `*.b.a.test` and itself, but not `a.test`: the suffix keeps its dot.
  return wide.startsWith('*.') && narrow.length > wide.length - 1 && narrow.endsWith(wide.slice(1));
}

/** Intersections of all names of a route with the name of a listener, without repeats. `*` stands for no name. */
export function hostsOn(listenerHost: string, routeHosts: readonly string[]): string[] {
  if (routeHosts.length === 0) return [listenerHost];
  const hosts = new Set<string>();
  for (const routeHost of routeHosts) {
    const host = intersectHosts(listenerHost, routeHost.toLowerCase());
    if (host !== undefined) hosts.add(host);
  }
  return [...hosts];
}

/**
 * Whether a certificate name is meant for the host name of a listener. In a
 * certificate a wildcard stands for exactly one label (RFC 9525 section 6.3); a
 * listener of the same wildcard is what it is made for.
 */
export function certificateCovers(certificateName: string, host: string): boolean {
  if (certificateName === '*' || certificateName === host) return true;
  if (!certificateName.startsWith('*.') || host.startsWith('*')) return false;
  const dot = host.indexOf('.');
  return dot > 0 && host.slice(dot) === certificateName.slice(1);
}
