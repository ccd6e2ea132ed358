/**
 * What a proxy and the control plane say to each other on the stream of
 * `fourways.push.v1.Plan/Stream`, as values. Nothing here knows how it looks on
 * the wire (wire.ts): the two ends are machines over these values, so that
 * thousands of them can run in one process without a socket.
 */
import type { AskEnd } from '../base/asking.ts';
import type { PlanDelta } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { Inventory } from './inventory.ts';

/** Counts up when a message means something else than before; what is only added is passed over by older ends. */
export const PROTOCOL = 1;

/** Largest message on the wire, in bytes. Both ends refuse what is larger; the limit of gRPC itself is 4 MiB. */
export const MESSAGE_BYTES_MAX = 1024 * 1024;

/** Services that one proxy is subscribed to: their names fit a message. Beyond: the stream is cut. */
export const SERVICES_MAX = 2_048;

/** Characters of a name on the stream, of a service or of a part: a DNS name has 253. */
export const NAME_CHARS_MAX = 1_024;
export const SERVICE_CHARS_MAX = 255;

/** Gateways that one proxy serves. Beyond: refused. */
export const GATEWAYS_MAX = 64;

/** Ports whose state an acknowledgement carries; failed ones come first. */
export const PORTS_MAX = 2_000;

/** Characters of a reason or a message for people. Beyond: cut off. */
export const REASON_CHARS_MAX = 2_000;

/** Characters of the certificates in a trust bundle: some two hundred. */
export const TRUST_CHARS_MAX = 256 * 1024;

/** Bytes of what comes with a wish. */
export const WISH_BYTES_MAX = 64 * 1024;

/** The plan that a proxy has, in short: two that are equal need no delta between them. */
export interface Holding {
  /** Version of the plan. */
  readonly version: string;
  /** Hash over the names and hashes of the secrets, which the version leaves out. */
  readonly secrets: string;
}

/** The trust bundle that a proxy has, in short. */
export interface Trusts {
  readonly bundle: string;
  /** Id of the issuer that it knows to issue now. */
  readonly issuer: string;
}

/** How a proxy introduces itself. Who it is, is not here: its certificate says so. */
export interface Hello {
  readonly protocol: number;
  /** Version of the software. */
  readonly software: string;
  /** Tells instances of one identity apart; chosen by the proxy, the same after a reconnect. */
  readonly instance: string;
  readonly role: 'gateway' | 'sidecar';
  /** Whose plan it asks for. Empty: that of its certificate, and any other is refused. */
  readonly identity: string;
  readonly zone: string;
  /** Where its forward proxy is to listen; undefined for none. */
  readonly forward?: { readonly address: string; readonly port: number } | undefined;
  /** Of a gateway: what it is to serve, as `NAMESPACE/NAME`. */
  readonly gateways?: readonly string[];
  /** Of a gateway: at which clients reach it; empty when it does not say. */
  readonly address?: string;
  readonly holds: Holding | undefined;
  /** What it trusts already; undefined for one that has not said so. */
  readonly trusts?: Trusts | undefined;
  readonly services: readonly string[];
}

/** What of a hello does not change as long as the proxy runs. */
export type Self = Omit<Hello, 'protocol' | 'holds' | 'trusts' | 'services'>;

/** What a proxy tells without being asked. Each is the newest of its kind; what it said before is forgotten. */
export type Report =
  | ({ readonly kind: 'workload' } & WorkloadReport)
  | ({ readonly kind: 'load' } & LoadReport)
  | ({ readonly kind: 'certificate' } & CertificateReport);

/** An instance of a service that stands behind this proxy. */
export interface WorkloadReport {
  readonly service: string;
  readonly namespace: string;
  readonly address: string;
  readonly ports: readonly WorkloadPort[];
  /** At which it takes mTLS for all of them. */
  readonly proxyPort: number;
  readonly zone: string;
  readonly health: 'healthy' | 'unhealthy' | 'draining';
}

export interface WorkloadPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

export interface LoadReport {
  readonly connections: number;
  readonly exchanges: number;
  /** Endpoints that its own checks find unhealthy. */
  readonly unhealthy: number;
}

export interface CertificateReport {
  /** End of the certificate that the proxy shows to others, in milliseconds since the Unix epoch. */
  readonly notAfterMs: number;
  /** Its serial number, hex. */
  readonly serial: string;
  /** Hash of the trust bundle by which all of the proxy works: that all have said so ends a rotation. */
  readonly bundle: string;
  /** Id of the issuer that it knows to issue now; empty for one that does not say. */
  readonly issuer: string;
}

/** What a proxy is to trust. */
export interface TrustBundle {
  readonly hash: string;
  readonly trustDomain: string;
  /** PEM, of this trust domain. Two while a root is rotated. */
  readonly roots: readonly string[];
  /** Others whose workloads are known here, with PEMs that are good for their identities only. */
  readonly federated: readonly { readonly trustDomain: string; readonly anchors: readonly string[] }[];
  /** Id of the issuer that issues now: who has a certificate of another one renews it soon. */
  readonly issuer: string;
}

/** Something that the control plane would like a proxy to do. One that does not know the name passes it over. */
export interface Wish {
  readonly name: string;
  /** JSON, as the name has it. */
  readonly body: string;
}

/** One answer to a question of the control plane, or its end. */
export interface AnswerMessage {
  readonly kind: 'answer';
  /** Of the question. */
  readonly id: number;
  /** JSON, as the topic has it; empty when the end is all there is to say. */
  readonly body: string;
  /** Answers before this one that were left out. */
  readonly lost: number;
  readonly last: boolean;
  /** How it ended; only with `last`. */
  readonly end: AskEnd;
}

/** From a proxy. */
export type ProxyMessage =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'inventory'; readonly inventory: Inventory }
  | { readonly kind: 'subscribe'; readonly services: readonly string[] }
  | { readonly kind: 'unsubscribe'; readonly services: readonly string[] }
  /** `serial` of the delta that is answered; 0: nothing was asked, this is what is served. */
  | { readonly kind: 'ack'; readonly serial: number; readonly version: string; readonly ports: PortStates }
  | { readonly kind: 'nack'; readonly serial: number; readonly version: string; readonly reason: string }
  | { readonly kind: 'report'; readonly report: Report }
  | AnswerMessage;

/** To a proxy. */
export type ControlMessage =
  | { readonly kind: 'welcome'; readonly software: string; readonly control: string }
  /** The holding of the hello is not the plan of now: say by part what you have. */
  | { readonly kind: 'inventory-wanted' }
  /** `serial` counts from 1 on each stream: two deltas may lead to one version, when only secrets change. */
  | { readonly kind: 'delta'; readonly serial: number; readonly delta: PlanDelta }
  /** Nobody knows services of these names (yet). */
  | { readonly kind: 'unknown'; readonly services: readonly string[] }
  /** What to trust from now on. */
  | { readonly kind: 'trust'; readonly bundle: TrustBundle }
  | { readonly kind: 'wish'; readonly wish: Wish }
  /** A question: `body` is JSON, `id` counts from 1 on each stream. One that knows no questions passes it over. */
  | { readonly kind: 'ask'; readonly id: number; readonly topic: string; readonly body: string }
  /** Nobody waits for more answers to it. */
  | { readonly kind: 'unask'; readonly id: number };
