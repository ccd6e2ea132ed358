/** What a status is made of, and the object that carries it. */
import type { FailingFilter } from '../ir/node-stats.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { Resource } from '../resource/resource.ts';
import type { CertificateProgress } from './acme.ts';
import type { ConditionMemory, Subject } from './condition.ts';

/** What is true of the running proxies. */
export interface RuntimeState {
  /** Address that `*` in the plan stands for. */
  readonly bind: string;
  /** State of each port, all workers together: `bound` when every one of them has it. */
  readonly ports: PortStates;
  /** Version of the plan that every worker has applied; undefined before the first. */
  readonly appliedVersion: string | undefined;
  /**
   * Whoever serves a Gateway or calls a Service, by its key, or has instances of one (`Inbound/shop/orders`); absent where
   * this process alone serves Gateways, as said above.
   */
  readonly proxiesOf?: (key: string) => readonly ServingProxy[];
  /** Filters that cannot do their work in some worker; absent where nobody knows. */
  readonly failing?: readonly FailingFilter[];
  /** Of certificates that are ordered, by key of their Secret; absent where nothing is ordered. */
  progressOf?(secret: string): CertificateProgress | undefined;
}

/** A proxy that serves a Gateway, or calls a Service. */
export interface ServingProxy {
  /** For people. */
  readonly name: string;
  /** Whether it serves the plan that it should. */
  readonly state: 'current' | 'behind';
  /** Version of that plan. */
  readonly wanted: string | undefined;
  /** Why it does not take it. */
  readonly refused?: string | undefined;
  readonly ports: PortStates;
  /** Address that `*` in the plan stands for; empty when it is not known. */
  readonly bind: string;
}

/** An object as Kubernetes has it, without its spec. */
export interface StatusItem {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly generation: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly creationTimestamp?: string;
    readonly uid?: string;
  };
  readonly status: Readonly<Record<string, unknown>>;
}

export interface StatusWork {
  readonly runtime: RuntimeState;
  /** Version of the plan of this compile. */
  readonly version: string;
  readonly memory: ConditionMemory;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly controllerName: string;
  /** Number of attached routes by `Gateway/NS/NAME/LISTENER`. */
  readonly attached: ReadonlyMap<string, number>;
}

/** One object and its status. */
export interface Stated {
  readonly resource: Resource;
  readonly status: Readonly<Record<string, unknown>>;
}

/** @param part  `listener http`, `parent Gateway/shop/edge`: what inside the object has the conditions */
export function subjectOf({ kind, metadata: { namespace, name, generation } }: Resource, part = ''): Subject {
  return { path: `${kind}/${namespace}/${name} ${part}`, generation };
}

export function itemOf(resource: Resource, status: Readonly<Record<string, unknown>>): StatusItem {
  const { apiVersion, kind, metadata } = resource;
  const { name, namespace, generation, labels, annotations, creationMs, uid } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace !== '' && { namespace }),
      generation,
      ...(Object.keys(labels).length > 0 && { labels }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(creationMs !== undefined && { creationTimestamp: new Date(creationMs).toISOString() }),
      ...(uid !== undefined && { uid }),
    },
    status,
  };
}
