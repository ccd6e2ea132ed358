/** What the admin API may know of the trust of a mesh, and do to it. */
import type { DrillReport } from '../../control/drill.ts';
import type { Pace, RotationStatus } from '../../control/trust-turner.ts';
import type { Alarm } from '../../identity/renewal.ts';
import type { RotationKind } from '../../identity/rotation.ts';

export interface TrustView {
  certificates(): Promise<readonly MeshCertificate[]>;
  roots(): TrustedRoots;
  rotation(): Promise<RotationReport>;
  /** One that runs already is no failure where it is of the same kind. @returns in words why it cannot begin */
  rotate(kind: RotationKind, pace: Pace): Promise<string | undefined>;
  /** @returns in words why it cannot be taken back */
  cancel(): Promise<string | undefined>;
  /** Begins one. @returns in words why it cannot begin */
  drill(phaseMsMax: number | undefined): string | undefined;
  /** @returns in words why there is nothing to be aborted */
  abortDrill(): string | undefined;
}

/** What another mesh needs to believe this one: an item of `federation` of its Mesh. */
export interface TrustedRoots {
  readonly trustDomain: string;
  /** PEM. While a root is rotated there are two. */
  readonly caCertificates: string;
}

export interface RotationReport extends RotationStatus {
  /** The last drill that this control plane has run; absent before the first. */
  readonly drill?: DrillReport;
}

/** One certificate of the mesh. Times are RFC 3339. */
export interface MeshCertificate {
  readonly what: 'root' | 'issuer' | 'federated root' | 'control plane' | 'gateway' | 'proxy';
  /** SPIFFE ID, or the trust domain of an authority. */
  readonly owner: string;
  /** Instance of a proxy; of an authority whether it is in use: `active`, `next`, `leaving`, `former`. */
  readonly where: string;
  readonly serial: string;
  /** Its issuer: `active`, or one that is to be retired; absent where nobody of ours signed it. */
  readonly issuedBy?: 'active' | 'leaving';
  readonly isBrought: boolean;
  readonly from: string;
  readonly until: string;
  /** `late`: more than half of its life is over, and it is not renewed. */
  readonly alarm: Alarm;
}
