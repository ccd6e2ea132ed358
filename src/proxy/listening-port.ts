/** What a node sees of a socket that listens, whatever comes in there. It outlives snapshots. */
import type { PortState } from '../ir/port-state.ts';
import type { PortView, Runtime } from './runtime.ts';

export interface ListeningPortOptions {
  readonly runtime: Runtime;
  readonly view: PortView;
  readonly planVersion: string;
  /** Address to bind; `view.plan.address` with `*` replaced. */
  readonly address: string;
  readonly reusePort: boolean;
}

export interface ListeningPort {
  readonly view: PortView;
  /** Connections of clients; sessions of UDP. */
  readonly connections: number;
  readonly exchanges: number;
  /** Never rejects: a port that cannot be bound is a state, not an error. */
  bind(): Promise<PortState>;
  /** Shows a new snapshot to everything that begins from now on. */
  show(view: PortView, planVersion: string): void;
  /** Accepts nothing more; what runs has `graceMs` to finish. */
  drain(graceMs: number): void;
  /** Resolves when nothing is left in a drain. */
  quiet(): Promise<void>;
  /** Ends everything now. */
  close(): void;
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address in use',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'address not available on this machine',
  EINVAL: 'not an address that can be bound',
};

export function bindFailureOf(error: NodeJS.ErrnoException, address: string, port: number): PortState {
  const code = error.code ?? 'UNKNOWN';
  const message = `Cannot bind ${address}:${port}: ${WHY[code] ?? code}`;
  return { state: 'failed', address, port, error: code, message };
}
