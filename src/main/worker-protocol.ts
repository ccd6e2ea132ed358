/** What the main thread and a worker say to each other. Secrets travel in these messages only: never in env or argv. */
import type { Ask, AskEnd } from '../base/asking.ts';
import type { FilterOrder, OrderAnswer } from '../base/filter-order.ts';
import type { LogLevel } from '../base/log.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { NodeStats } from '../ir/node-stats.ts';
import type { PlanDelta } from '../ir/plan.ts';
import type { PortRefusals, PortStates } from '../ir/port-state.ts';
import type { SeriesEvent } from '../observe/metrics.ts';

/** What a worker is started with. */
export interface WorkerSettings {
  /** Counts from 1. */
  readonly worker: number;
  /** How many there are. */
  readonly workers: number;
  /** Address for ports of the plan that name none. */
  readonly bind: string;
  /** Zone that this host is in: `eu/a`; empty where nobody has said. */
  readonly zone: string;
  /** How long ports that leave the plan may still serve what runs there. */
  readonly drainMs: number;
  /** Other workers, or another process that is taken over, listen on the same ports. */
  readonly reusePort: boolean;
  /** Where it counts; see observe/slab.ts. */
  readonly slab: SharedArrayBuffer;
  /** Keys for TLS session tickets, and those before them. */
  readonly ticketKeys: { readonly current: Uint8Array; readonly previous: Uint8Array | undefined };
  readonly logLevel: LogLevel;
  /** Redis that all proxies share: with its password. */
  readonly redisUrl: string | undefined;
  /** Where filters of all workers count together. */
  readonly cells: SharedArrayBuffer;
  /** What is not true any more, whichever worker says so. */
  readonly marks: SharedArrayBuffer;
  /** Whether somebody is there to ask for services that the plan does not have. */
  readonly asksForServices: boolean;
}

/** What a worker may be asked for, with the answer of each. */
export interface Answers {
  readonly apply: ApplyResult;
  readonly rebind: PortStates;
  readonly drain: undefined;
  readonly stats: NodeStats;
  readonly order: OrderAnswer;
  readonly measure: undefined;
}

export type Question =
  | { readonly kind: 'apply'; readonly delta: PlanDelta; readonly refused: PortRefusals }
  | { readonly kind: 'rebind'; readonly refused: PortRefusals }
  | { readonly kind: 'drain'; readonly deadlineMs: number }
  | { readonly kind: 'stats' }
  | { readonly kind: 'order'; readonly filter: string; readonly order: FilterOrder }
  | { readonly kind: 'measure' };

export type ToWorker =
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  /** Of whoever looks into the proxy (base/asking.ts). */
  | { readonly kind: 'question'; readonly id: number; readonly ask: Ask }
  | { readonly kind: 'take-back'; readonly id: number }
  /** New keys for TLS session tickets: the same for every worker. */
  | { readonly kind: 'ticket-keys'; readonly bytes: Uint8Array }
  /** It is sure whether a plan will have this service. */
  | { readonly kind: 'service-settled'; readonly name: string }
  /** What became of the batch of access-log lines that was sent last. */
  | { readonly kind: 'lines-done'; readonly written: 'all' | 'none' };

export type FromWorker =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Answers[keyof Answers] }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }
  /** One of the answers to a question, and its end. */
  | { readonly kind: 'told'; readonly id: number; readonly body: object; readonly lost: number }
  | { readonly kind: 'told-all'; readonly id: number; readonly end: AskEnd }
  | { readonly kind: 'series'; readonly event: SeriesEvent }
  /** A client called for a service that the plan does not have. */
  | { readonly kind: 'service-wanted'; readonly name: string }
  /** Lines of the access log. The next batch is sent after `lines-done`, so that a slow reader costs no memory here. */
  | { readonly kind: 'lines'; readonly text: string }
  | {
      readonly kind: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };
