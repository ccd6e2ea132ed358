/** Names of what plans of sidecars are made of, by which a change finds those that it is for. */

/**
 * What plans of sidecars are made of and is not what it was. Who depends on none of it has the plan that it had. `all`:
 * it was not looked for, because something else than endpoints changed.
 */
export type MeshChanges = 'all' | ReadonlySet<string>;

/** Name of what stands at an address. @param host  IPv6 with or without brackets */
export function addressName(host: string): string {
  return `address ${host.replace(/^\[(.*)\]$/, '$1')}`;
}

export function clusterName(key: string): string {
  return `cluster ${key}`;
}

/** Of what a sidecar takes in. */
export function ownName(key: string): string {
  return `own ${key}`;
}
