/** A small OpenID provider (`oidc-provider`) for one site, where everybody may be whoever he says. */
import { TestProvider } from '../../src/filters/oidc/testing/provider.ts';

export interface RunningProvider {
  readonly port: number;
  close(): Promise<void>;
}

/** @param origin  of the site whose users log in */
export async function startProvider(port: number, origin: string): Promise<RunningProvider> {
  const provider = await TestProvider.start({ port, origins: [origin] });
  return { port: Number(new URL(provider.issuer).port), close: () => provider[Symbol.asyncDispose]() };
}
