/** Services that have instances in other data centres: behind the east-west gateways of the peers that the Mesh names. */
import type { PlanEndpoint } from '../ir/plan.ts';
import type { MeshSpec } from '../resource/kinds/mesh.ts';
import { resourceKey, type Service } from '../resource/resource.ts';
import type { Finding } from './finding.ts';
import type { MeshView } from './mesh.ts';
import { brokenAt, missing } from './reference.ts';
import type { CompileTables } from './tables.ts';

type Peer = MeshSpec['peers'][number];

/** What a peer is to a Service. */
export interface ServicePeer {
  readonly trustDomain: string;
  /** SPIFFE IDs that its instances have there, without those that are denied. */
  readonly identities: readonly string[];
  readonly endpoints: readonly PlanEndpoint[];
}

/** Behind all that is here: used when too little of it is well. */
const FAILOVER = { priority: 1 };

export function peersOf(view: MeshView, service: Service): ServicePeer[] {
  if (!hasPeers(view, service)) return [];
  const { spec, denied } = view;
  const { metadata } = service;
  return spec.peers.flatMap((peer): ServicePeer[] => {
    if (!isVouchedFor(peer, view)) return [];
    const asked = peer.services.filter(
      ({ namespace, name = metadata.name }) => namespace === metadata.namespace && name === metadata.name,
    );
    const { trustDomain = spec.trustDomain } = peer;
    const identities = asked
      .flatMap(({ accounts = [metadata.name] }) => accounts)
      .map((account) => `spiffe://${trustDomain}/ns/${metadata.namespace}/sa/${account}`)
      .filter((identity) => !denied.has(identity));
    return identities.length === 0 ? [] : [{ trustDomain, identities, endpoints: endpointsOf(peer) }];
  });
}

/** Whether instances of a Service may be elsewhere only. Asked of every Service with every compile. */
export function hasPeers(view: MeshView, { metadata, spec }: Service): boolean {
  // What is another name for something outside is outside of every mesh.
  if (view.spec.peers.length === 0 || spec.type === 'ExternalName') return false;
  let names = NAMES.get(view);
  if (names === undefined) NAMES.set(view, (names = namesAtPeers(view)));
  return names.has(metadata.namespace) || names.has(`${metadata.namespace}/${metadata.name}`);
}

const NAMES = new WeakMap<MeshView, ReadonlySet<string>>();

/** `shop/orders`, and `shop` for all of it. */
function namesAtPeers(view: MeshView): ReadonlySet<string> {
  const services = view.spec.peers.filter((peer) => isVouchedFor(peer, view)).flatMap((peer) => peer.services);
  return new Set(services.map(({ namespace, name }) => (name === undefined ? namespace : `${namespace}/${name}`)));
}

/** Where the roots of a trust domain cannot be read, nobody there can be known. */
function isVouchedFor({ trustDomain }: Peer, { spec, federation }: MeshView): boolean {
  return [undefined, spec.trustDomain, ...federation.map((one) => one.trustDomain)].includes(trustDomain);
}

/** Services that a peer is said to have and that nobody here could call. */
export function peerFindings({ mesh, spec }: MeshView, tables: Pick<CompileTables, 'Service'>): Finding[] {
  return spec.peers.flatMap(({ services }, i) =>
    services.flatMap(({ namespace, name }, j): Finding[] => {
      if (name === undefined || tables.Service.has(resourceKey('Service', namespace, name))) return [];
      const absent = missing({ group: '', kind: 'Service', namespace, name }, '');
      return [brokenAt(mesh!, `/spec/peers/${i}/services/${j}`, absent)];
    }),
  );
}

function endpointsOf({ gateways, mode }: Peer): PlanEndpoint[] {
  return gateways.map(({ address, port }) => ({ address, port, weight: 1, ...(mode === 'failover' && FAILOVER) }));
}
