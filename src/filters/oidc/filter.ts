import { createHash } from 'node:crypto';
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import { ClaimHeaders, type HeaderLines } from '../../filter/claims.ts';
import type { Env } from '../../filter/env.ts';
import { type Authentication, type Exchange, type FilterCode, type Reply, WHOLE_BODY } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import type { Identity } from '../../filter/identity.ts';
import type { Headers } from '../../http/headers.ts';
import { BackChannel, LOGOUT_BYTES_MAX, TELLER } from './back-channel.ts';
import { FAULTS, type OidcConfig, type ProviderConfig } from './config.ts';
import { type Cookies, readCookies, stripCookies } from './cookies.ts';
import { Login } from './login.ts';
import { Provider } from './provider.ts';
import { redirect, tooLarge } from './replies.ts';
import { Refresher } from './refresher.ts';
import { returnAddress, targetOf } from './return-to.ts';
import { Revocations } from './revocations.ts';
import { identityReader, type Session } from './session.ts';
import { Shared } from './shared.ts';
import { Store } from './store.ts';

/**
 * Logs users in with OpenID Connect: authorization code with PKCE, sessions in
 * encrypted cookies, so that every worker and every proxy knows them.
 *
 * @see OpenID Connect Core 1.0, RP-Initiated Logout 1.0, Back-Channel Logout 1.0; RFC 6749, 7636, 9126, 9207, 9700
 */
export const code: FilterCode<typeof OidcConfig> = {
  make(config, env) {
    const shared = env.shared(() => new Shared(env));
    const key = JSON.stringify(['policy', env.owner, config]);
    // One for all rules of the policy. References to secrets change with their values, so they are of the key.
    const filter = shared.take(key, () => new OidcFilter(config, env, shared));
    return {
      challenge: filter.challenge,
      authenticate: (x) => filter.authenticate(x),
      onRequest: (x) => filter.onRequest(x),
      requestBound: { bytesMax: LOGOUT_BYTES_MAX, beyond: 'refuse' },
      onRequestBody: (x, body) => filter.takeLogout(x, body),
      onResponse: (x, { headers }) => filter.changeAnswer(x, headers),
      // The code of a login is a credential: it is in no log, also where queries are logged.
      onEnd: ({ request, asked }) => {
        if (asked.path === `${config.base}/callback`) request.query = '';
      },
      close: () => shared.release(key),
    };
  },
};

/** What is known of a request with a session. */
interface Visit {
  readonly session: Session;
  /** Claims for upstreams. */
  readonly headers: HeaderLines;
  /** Lines of Set-Cookie for its answer. */
  readonly cookies: readonly string[];
}

class OidcFilter {
  readonly challenge: string;
  readonly #config: OidcConfig;
  readonly #env: Env;
  readonly #shared: Shared;
  readonly #providers: readonly Provider[];
  readonly #stores: ReadonlyMap<Provider, Store>;
  readonly #prefix: string;
  readonly #revocations: Revocations | undefined;
  readonly #backChannel: BackChannel | undefined;
  readonly #login: Login;
  readonly #refresher: Refresher;
  readonly #identityOf: ReturnType<typeof identityReader>;
  readonly #claimHeaders: ClaimHeaders;
  readonly #visits = new Kept<Visit>();
  /** Made once per session as it was opened. */
  readonly #known = new WeakMap<Session, { readonly identity: Identity; readonly headers: HeaderLines }>();
  readonly #maxMs: number;
  readonly #idleMs: number;

