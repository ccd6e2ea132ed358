/** Statuses of the mesh and of its workloads. */
import { describeKey, resourceKey } from '../resource/resource.ts';
import { type Draft, fails, holds, holdsUnless } from './condition.ts';
import type { Found } from './found.ts';
import type { Reason } from './listener.ts';
import { itemOf, type StatusItem, type StatusWork, subjectOf } from './status-item.ts';

export function meshStatuses({ inventory, mesh: { view } }: Found, { memory }: StatusWork): StatusItem[] {
  const { Mesh, Workload } = inventory.byKind;
  const lost = new Map(view.losers.map(({ mesh, reason }) => [mesh, reason]));
  return [
    ...Mesh.map((mesh) => {
      const drafts = [
        holdsUnless('Accepted', lost.get(mesh)),
        ...(mesh === view.mesh ? [holdsUnless('ResolvedRefs', view.unresolved)] : []),
      ];
      return itemOf(mesh, { conditions: memory.stamp(subjectOf(mesh), drafts) });
    }),
    ...Workload.map((workload) => {
      const { metadata, spec } = workload;
      const key = resourceKey('Service', metadata.namespace, spec.service);
      const isThere = inventory.tables.Service.has(key);
      const drafts = [holdsUnless('Accepted', isThere ? undefined : noService(key)), readyOf(spec.health)];
      return itemOf(workload, { conditions: memory.stamp(subjectOf(workload), drafts) });
    }),
  ];
}

function noService(key: string): Reason {
  return { reason: 'NoMatchingService', message: `${describeKey(key)} does not exist` };
}

function readyOf(health: 'ready' | 'not-ready' | 'draining'): Draft {
  switch (health) {
    case 'ready':
      return holds('Ready');
    case 'not-ready':
      return fails('Ready', { reason: 'NotReady', message: 'It gets no requests' });
    case 'draining':
      return fails('Ready', { reason: 'Draining', message: 'It gets no new requests' });
  }
}
