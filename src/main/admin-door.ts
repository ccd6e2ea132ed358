import { type AdminServer, startAdmin } from '../api/admin/server.ts';
import type { AdminView } from '../api/admin/view.ts';
import { systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { HostPort } from './host-port.ts';
import { bindFailure } from './port-probe.ts';
import { StartFailure } from './start-failure.ts';

/** The admin API, which may open later than the process serves and close earlier. */
export class AdminDoor {
  readonly #view: AdminView;
  readonly #log: Log;
  #server: AdminServer | undefined;

  constructor(view: AdminView, log: Log) {
    this.#view = view;
    this.#log = log;
  }

  get at(): { readonly address: string; readonly port: number } | undefined {
    return this.#server;
  }

  /** @throws {StartFailure} when it cannot listen there */
  async open({ host, port }: HostPort): Promise<void> {
    try {
      this.#server = await startAdmin({ host, port, view: this.#view, clock: systemClock, log: this.#log });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new StartFailure(`Admin API: ${bindFailure(error, host, port).message}`);
    }
    const { address } = this.#server;
    if (!isLoopback(address)) {
      const message = 'The admin API listens on an address that others can reach: it has no authentication';
      this.#log.warn(message, { address, port: this.#server.port });
    }
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