  constructor(config: OidcConfig, env: Env, shared: Shared) {
    this.#config = config;
    this.#env = env;
    const secrets = config.keys.map((key) => env.secret(key));
    this.#shared = shared;
    this.#maxMs = parseDuration(config.max)!;
    this.#idleMs = parseDuration(config.idle)!;
    const mark = createHash('sha256').update(env.owner).digest('hex').slice(0, 8);
    this.#prefix = `${config.cookie.transport === 'https' ? '__Host-' : ''}${config.cookie.name}-${mark}`;
    const stores = config.providers.map(
      (provider) => new Store({ config, provider, prefix: this.#prefix, secrets }, env),
    );
    this.#providers = config.providers.map((provider) =>
      shared.take(providerKey(provider, config), () => new Provider(provider, config, env)),
    );
    this.#stores = new Map(this.#providers.map((provider, i) => [provider, stores[i]!]));
    const { ledger } = this.#shared;
    if (config.logout.backChannel === 'accept') {
      const revocations = this.#shared.take(REVOCATIONS, () => new Revocations(env));
      revocations.keepFor(this.#maxMs);
      this.#revocations = revocations;
      this.#backChannel = new BackChannel({ base: config.base, ledger, revocations, providers: this.#providers }, env);
    }
    this.#login = new Login({ config, prefix: this.#prefix, secrets, ledger, stores: this.#stores }, env);
    this.#refresher = new Refresher({ config, ledger }, env);
    this.#identityOf = identityReader(config);
    this.#claimHeaders = new ClaimHeaders(config.claimHeaders);
    // draft-broyer-http-cookie-auth: a 401 must say a challenge (RFC 9110 section 15.5.2), and this one says what it is.
    this.challenge = `Cookie realm="oidc", form-action="${config.base}/login", cookie-name="${this.#prefix}"`;
  }

  close(): void {
    if (this.#revocations !== undefined) this.#shared.release(REVOCATIONS);
    for (const provider of this.#config.providers) this.#shared.release(providerKey(provider, this.#config));
  }

  // --- who is asking -----------------------------------------------------------------------------------------------

  authenticate(x: Exchange): Authentication | Promise<Authentication> {
    const { path } = x.request;
    if (this.#backChannel?.isTold(x) === true) return TELLER;
    const { base } = this.#config;
    if (path.startsWith(base)) {
      if (path === `${base}/callback`) return this.#login.finish(x);
      if (path === `${base}/login`) return this.#login.choose(x);
      if (path === `${base}/logout`) return this.#logout(x);
    }
    const cookies = readCookies(x.request.headers);
    const providers = this.#providersOf(path);
    for (const provider of providers) {
      const found = this.#stores.get(provider)!.read(cookies);
      if (found === undefined) continue;
      if (this.#isOver(found.session, found.lastS)) {
        this.#env.count('expired');
        continue;
      }
      return this.#accept(x, provider, found.session, cookies);
    }
    return this.#withoutSession(x, providers);
  }

  /** The longest prefix decides, by whole segments. */
  #providersOf(path: string): readonly Provider[] {
    let best = -1;
    let found: Provider[] = [];
    for (const provider of this.#providers) {
      const length = Math.max(
        -1,
        ...provider.config.paths.filter((prefix) => isUnder(path, prefix)).map((p) => p.length),
      );
      if (length > best) found = [];
      best = Math.max(best, length);
      if (length === best) found.push(provider);
    }
    return best < 0 ? this.#providers : found;
  }

  #isOver(session: Session, lastS: number): boolean {
    const nowMs = this.#env.wallMs();
    if (nowMs - session.startS * 1000 >= this.#maxMs) return true;
    if (nowMs - lastS * 1000 >= this.#idleMs) return true;
    if (this.#revocations?.isRevoked(session) === true) return true;
    return this.#shared.ledger.isMarked('ended', session.id, this.#maxMs);
  }

  #accept(
    x: Exchange,
    provider: Provider,
    session: Session,
    cookies: Cookies,
  ): Authentication | Promise<Authentication> {
    const store = this.#stores.get(provider)!;
    const fresh = this.#refresher.fresh(session, provider, store);
    if (!(fresh instanceof Promise)) return this.#visit(x, fresh, store.seenLines(fresh, cookies));
    return fresh.then((late) => {
      if (late instanceof Fault) return late;
      if (late === 'over') {
        this.#env.count('expired');
        return this.#withoutSession(x, [provider]);
      }
      const lines = late === session ? store.seenLines(late, cookies) : store.sessionLines(late, cookies);
      return lines === undefined ? tooLarge() : this.#visit(x, late, lines);
    });
  }

  #visit(x: Exchange, session: Session, cookies: readonly string[]): Identity {
    let known = this.#known.get(session);
    if (known === undefined) {
      const headers = this.#claimHeaders.linesOf(session.claims, () => this.#env.count('claim_dropped'));
      this.#known.set(session, (known = { identity: this.#identityOf(session), headers }));
    }
    this.#visits.set(x, { session, headers: known.headers, cookies });
    return known.identity;
  }

  #withoutSession(x: Exchange, providers: readonly Provider[]): Authentication | Promise<Authentication> {
    if (this.#config.withoutSession === 'absent') return 'absent';
    if (isPage(x)) return this.#login.begin(x, providers, targetOf(x.request));
    const back = encodeURIComponent(targetOf(x.request));
    return new Fault(FAULTS['oidc.login-needed'], 'There is no session', {
      headers: [['www-authenticate', this.challenge]],
      members: { login: `${this.#config.base}/login?return=${back}` },
    });
  }

  // --- the end of a session ----------------------------------------------------------------------------------------

  #logout(x: Exchange): Reply | Fault {
    const origin = this.#login.originOf(x);
    if (origin instanceof Fault) return origin;
    if (isFromElsewhere(x, origin))
      return new Fault(FAULTS['oidc.cross-site'], 'A logout was asked for by another site');
    const cookies = readCookies(x.request.headers);
    let end: string | undefined;
    const lines: string[] = [];
    for (const [provider, store] of this.#stores) {
      const found = store.read(cookies);
      lines.push(...store.clearLines(cookies));
      if (found === undefined) continue;
      const { session } = found;
      this.#env.count('logout');
      this.#shared.ledger.mark('ended', session.id, this.#maxMs);
      if (session.refreshToken !== undefined) provider.revoke(session.refreshToken);
      if (this.#config.logout.provider === 'end') {
        end ??= provider.endSessionUrl(session.idToken, returnAddress(origin, this.#config.logout.returnTo));
      }
    }
    return redirect(end ?? returnAddress(origin, this.#config.logout.returnTo), lines);
  }

  // --- the request and the answer ----------------------------------------------------------------------------------

  /** A logout that is told is answered here, once its body is. */
  onRequest(x: Exchange): typeof WHOLE_BODY | undefined {
    return this.#backChannel?.isTold(x) === true ? WHOLE_BODY : this.#changeRequest(x);
  }

  takeLogout(x: Exchange, body: Buffer): Promise<Reply | Fault> {
    return this.#backChannel!.take(x, body);
  }

  /** Also where an alternative was content: what this filter vouches for is never a client's word. */
  #changeRequest(x: Exchange): undefined {
    const { headers } = x.request;
    stripCookies(headers, this.#prefix);
    this.#claimHeaders.strip(headers);
    const visit = this.#visits.get(x);
    // Another method may have been asked as well, and have refused to be content with this one.
    if (visit === undefined) return undefined;
    for (const [name, value] of visit.headers) headers.add(name, value);
    if (this.#config.accessToken === 'forward') headers.set('authorization', `Bearer ${visit.session.accessToken}`);
    return undefined;
  }

  changeAnswer(x: Exchange, headers: Headers): void {
    const visit = this.#visits.get(x);
    if (visit === undefined || visit.cookies.length === 0) return;
    for (const line of visit.cookies) headers.add('set-cookie', line);
    // RFC 6265 section 3, RFC 9111 section 7.3: what sets a session is for nobody else.
    headers.set('cache-control', 'no-store');
  }
}

/** Of all policies: a provider tells one of them. */
const REVOCATIONS = 'revocations';

/** Providers are read once, however many policies have them. */
function providerKey(provider: ProviderConfig, { timeout, clockTolerance }: OidcConfig): string {
  return JSON.stringify(['provider', provider, timeout, clockTolerance]);
}

function isUnder(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return prefix.endsWith('/') || path.length === prefix.length || path[prefix.length] === '/';
}

/** What a user sees in a tab: only that can be sent to log in. Scripts, images and programs want to be told. */
function isPage({ request }: Exchange): boolean {
  const { method, headers, upgrade } = request;
  if ((method !== 'GET' && method !== 'HEAD') || upgrade !== undefined) return false;
  if (headers.combined('accept')?.includes('text/html') !== true) return false;
  if (headers.has('x-requested-with') || headers.has('sec-purpose')) return false;
  const mode = headers.get('sec-fetch-mode');
  return mode === undefined || mode === 'navigate';
}

/** Fetch Metadata where browsers send it, else Origin; a link on a page of this site has neither. */
function isFromElsewhere({ request }: Exchange, origin: string): boolean {
  const { headers, method } = request;
  const site = headers.get('sec-fetch-site');
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const from = headers.get('origin');
  return from === undefined ? method !== 'GET' && method !== 'HEAD' : from !== origin;
}
