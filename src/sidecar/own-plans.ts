/** The plans of a proxy that has a certificate of its own: it is put beside each plan that comes, and never travels. */
import type { Log } from '../base/log.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import { diffPlans } from '../ir/diff.ts';
import { OWN_IDENTITY, type Plan, type PlanBundle } from '../ir/plan.ts';
import type { Member } from './membership.ts';

/** The proxies that are to serve them. */
export interface Applier {
  apply(change: Change): Promise<ApplyResult>;
}

/** Plans as they come, with the certificate that this proxy has now, one change after the other. */
export class OwnPlans {
  readonly ready: Promise<void>;
  readonly #fleet: Applier;
  readonly #log: Log;
  readonly #isReady = Promise.withResolvers<void>();
  #own: Member;
  /** As it came. */
  #bundle: PlanBundle | undefined;
  /** With the certificate: what the proxies have. */
  #applied: PlanBundle | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(fleet: Applier, own: Member, log: Log) {
    this.#fleet = fleet;
    this.#own = own;
    this.#log = log;
    this.ready = this.#isReady.promise;
  }

  get plan(): Plan | undefined {
    return this.#applied?.plan;
  }

  apply(bundle: PlanBundle): Promise<ApplyResult> {
    return this.#inTurn(async () => {
      const result = await this.#show(bundle);
      if (result.kind === 'ack') this.#isReady.resolve();
      return result;
    });
  }

  async certified(own: Member): Promise<void> {
    await this.#inTurn(async () => {
      this.#own = own;
      if (this.#bundle === undefined) return;
      const result = await this.#show(this.#bundle);
      if (result.kind === 'nack') this.#log.error(`The new certificate is not served: ${result.reason}`);
    });
  }

  async #show(bundle: PlanBundle): Promise<ApplyResult> {
    const { chainPem, keyPem } = this.#own;
    const own = { certificatePem: chainPem, privateKeyPem: keyPem };
    const next: PlanBundle = { plan: bundle.plan, secrets: { ...bundle.secrets, [OWN_IDENTITY]: own } };
    const result = await this.#fleet.apply({ bundle: next, delta: diffPlans(this.#applied, next) });
    if (result.kind === 'ack') {
      this.#bundle = bundle;
      this.#applied = next;
    }
    return result;
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
