/** From a page without a session to the provider and back. */
import { createHash } from 'node:crypto';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange, Reply } from '../../filter/filter.ts';
import { FAULTS, type OidcConfig } from './config.ts';
import { clearCookie, type Cookies, type CookieStyle, readCookies, styleOf } from './cookies.ts';
import type { Ledger } from './ledger.ts';
import { choicePage } from './page.ts';
import type { Provider, Tokens } from './provider.ts';
import { tokenFields } from './refresher.ts';
import { redirect, tooLarge } from './replies.ts';
import { returnAddress } from './return-to.ts';
import { Sealer } from './sealer.ts';
import { type Flow, FLOW_S_MAX, sameText, type Session } from './session.ts';
import type { Store } from './store.ts';

/** Logins that one browser may have begun, in several tabs. The oldest makes room. */
const FLOWS_MAX = 4;

/** 256 bits: neither guessed nor met twice. */
const SECRET_BYTES = 32;

export interface LoginOptions {
  readonly config: OidcConfig;
  readonly prefix: string;
  readonly secrets: readonly string[];
  readonly ledger: Ledger;
  readonly stores: ReadonlyMap<Provider, Store>;
}

export class Login {
  readonly #config: OidcConfig;
  readonly #env: Env;
  readonly #ledger: Ledger;
  readonly #stores: ReadonlyMap<Provider, Store>;
  readonly #sealer: Sealer;
  readonly #style: CookieStyle;
  readonly #flowPrefix: string;

  constructor({ config, prefix, secrets, ledger, stores }: LoginOptions, env: Env) {
    this.#config = config;
    this.#env = env;
    this.#ledger = ledger;
    this.#stores = stores;
    this.#sealer = new Sealer(secrets, env.owner, (count) => env.randomBytes(count));
    this.#style = styleOf(config.cookie.transport);
    this.#flowPrefix = `${prefix}.flow.`;
  }

  /** How the browser sees this site. */
  originOf({ request }: Exchange): string | Fault {
    const { origin = `${request.scheme}://${request.authority}`, cookie } = this.#config;
    if (cookie.transport === 'https' && !origin.startsWith('https:')) {
      return new Fault(FAULTS['oidc.insecure'], 'The request came over plain HTTP');
    }
    return URL.canParse(origin)
      ? new URL(origin).origin
      : new Fault('request.host-invalid', 'Host is no part of an address');
  }

  // --- there -------------------------------------------------------------------------------------------------------

