/** What one worker says of itself when asked. */
export interface NodeStats {
  readonly version: string | undefined;
  readonly connections: number;
  readonly exchanges: number;
  /** State of each endpoint by cluster key, for /status. */
  readonly endpoints: Readonly<Record<string, readonly EndpointStats[]>>;
  /** Requests and connections by listener key, of listeners that any have been for, since each came. */
  readonly used: Readonly<Record<string, number>>;
  /** One for each filter of an owner and reason, however many rules it is on. */
  readonly failing: readonly FailingFilter[];
}

/** A filter that cannot do its work: what it is for answers 500, or in an audit passes unseen. */
export interface FailingFilter {
  readonly filter: string;
  /** As the plan has it: `Policy shop/access`. */
  readonly owner: string;
  readonly why: string;
}

export interface EndpointStats {
  readonly address: string;
  readonly port: number;
  readonly connections: number;
  readonly idle: number;
  /** What the health checks of its BackendPolicy found; absent without checks. */
  readonly health?: 'healthy' | 'unhealthy';
  /** The DNS name that gave the address. */
  readonly resolvedFrom?: string;
  /** Why that name could not be resolved the last time: the address is of the last good answer. */
  readonly stale?: string;
  readonly zone?: string;
  /** Of those that are used one after the other, from 0; absent where all are alike. */
  readonly level?: number;
  /** Who said that it is there, in words: `Workload shop/orders-1`. Only where that is known. */
  readonly source?: string;
  /** When the proxy first had it, in milliseconds since the epoch. */
  readonly sinceMs: number;
}
