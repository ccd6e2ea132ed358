/** A site whose users log in, through the whole proxy, with a real provider. */
import assert from 'node:assert/strict';
import type http from 'node:http';
import { Harness, clusterTo, routeOf, ruleTo, Upstream } from '../../../proxy/testing/node-harness.ts';
import { check } from '../../../schema/schema.ts';
import { oidc, OidcConfig } from '../config.ts';
import { type Page, type TestBrowser } from './browser.ts';
import { CLIENT_ID, CLIENT_SECRET, type ProviderOptions, TestProvider } from './provider.ts';

const KEY = 'k'.repeat(32);
const NEW_KEY = 'n'.repeat(32);
export const secrets = {
  id: { value: CLIENT_SECRET },
  key: { value: KEY },
  new: { value: NEW_KEY },
  short: { value: 'short' },
} as const;

export const secret = (name: keyof typeof secrets): object => ({ secret: name, key: 'k', hash: name });

export interface Seen {
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
}

interface Setting {
  readonly config?: object;
  readonly provider?: Partial<ProviderOptions>;
  readonly providerFields?: object;
}

/** A shop behind the proxy, and its provider. */
export class Shop implements AsyncDisposable {
  readonly proxy: Harness;
  readonly upstream: Upstream;
  readonly provider: TestProvider;
  readonly origin: string;
  config: OidcConfig;

  private constructor(parts: Pick<Shop, 'proxy' | 'upstream' | 'provider' | 'config'>) {
    this.proxy = parts.proxy;
    this.upstream = parts.upstream;
    this.provider = parts.provider;
    this.config = parts.config;
    this.origin = `http://127.0.0.1:${parts.proxy.port}`;
  }

  static async start({ config = {}, provider: options = {}, providerFields = {} }: Setting = {}): Promise<Shop> {
    const upstream = await Upstream.start((asked, answer) => {
      answer.end(JSON.stringify({ url: asked.url, headers: asked.headers }));
    });
    const proxy = new Harness([oidc]);
    await proxy.start({ clusters: { c: clusterTo([upstream.port]) } });
    const origin = `http://127.0.0.1:${proxy.port}`;
    const provider = await TestProvider.start({ origins: [origin], ...options });
    const made = configOf(provider.issuer, config, providerFields);
    const shop = new Shop({ proxy, upstream, provider, config: made });
    await shop.use(made);
    return shop;
  }

  /** A change of the plan. */
  async use(config: OidcConfig, owner = 'Policy d/p'): Promise<void> {
    this.config = config;
    const planned = [{ filter: 'oidc', config, owner }];
    const result = await this.proxy.change({ routes: { r: routeOf(ruleTo({ filters: planned })) }, secrets });
    assert.equal(result.kind, 'ack', JSON.stringify(result));
  }

  async login(browser: TestBrowser, path = '/cart?a=1', user = 'ann'): Promise<Page> {
    const form = await browser.open(this.origin + path);
    assert.match(form.body, /<title>Log in/, `${form.status} ${form.body}`);
    return browser.submit(form, { login: user });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.provider[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

function configOf(issuer: string, more: object, providerFields: object): OidcConfig {
  const { value, issues } = check(OidcConfig, {
    providers: [{ name: 'id', issuer, clientId: CLIENT_ID, scopes: ['email', 'profile'], ...providerFields }],
    keys: [{ name: 'k', key: 'k' }],
    cookie: { transport: 'any' },
    ...more,
  });
  assert.deepEqual(issues, []);
  const config = value as OidcConfig;
  return {
    ...config,
    keys: [secret('key')],
    providers: config.providers.map((provider) => ({ clientSecret: secret('id'), ...provider })),
  } as unknown as OidcConfig;
}
