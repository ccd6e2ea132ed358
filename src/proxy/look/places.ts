/** What the keys of a plan say of where a request came to and whom it was for (docs/internals/mesh.md). */
import type { Direction } from '../../ir/observed.ts';

export interface ServicePlace {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
}

const SERVICE = /^(?:Inbound|Service)\/([^/@]+)\/([^/@]+)\/(\d+)/;

/** Of a listener or a cluster; undefined for what is of no Service. */
export function serviceOf(key: string): ServicePlace | undefined {
  const [, namespace, service, port] = SERVICE.exec(key) ?? [];
  return namespace === undefined ? undefined : { namespace, service: service!, port: Number(port) };
}

export function directionOf(listener: string): Direction {
  if (listener.startsWith('Inbound/')) return 'in';
  return listener.startsWith('Service/') || listener.startsWith('Workload/') ? 'out' : 'edge';
}

export function placeText({ namespace, service, port }: ServicePlace): string {
  return `${namespace}/${service}:${port}`;
}
