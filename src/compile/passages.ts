/**
 * East-west gateways: listeners that pass TLS on unread for names below `mesh.internal`. What comes there is from a sidecar of
 * another data centre and for one of this, and the server name says for which Service; no route has to be written. Names of
 * nothing that is here lead nowhere, and nothing leads to a peer.
 */
import type { PlanStream } from '../ir/plan.ts';
import { keyOf, type Service } from '../resource/resource.ts';
import { type BackendTarget, clusterKey } from './backend.ts';
import type { ClusterNeed } from './cluster.ts';
import type { ListenerView, ParentView } from './gateways.ts';
import { covers, hostsOn } from './hostname.ts';
import { Memo } from './memo.ts';
import { MESH_HOSTS, serverNameOf } from './mesh.ts';
import { letsIn } from './namespace.ts';
import { type CompileTables, type Inventory, type Look } from './tables.ts';

/** How the ports of a Service are reached from other data centres. */
export interface Passage {
  readonly parts: readonly (readonly [key: string, part: PlanStream])[];
  readonly needs: readonly ClusterNeed[];
}

interface Door {
  readonly parent: ParentView;
  readonly listener: ListenerView;
}

export class Passages {
  readonly #passages = new Memo<CompileTables, Passage>();

  /** In the order of the Services. */
  run({ tables, byKind }: Inventory): Passage[] {
    this.#passages.begin(tables);
    const doors = [...tables.parents.values()].flatMap(doorsOf);
    if (doors.length === 0) return [];
    const inputs = doors.flatMap(({ parent, listener }) => [parent, listener]);
    return byKind.Service.filter((service) => tables.sidecars.has(keyOf(service))).map((service) =>
      this.#passages.get(keyOf(service), [service, ...inputs], (look) => passageOf(service, doors, look)),
    );
  }
}

function doorsOf(parent: ParentView): Door[] {
  const isDoor = ({ encrypted, hostname, keys }: ListenerView): boolean =>
    encrypted && keys.length > 0 && covers(MESH_HOSTS, hostname);
  return parent.listeners.filter(isDoor).map((listener) => ({ parent, listener }));
}

function passageOf(resource: Service, doors: readonly Door[], look: Look): Passage {
  const { namespace, name } = resource.metadata;
  const open = doors.filter(({ parent, listener }) =>
    letsIn(listener.namespaces, { owner: parent.namespace, guest: namespace }, look),
  );
  const ports = resource.spec.ports.filter(({ protocol }) => protocol === 'TCP');
  const ways = ports.flatMap((port) => {
    const serverName = serverNameOf({ namespace, service: name, port: port.port });
    const attach = open.flatMap(({ listener: { hostname, keys } }) => {
      const hosts = hostsOn(hostname, [serverName]);
      return hosts.length === 0 ? [] : keys.map((listener) => ({ listener, hosts }));
    });
    if (attach.length === 0) return [];
    const target: BackendTarget = { kind: 'Service', resource, port };
    const variant = { certificateOf: undefined, stream: 'mesh' } as const;
    const need: ClusterNeed = { key: clusterKey(target, variant), target, ...variant };
    const part: PlanStream = { name: need.key, createdMs: 0, attach, backends: [{ weight: 1, cluster: need.key }] };
    return [{ need, part }];
  });
  return { parts: ways.map(({ need, part }) => [need.key, part] as const), needs: ways.map(({ need }) => need) };
}
