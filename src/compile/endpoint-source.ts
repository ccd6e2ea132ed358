/** Who said where an endpoint is: looked up when somebody asks, so that plans need not carry it. */
import { describe } from '../resource/resource.ts';
import { appPortOf } from './mesh-port.ts';
import type { Look } from './tables.ts';

/** In words: `Workload shop/orders-1`, `EndpointSlice shop/web-1`, `Consul orders`, `DNS _http._tcp.orders.example`. */
export type EndpointSource = string;

export interface EndpointPlace {
  /** Key in the plan: `Service/shop/orders/80`, with whatever stands behind it. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  /** The name of DNS that it was found by. */
  readonly resolvedFrom?: string;
}

/** Undefined for what is not of a Service or Backend, as the application beside a sidecar. */
export function endpointSource(place: EndpointPlace, look: Look): EndpointSource | undefined {
  const [kind = '', namespace = '', rest = ''] = place.cluster.split('/');
  const name = /^[^+@]*/.exec(rest)![0];
  const key = `${kind}/${namespace}/${name}`;
  if (kind === 'Backend') return backendSource(key, place, look);
  return kind === 'Service' ? serviceSource(key, place, look) : undefined;
}

function backendSource(key: string, { resolvedFrom }: EndpointPlace, look: Look): EndpointSource | undefined {
  const backend = look('Backend', key);
  if (backend === undefined) return undefined;
  const { consul } = backend.spec;
  if (consul !== undefined) return `Consul ${consul.service}`;
  return resolvedFrom === undefined ? describe(backend) : `DNS ${resolvedFrom}`;
}

function serviceSource(key: string, place: EndpointPlace, look: Look): EndpointSource | undefined {
  const { address, port, resolvedFrom } = place;
  if (resolvedFrom !== undefined) return `DNS ${resolvedFrom}`;
  const service = look('Service', key);
  const number = Number(place.cluster.split('/')[3]?.replace(/[+@].*$/, ''));
  const servicePort = service?.spec.ports.find((one) => one.port === number);
  const workload = look('workloads', key)?.find(
    ({ spec }) =>
      spec.address === address &&
      (spec.proxyPort === port || (servicePort !== undefined && appPortOf(servicePort, service!, spec.ports) === port)),
  );
  if (workload !== undefined) return describe(workload);
  const slice = look('slices', key)?.find(({ endpoints }) =>
    endpoints.some(({ addresses }) => addresses[0] === address),
  );
  return slice === undefined ? undefined : describe(slice);
}