  /** `/login`: by itself, or with the provider that was chosen. */
  choose(x: Exchange): Reply | Fault | Promise<Reply | Fault> {
    const asked = new URLSearchParams(x.request.query);
    const chosen = [...this.#stores.keys()].find(({ config }) => config.name === asked.get('provider'));
    return this.begin(x, chosen === undefined ? [...this.#stores.keys()] : [chosen], asked.get('return') ?? '/');
  }

  begin(x: Exchange, providers: readonly Provider[], target: string): Reply | Fault | Promise<Reply | Fault> {
    const origin = this.originOf(x);
    if (origin instanceof Fault) return origin;
    const { pathname, search } = new URL(returnAddress(origin, target));
    if (providers.length === 1) return this.#send(x, { provider: providers[0]!, origin, returnTo: pathname + search });
    const back = encodeURIComponent(pathname + search);
    return choicePage(
      providers.map(({ config }) => config),
      ({ name }) => `${this.#config.base}/login?provider=${name}&return=${back}`,
    );
  }

  async #send(
    x: Exchange,
    { provider, origin, returnTo }: { readonly provider: Provider; readonly origin: string; readonly returnTo: string },
  ): Promise<Reply | Fault> {
    const [state, nonce, verifier] = [this.#secret(), this.#secret(), this.#secret()];
    const startS = Math.floor(this.#env.wallMs() / 1000);
    const flow: Flow = { state, nonce, verifier, provider: provider.config.name, returnTo, startS };
    const url = await provider.authorizationUrl({
      redirectUri: this.#redirectUri(origin),
      state,
      nonce,
      challenge: createHash('sha256').update(verifier).digest('base64url'),
    });
    if (url instanceof Fault) return url;
    this.#env.count('login_begun');
    const value = this.#sealer.seal(flow, 'flow');
    const line = `${this.#flowName(state)}=${value}; Max-Age=${FLOW_S_MAX}${this.#style.attributes}`;
    return redirect(url, [...this.#makeRoom(readCookies(x.request.headers)), line]);
  }

  #secret(): string {
    return this.#env.randomBytes(SECRET_BYTES).toString('base64url');
  }

  #redirectUri(origin: string): string {
    return `${origin}${this.#config.base}/callback`;
  }

  /** The state itself stands in addresses, which others may see. */
  #flowName(state: string): string {
    return this.#flowPrefix + createHash('sha256').update(state).digest('hex').slice(0, 16);
  }

  /** Lines that end the oldest logins, and those that cannot be read. */
  #makeRoom(cookies: Cookies): string[] {
    const flows = [...cookies].filter(([name]) => name.startsWith(this.#flowPrefix));
    if (flows.length < FLOWS_MAX) return [];
    const ages = flows.map(([name, value]) => {
      const flow = this.#sealer.open(value, 'flow') as Flow | undefined;
      return { name, startS: flow?.startS ?? 0 };
    });
    const oldest = ages.toSorted((a, b) => b.startS - a.startS).slice(FLOWS_MAX - 1);
    return oldest.map(({ name }) => clearCookie(name, this.#style));
  }

  // --- and back ----------------------------------------------------------------------------------------------------

  async finish(x: Exchange): Promise<Reply | Fault> {
    const origin = this.originOf(x);
    if (origin instanceof Fault) return origin;
    const cookies = readCookies(x.request.headers);
    const flow = this.#flowOf(x, cookies);
    if (flow instanceof Fault) return this.#failed(flow);
    const provider = [...this.#stores.keys()].find(({ config }) => config.name === flow.provider);
    if (provider === undefined) return this.#failed(unknown('Its provider is not configured any more'));
    const answered = {
      url: new URL(this.#redirectUri(origin) + x.request.query),
      state: flow.state,
      nonce: flow.nonce,
      verifier: flow.verifier,
    };
    const tokens = await provider.exchange(answered);
    if (tokens instanceof Fault) return this.#failed(tokens);
    const session = this.#sessionOf(provider, tokens);
    const lines = this.#stores.get(provider)!.sessionLines(session, cookies);
    if (lines === undefined) return this.#failed(tooLarge());
    this.#env.count('login_done');
    const location = returnAddress(origin, flow.returnTo);
    return redirect(location, [...lines, clearCookie(this.#flowName(flow.state), this.#style)]);
  }

  /** The login that this browser began: whoever is sent here with an answer for another one has no cookie for it. */
  #flowOf(x: Exchange, cookies: Cookies): Flow | Fault {
    const states = new URLSearchParams(x.request.query).getAll('state');
    const [state] = states;
    if (x.request.method !== 'GET' || state === undefined || states.length > 1)
      return unknown('There is not one state');
    const sealed = cookies.get(this.#flowName(state));
    if (sealed === undefined) return unknown('There is no cookie for this state');
    const flow = this.#sealer.open(sealed, 'flow') as Flow | undefined;
    if (flow === undefined || !sameText(flow.state, state)) return unknown('The cookie does not hold this state');
    if (this.#env.wallMs() - flow.startS * 1000 > FLOW_S_MAX * 1000) return unknown('It began too long ago');
    // Once: the browser may keep a cookie that it was told to drop, and somebody may have copied it.
    if (!this.#ledger.first('state', state, FLOW_S_MAX * 1000)) return unknown('It was completed before');
    return flow;
  }

  #failed(fault: Fault): Fault {
    this.#env.count('login_failed');
    return fault;
  }

  /** With a name of its own: nobody can have put it into the browser before. */
  #sessionOf({ config }: Provider, tokens: Tokens): Session {
    const nowS = Math.floor(this.#env.wallMs() / 1000);
    const { nonce: _, ...claims } = tokens.claims!;
    return {
      id: this.#secret(),
      turn: 0,
      provider: config.name,
      issuer: config.issuer,
      clientId: config.clientId,
      subject: String(claims['sub']),
      ...(typeof claims['sid'] === 'string' && { sid: claims['sid'] }),
      claims,
      scopes: tokens.scopes ?? ['openid', ...config.scopes],
      startS: nowS,
      freshS: nowS,
      ...tokenFields(tokens, this.#config, nowS),
    };
  }
}

function unknown(detail: string): Fault {
  return new Fault(FAULTS['oidc.state-unknown'], detail);
}
