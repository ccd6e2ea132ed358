/** Fetches a new access token before the old one runs out: once per session, however many requests and workers want it. */
import { createHash } from 'node:crypto';
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import { FAULTS, type OidcConfig } from './config.ts';
import type { Ledger, News } from './ledger.ts';
import { OtherProxies } from './other-proxies.ts';
import type { Provider, Tokens } from './provider.ts';
import type { Session } from './session.ts';
import type { Store } from './store.ts';

/** After an attempt that failed, the provider is left alone for so long. */
const AGAIN_MS = 10_000;

export class Refresher {
  readonly #env: Env;
  readonly #config: OidcConfig;
  readonly #ledger: Ledger;
  readonly #others: OtherProxies;
  readonly #aheadMs: number;
  readonly #timeoutMs: number;
  readonly #maxMs: number;

  constructor({ config, ledger }: { readonly config: OidcConfig; readonly ledger: Ledger }, env: Env) {
    this.#env = env;
    this.#config = config;
    this.#ledger = ledger;
    this.#aheadMs = parseDuration(config.refreshAhead)!;
    this.#timeoutMs = parseDuration(config.timeout)!;
    this.#maxMs = parseDuration(config.max)!;
    this.#others = new OtherProxies(env, this.#timeoutMs);
  }

  /** The session as it is, or the one that comes after it. */
  fresh(session: Session, provider: Provider, store: Store): Session | Promise<Session | Fault | 'over'> {
    const leftMs = this.#leftMs(session);
    if (leftMs > this.#aheadMs) return session;
    if (session.refreshToken === undefined) {
      // Nothing says that the user is not who it was; but what upstreams get must be good.
      const isNeeded = this.#config.accessToken === 'forward' && leftMs <= 0;
      return isNeeded ? Promise.resolve('over') : session;
    }
    const key = keyOf(session);
    if (this.#ledger.isMarked('over', key, this.#maxMs)) return Promise.resolve('over');
    const known = this.#ledger.known(key);
    if (known !== undefined) return Promise.resolve(this.#after(known, session, store));
    if (this.#ledger.first('refresh', key, AGAIN_MS)) return this.#refresh(session, provider, store);
    // Somebody is at it. The old token is good for as long as it lasts.
    if (leftMs > 0) return session;
    return this.#ledger.wait(key, this.#timeoutMs).then((news) => this.#after(news, session, store));
  }

  /** How long what there is of tokens is good. */
  #leftMs({ untilS, accessToken }: Session): number {
    // Of a session from before it was said that upstreams get the token.
    if (this.#config.accessToken === 'forward' && accessToken === undefined) return 0;
    return untilS === undefined ? Infinity : untilS * 1000 - this.#env.wallMs();
  }

  async #refresh(session: Session, provider: Provider, store: Store): Promise<Session | Fault | 'over'> {
    const key = keyOf(session);
    const heard = await this.#others.heard(key);
    if (heard !== undefined) {
      this.#ledger.tell(key, heard);
      return heard === 'failed' && this.#leftMs(session) > 0 ? session : this.#after(heard, session, store);
    }
    const tokens = await provider.refresh(session.refreshToken!, session.subject);
    if (tokens instanceof Fault) {
      this.#env.count('refresh_failed');
      this.#ledger.tell(key, 'failed');
      return this.#leftMs(session) > 0 ? session : tokens;
    }
    if (tokens === 'over') {
      this.#env.count('refresh_failed');
      this.#ledger.tell(key, 'over');
      // Of this turn only: another proxy may have the next one.
      this.#ledger.mark('over', key, this.#maxMs);
      return 'over';
    }
    this.#env.count('refreshed');
    const sealed = store.seal(next(session, tokens, this.#config, this.#env.wallMs()));
    this.#others.tell(key, sealed);
    this.#ledger.tell(key, { sealed });
    return this.#after({ sealed }, session, store);
  }

  #after(news: News, session: Session, store: Store): Session | Fault | 'over' {
    if (news === 'over') return 'over';
    const found = news === 'failed' ? undefined : store.open(news.sealed);
    if (found !== undefined) return found;
    return new Fault(FAULTS['oidc.provider-away'], `The session at "${session.provider}" could not be refreshed`, {
      headers: [['retry-after', '5']],
    });
  }
}

/** Of this turn of this session: what cannot be guessed from what is told among workers. */
function keyOf({ id, turn }: Session): string {
  return createHash('sha256').update(`${id} ${turn}`).digest('base64');
}

function next(session: Session, tokens: Tokens, config: OidcConfig, nowMs: number): Session {
  const { untilS: _, accessToken: __, ...rest } = session;
  const nowS = Math.floor(nowMs / 1000);
  const refreshToken = tokens.refreshToken ?? session.refreshToken;
  return {
    ...rest,
    turn: session.turn + 1,
    freshS: nowS,
    claims: tokens.claims ?? session.claims,
    scopes: tokens.scopes ?? session.scopes,
    ...tokenFields(tokens, config, nowS),
    ...(refreshToken !== undefined && { refreshToken }),
  };
}

/** Only what is needed again is kept: cookies are small. */
export function tokenFields(
  { accessToken, refreshToken, idToken, expiresInS }: Tokens,
  config: OidcConfig,
  nowS: number,
): Partial<Session> {
  return {
    ...(expiresInS !== undefined && { untilS: nowS + expiresInS }),
    ...(config.accessToken === 'forward' && { accessToken }),
    ...(refreshToken !== undefined && { refreshToken }),
    ...(config.idToken === 'keep' && idToken !== undefined && { idToken }),
  };
}
