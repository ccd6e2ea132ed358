/** What became of a port of the plan in one worker. */
export type PortState =
  | { readonly state: 'bound'; readonly address: string; readonly port: number }
  | {
      readonly state: 'failed';
      readonly address: string;
      readonly port: number;
      /** Code of the system: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`. */
      readonly error: string;
      readonly message: string;
    };

export type PortFailure = Extract<PortState, { state: 'failed' }>;

/** States by key in `Plan.ports`. */
export type PortStates = Readonly<Record<string, PortState>>;

/** Ports that must stay unbound, by key in `Plan.ports`: another process holds them, which `reusePort` would hide. */
export type PortRefusals = Readonly<Record<string, PortFailure>>;
