/** Providers that rules have in common: read once in a worker, however many rules there are. */
import type { Env } from '../../filter/env.ts';
import type { OidcConfig, ProviderConfig } from './config.ts';
import { Ledger } from './ledger.ts';
import { Provider } from './provider.ts';

interface Used {
  readonly provider: Provider;
  uses: number;
}

/** All that filters of this kind share in one worker. Outlives changes of the plan. */
export class Shared {
  readonly ledger: Ledger;
  readonly #providers = new Map<string, Used>();

  constructor(env: Env) {
    this.ledger = new Ledger(env);
  }

  /** To be given back by {@link release}. A new plan takes it before the old one lets it go, so it is not read again. */
  take(config: ProviderConfig, all: OidcConfig, env: Env): Provider {
    const key = keyOf(config, all);
    let used = this.#providers.get(key);
    if (used === undefined) this.#providers.set(key, (used = { provider: new Provider(config, all, env), uses: 0 }));
    used.uses++;
    return used.provider;
  }

  release(config: ProviderConfig, all: OidcConfig): void {
    const key = keyOf(config, all);
    const used = this.#providers.get(key);
    if (used === undefined || --used.uses > 0) return;
    used.provider.close();
    this.#providers.delete(key);
  }
}

/** A reference to a secret changes with its value. */
function keyOf(config: ProviderConfig, { timeout, clockTolerance }: OidcConfig): string {
  return JSON.stringify([config, timeout, clockTolerance]);
}
