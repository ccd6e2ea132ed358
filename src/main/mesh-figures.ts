/** Figures of a control plane, as they are when somebody asks. */
import type { MeshCertificate } from '../api/admin/trust-view.ts';
import type { ProxyRow } from '../control/mesh-feeds.ts';
import { alarmSeen, leafLife } from '../identity/renewal.ts';
import type { RotationState } from '../identity/rotation.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import type { Hub } from '../push/hub.ts';

export interface MeshFacts {
  readonly hub: Pick<Hub, 'size' | 'opened' | 'ended'>;
  readonly rotation: RotationState;
  readonly workloads: number;
  readonly proxies: readonly ProxyRow[];
  readonly authorities: readonly MeshCertificate[];
  /** How long certificates of proxies are issued for. */
  readonly leafMs: number;
  readonly wallMs: number;
}

const PHASES = ['rest', 'asked', 'spread', 'renew', 'withdraw'] as const;
const STATES = ['current', 'behind', 'refused'] as const;
const ALARMS = ['none', 'late', 'urgent', 'over'] as const;

export function measureMesh(metrics: WorkerMetrics, facts: MeshFacts): void {
  const { hub, rotation, workloads, proxies } = facts;
  metrics.gauge('fourways_push_streams', []).set(hub.size);
  metrics.counter('fourways_push_streams_opened_total', []).raiseTo(hub.opened);
  for (const [code, count] of hub.ended) metrics.counter('fourways_push_streams_ended_total', [code]).raiseTo(count);
  const phase = rotation.rotation?.phase ?? (rotation.asked === undefined ? 'rest' : 'asked');
  for (const one of PHASES) metrics.gauge('fourways_mesh_rotation_phase', [one]).set(one === phase ? 1 : 0);
  metrics.gauge('fourways_mesh_workloads', []).set(workloads);
  for (const state of STATES) {
    metrics.gauge('fourways_mesh_proxies', [state]).set(proxies.filter((row) => stateOf(row) === state).length);
  }
  measureCertificates(metrics, facts);
}

function stateOf({ refused, lagMs }: ProxyRow): (typeof STATES)[number] {
  if (refused !== undefined) return 'refused';
  return lagMs > 0 ? 'behind' : 'current';
}

function measureCertificates(
  metrics: WorkerMetrics,
  { proxies, authorities, leafMs, wallMs }: Pick<MeshFacts, 'proxies' | 'authorities' | 'leafMs' | 'wallMs'>,
): void {
  const ends = proxies.flatMap(({ certificateEndMs }) => certificateEndMs ?? []);
  const alarms = [
    ...authorities.map(({ alarm }) => alarm),
    ...ends.map((endMs) => alarmSeen(leafLife(endMs, leafMs), wallMs)),
  ];
  for (const alarm of ALARMS) {
    metrics.gauge('fourways_mesh_certificates', [alarm]).set(alarms.filter((one) => one === alarm).length);
  }
  const endOf = (what: MeshCertificate['what']): number[] =>
    authorities.filter((one) => one.what === what && one.where === 'active').map(({ until }) => Date.parse(until));
  const kinds = [
    ['root', endOf('root')],
    ['issuer', endOf('issuer')],
    ['federated-root', endOf('federated root')],
    ['proxy', ends],
  ] as const;
  for (const [what, all] of kinds) {
    const first = all.reduce((least, endMs) => Math.min(least, endMs), Infinity);
    const gauge = metrics.gauge('fourways_mesh_certificate_expiry_timestamp_seconds', [what]);
    gauge.set(first === Infinity ? 0 : first / 1_000);
  }
}
