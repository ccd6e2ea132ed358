/** What one worker says of itself when asked. */
export interface NodeStats {
  readonly version: string | undefined;
  readonly connections: number;
  readonly exchanges: number;
  /** State of each endpoint by cluster key, for /status. */
  readonly endpoints: Readonly<Record<string, readonly EndpointStats[]>>;
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
}
