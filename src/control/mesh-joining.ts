/** Who may join: what the port for proxies asks, answered by the authority. */
import { type Authority, type Issued as Certified } from '../identity/authority.ts';
import type { Refusal } from '../identity/refusal.ts';
import { requestPem } from '../identity/request.ts';
import type { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { pushFault } from '../push/faults.ts';
import type { Facts, Issued, Joining } from '../push/joining.ts';

export class MeshJoining implements Joining {
  readonly #authority: Authority;
  readonly #log: Log;

  constructor(authority: Authority, log: Log) {
    this.#authority = authority;
    this.#log = log;
  }

  anchors(): readonly string[] {
    return this.#authority.anchors;
  }

  /** `identity` and `instance` of the facts are what is asked for; the token says whether it is given. */
  async join(token: string, csrDer: Buffer, { identity = '', instance = '' }: Facts): Promise<Issued | Fault> {
    return this.#settle(await this.#authority.join({ identity, csr: requestPem(csrDer), proxy: instance }, token), {
      identity,
      instance,
    });
  }

  async renew(identity: string, csrDer: Buffer, { instance = '' }: Facts): Promise<Issued | Fault> {
    return this.#settle(await this.#authority.renew({ identity, csr: requestPem(csrDer), proxy: instance }), {
      identity,
      instance,
    });
  }

  #settle(
    certified: Certified | Refusal,
    who: { readonly identity: string; readonly instance: string },
  ): Issued | Fault {
    if ('refused' in certified) {
      this.#log.warn(`A certificate was refused: ${certified.reason}`, { code: certified.refused, ...who });
      return pushFault('push.join-refused', certified.reason);
    }
    const { chainPem, bundle, serial, notAfterMs } = certified;
    this.#log.info('A certificate was issued', { ...who, serial, until: new Date(notAfterMs).toISOString() });
    return { chainPem, trust: bundle };
  }
}
