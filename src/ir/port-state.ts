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
