/** What the admin API may know of the process. Lent by main/. */
import type { FilterOrder, OrderAnswer } from '../../base/filter-order.ts';
import type { Problem } from '../../base/problem.ts';
import type { CallAnswer, CallQuestion } from '../../compile/mesh-calls.ts';
import type { FleetStats } from '../../control/fleet.ts';
import type { MemberHealth } from '../../control/member.ts';
import type { MeshSummary } from '../../control/mesh-summary.ts';
import type { ListedProxy } from '../../control/shared-proxies.ts';
import type { Askables } from '../../control/survey.ts';
import type { Recorder } from '../../control/recorder.ts';
import type { Plan } from '../../ir/plan.ts';
import type { Exposition } from '../../observe/exposition.ts';
import type { MeshCertificate, TrustView } from './trust-view.ts';

export interface AdminView {
  readiness(): Readiness;
  /** @param accept  the Accept header of the scrape */
  metrics(accept: string | undefined): Promise<Exposition>;
  /** Every object with its `.status`, as of the plan that every worker has applied. */
  status(): StatusList;
  /** The plan that every worker has applied; undefined before the first. */
  plan(): Plan | undefined;
  problems(): ProblemReport;
  about(): About;
  stats(): Promise<FleetStats>;
  certificates(): Promise<CertificateReport>;
  /** Undefined where no mesh is run. */
  readonly mesh: MeshView | undefined;
  /** Undefined where the plan does not come from a control plane elsewhere. */
  readonly member: MemberReport | undefined;
  /** Of every worker that lives: what its filters of this kind make of it. */
  order(filter: string, order: FilterOrder): Promise<readonly OrderAnswer[]>;
  /** Proxies that can be asked about what they do now: all that are connected, or the one that this is. */
  readonly proxiesToAsk: Askables;
}

/** A proxy of the mesh, and how it stands with its control planes. */
export interface MemberReport {
  /** SPIFFE ID. */
  readonly identity: string;
  readonly instance: string;
  /** `HOST:PORT` of each control plane. */
  readonly control: readonly string[];
  /** The one that it hears; absent when there is none. */
  readonly connected?: string;
  /** Without one: for how long, and why. */
  readonly missing?: { readonly forMs: number; readonly reason: string };
  readonly certificate: MeshCertificate;
}

/** What the admin API may know of the mesh, and do. */
export interface MeshView {
  readonly trust: TrustView;
  readonly recorder: RecorderView;
  proxies(): readonly ListedProxy[];
  summary(): MeshSummary;
  /** Who is on the way of a call; undefined before the first plan. */
  calls(question: CallQuestion): CallAnswer | undefined;
  /** @returns in words why there can be no such token */
  createToken(wish: TokenWish): Promise<{ readonly id: string; readonly token: string } | string>;
  denied(): readonly DeniedIdentity[];
  /** @returns in words why it cannot be denied */
  deny(identity: string, reason: string): Promise<string | undefined>;
  /** @returns whether it was denied */
  allow(identity: string): Promise<boolean>;
}

/** What is recorded of calls. */
export type RecorderView = Pick<Recorder, 'recording' | 'calls' | 'start' | 'stop'>;

/** Nothing is issued to it, it gets no plan, and proxies turn it away. */
export interface DeniedIdentity {
  /** SPIFFE ID. */
  readonly identity: string;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

export interface TokenWish {
  readonly namespace: string;
  readonly account: string;
  readonly uses: number;
  readonly lastsMs: number;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, in words; empty when ready. */
  readonly reason: string;
  readonly version: string | undefined;
  readonly workers: readonly MemberHealth[];
}

/** A Kubernetes `List`. */
export interface StatusList {
  readonly apiVersion: 'v1';
  readonly kind: 'List';
  readonly items: readonly object[];
}

export interface ProblemReport {
  /** Version of the plan that is served. */
  readonly version: string | undefined;
  /** Why the newest configuration is not served; absent when it is. */
  readonly refused?: string;
  /** Of the configuration that was read last, served or not. */
  readonly problems: readonly Problem[];
}

export interface About {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  /** File or folder that is watched. */
  readonly source: string;
  /** RFC 3339. */
  readonly startedAt: string;
}

/** Every certificate that is served or awaited. */
export interface CertificateReport {
  /** Where what is ordered is kept; absent where nothing is ordered. */
  readonly store?: { readonly name: string; readonly state: 'open' | 'away'; readonly reason: string };
  /** Whether this process orders, or another one that shares the store. */
  readonly orders: boolean;
  readonly certificates: readonly CertificateRow[];
  /** Those of the mesh: authorities first. Absent where none is run. */
  readonly mesh?: readonly MeshCertificate[];
}

/** One certificate on one listener. Times are RFC 3339. */
export interface CertificateRow {
  readonly owner: string;
  readonly listener: string;
  readonly hostname: string;
  readonly ports: readonly string[];
  /** `shop/tls`. */
  readonly secret: string;
  readonly state: 'valid' | 'expires-soon' | 'expired' | 'not-yet-valid' | 'awaited';
  /** DNS names that it is for; empty while it is awaited. */
  readonly names: readonly string[];
  /** Who signed it, as it says. */
  readonly issuer?: string;
  readonly serial?: string;
  readonly from?: string;
  readonly until?: string;
  /** Where it came from: an AcmeIssuer, or the place where its Secret is written. */
  readonly source: { readonly acme: string } | { readonly file: string; readonly line: number };
  /** When it is renewed, or tried again after an error. */
  readonly next?: string;
  /** Why it could not be had or renewed the last time. */
  readonly error?: string;
}
