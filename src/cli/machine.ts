/** What `fourways doctor` asks of the machine, lent by main/. Asking changes nothing. */

export interface Machine {
  /** `v26.10.0`. */
  readonly nodeVersion: string;
  /** Of the system: below /proc and /etc. @throws {Error} with the `code` of the system */
  readFile(path: string): Promise<string>;
  /** Binds a port alone and lets go of it at once. Resolves with why it cannot be had. */
  probePort(address: string, port: number, transport: 'tcp' | 'udp'): Promise<PortRefusal | undefined>;
  /** Addresses of a name as programs here find them, or instances of a service: none with the `code` of the system. */
  lookUp(name: string, records: 'addresses' | 'srv'): Promise<LookedUp>;
  /** Asks a name server for a name that nobody can have. */
  askResolver(address: string): Promise<LookedUp>;
  /** Tables of nftables of family inet, or in words why they cannot be seen. */
  tables(): Promise<readonly string[] | TablesUnseen>;
  /** The clock of who listens there: our admin API, or a control plane. In words why it does not say. */
  clockOf(at: {
    readonly host: string;
    readonly port: number;
    readonly wire: 'admin' | 'control';
  }): Promise<ClockReading | string>;
  /** Asks an application once and leaves the connection open. In words why there is no answer. */
  keepOpen(at: { readonly host: string; readonly port: number }): Promise<KeptOpen | string>;
}

export interface PortRefusal {
  /** Of the system: `EADDRINUSE`, `EACCES` … */
  readonly error: string;
  /** In words, with who has it where that can be told. */
  readonly message: string;
  /** Process that has it. */
  readonly pid?: number;
}

export interface LookedUp {
  readonly found: number;
  /** Of the system: `ENOTFOUND`, `ETIMEOUT` …; absent when there was an answer. */
  readonly code?: string;
  readonly tookMs: number;
}

export interface TablesUnseen {
  readonly why: 'no-nft' | 'refused';
  readonly detail: string;
}

/** What a `Date` said, whole seconds, and when it was asked for by the clock here. */
export interface ClockReading {
  readonly saidMs: number;
  readonly askedMs: number;
  readonly answeredMs: number;
}

export interface KeptOpen {
  readonly status: number;
  /** It ends each connection after its answer. */
  readonly closes: boolean;
  /** What its `Keep-Alive` says; absent when it says nothing. */
  readonly saysMs?: number;
  /** Silence after which it ended the connection; absent when that was not seen. */
  readonly endedAfterMs?: number;
  /** How long it was watched for that. */
  readonly watchedMs: number;
}
