/** The control plane of a mesh, beside a gateway that is a member of it or alone. */
import type { Clock } from '../base/clock.ts';
import { durationOr } from '../base/duration.ts';
import type { Log } from '../base/log.ts';
import type { Outcome } from '../control/pipeline.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import type { OwnProxies } from '../control/no-proxies.ts';
import type { Mesh } from '../resource/resource.ts';
import { OwnPlans } from '../sidecar/own-plans.ts';
import type { Loaded } from '../source/source.ts';
import { type IssuerFiles, readIssuerFiles } from './brought-files.ts';
import { MeshControl } from './mesh-control.ts';
import type { State } from './state.ts';
import { StartFailure } from './start-failure.ts';
import type { HostPort } from './host-port.ts';

export interface MeshParts {
  readonly listen: HostPort;
  /** What is brought. */
  readonly issuer: IssuerFiles | undefined;
  /** What was read first: its Mesh says who everybody is, and that does not change while it runs. */
  readonly loaded: Loaded;
  readonly state: State | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  readonly again: () => Promise<Outcome | undefined>;
  readonly restate: () => void;
  readonly metrics: WorkerMetrics;
  /** Of this process, which become a member; undefined where there are none. */
  readonly proxies: OwnProxies | undefined;
}

export interface StartedMesh {
  readonly control: MeshControl;
  /** Of the gateway of this process; undefined where there is none. */
  readonly plans: OwnPlans | undefined;
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** @throws {StartFailure} as {@link MeshControl.start} does, and when no state is kept */
export async function startMesh({ loaded, issuer, state, proxies, ...parts }: MeshParts): Promise<StartedMesh> {
  if (state === undefined) throw new StartFailure('Cannot run the mesh: this process keeps no state');
  const spec = loaded.resources.find((resource): resource is Mesh => resource.kind === 'Mesh')?.spec;
  const trustDomain = spec?.trustDomain ?? 'cluster.local';
  const about = { trustDomain, nowMs: parts.clock.wallMs() };
  const control = await MeshControl.start({
    ...parts,
    state,
    trustDomain,
    brought: issuer === undefined ? undefined : await readIssuerFiles(issuer, about),
    leafMs: spec === undefined ? DAY_MS : durationOr(spec.leafLifetime, DAY_MS),
  });
  if (proxies === undefined) return { control, plans: undefined, close: () => control.close() };
  const membership = await control.admitGateway((member) => plans.certified(member));
  const plans = new OwnPlans(proxies, membership.member, parts.log);
  return {
    control,
    plans,
    async close() {
      membership.close();
      await control.close();
    },
  };
}
