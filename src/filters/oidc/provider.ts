/** One OpenID provider, by `openid-client`: its configuration is read in the background, and the last good one holds. */
import { createRemoteJWKSet, customFetch, decodeJwt, type JWTVerifyGetKey } from 'jose';
import * as client from 'openid-client';
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import { FAULTS, type OidcConfig, type ProviderConfig } from './config.ts';
import { type Ended, readLogoutToken } from './logout-token.ts';

/** Answers of a provider: configuration, keys, tokens. */
const ANSWER_BYTES_MAX = 1024 * 1024;

const AGAIN_MS = 3_600_000;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  readonly idToken: string | undefined;
  readonly expiresInS: number | undefined;
  readonly scopes: readonly string[] | undefined;
  /** Of the ID token, and of userinfo where it is asked; undefined after a refresh without ID token. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

/** `over`: the refresh token does not hold any more. */
export type Refreshed = Tokens | 'over' | Fault;

export interface Started {
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  readonly challenge: string;
}

export interface Answered {
  readonly url: URL;
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export class Provider {
  readonly config: ProviderConfig;
  readonly #env: Env;
  readonly #timeoutMs: number;
  readonly #toleranceS: number;
  readonly #secret: string | undefined;
  #ready: client.Configuration | undefined;
  #reading: Promise<void> | undefined;
  #retryMs = RETRY_MS_MIN;
  #stop: (() => void) | undefined;
  #closed = false;
  /** Of logout tokens: those of ID tokens are the library's own. */
  #keys: { readonly uri: string; readonly read: JWTVerifyGetKey } | undefined;

  constructor(config: ProviderConfig, all: OidcConfig, env: Env) {
    this.config = config;
    this.#env = env;
    this.#timeoutMs = parseDuration(all.timeout)!;
    this.#toleranceS = parseDuration(all.clockTolerance)! / 1000;
    this.#secret = config.clientSecret === undefined ? undefined : env.secret(config.clientSecret).trim();
    this.#read();
  }

  close(): void {
    this.#closed = true;
    this.#stop?.();
  }

  // --- its configuration -------------------------------------------------------------------------------------------

  #read(): void {
    this.#reading = this.#discover().then(
      (found) => this.#done(found, AGAIN_MS),
      (error: unknown) => {
        const { config } = this;
        this.#env.warn('Cannot read the configuration of the provider', {
          provider: config.name,
          error: reasonOf(error),
        });
        this.#done(this.#ready, this.#retryMs);
        this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
      },
    );
  }

  #done(found: client.Configuration | undefined, nextMs: number): void {
    this.#reading = undefined;
    if (this.#closed) return;
    if (nextMs === AGAIN_MS) this.#retryMs = RETRY_MS_MIN;
    this.#ready = found;
    this.#stop = this.#env.after(nextMs, () => this.#read());
  }

  async #discover(): Promise<client.Configuration> {
    const { issuer, clientId, clientAuthentication } = this.config;
    const secret = this.#secret;
    const authentication =
      secret === undefined
        ? client.None()
        : clientAuthentication === 'basic'
          ? client.ClientSecretBasic(secret)
          : client.ClientSecretPost(secret);
    const url = new URL(issuer);
    const metadata = { [client.clockTolerance]: this.#toleranceS };
    const found = await client.discovery(url, clientId, metadata, authentication, {
      [client.customFetch]: (address, options) => this.#fetch(address, options),
      timeout: this.#timeoutMs / 1000,
      execute: [
        // The signature is looked at though TLS vouches for the provider: tokens are kept and passed on.
        client.enableNonRepudiationChecks,
        ...(url.protocol === 'http:' ? [client.allowInsecureRequests] : []),
      ],
    });
    return found;
  }

  async #fetch(url: string, options: client.CustomFetchOptions): Promise<Response> {
    const answer = await this.#env.fetch(url, options as RequestInit);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of answer.body ?? []) {
      bytes += piece.length;
      if (bytes > ANSWER_BYTES_MAX) throw new TypeError(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`);
      pieces.push(piece);
    }
    const { status, headers } = answer;
    const hasNone = status === 204 || status === 205 || status === 304;
    return new Response(hasNone ? null : Buffer.concat(pieces), { status, headers });
  }

  /** Waits for the first reading only. */
  async #configuration(): Promise<client.Configuration | Fault> {
    if (this.#ready === undefined) await this.#reading;
    return this.#ready ?? this.#away('Its configuration was not read yet');
  }

  #away(why: string): Fault {
    return new Fault(FAULTS['oidc.provider-away'], `Provider "${this.config.name}": ${why}`, {
      headers: [['retry-after', '5']],
    });
  }

  // --- what is asked of it -----------------------------------------------------------------------------------------

  async authorizationUrl({ redirectUri, state, nonce, challenge }: Started): Promise<string | Fault> {
    const configuration = await this.#configuration();
    if (configuration instanceof Fault) return configuration;
    const { scopes, audience, resources, parameters, pushedAuthorization } = this.config;
    const asked = new URLSearchParams({
      ...parameters,
      redirect_uri: redirectUri,
      scope: [...new Set(['openid', ...scopes])].join(' '),
      state,
      nonce,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...(audience !== undefined && { audience }),
    });
    for (const resource of resources) asked.append('resource', resource);
    try {
      if (pushedAuthorization === 'never') return client.buildAuthorizationUrl(configuration, asked).href;
      return (await client.buildAuthorizationUrlWithPAR(configuration, asked)).href;
    } catch (error) {
      return this.#faultOf(error);
    }
  }

  /** The code of an answer for tokens. All checks of OpenID Connect and RFC 9207 are made here. */
  async exchange({ url, state, nonce, verifier }: Answered): Promise<Tokens | Fault> {
    const configuration = await this.#configuration();
    if (configuration instanceof Fault) return configuration;
    try {
      const tokens = await client.authorizationCodeGrant(
        configuration,
        url,
        { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
        this.#resources(),
      );
      return await this.#tokens(configuration, tokens);
    } catch (error) {
      return this.#faultOf(error);
    }
  }

  /** @param subject  whose tokens they are, and must be afterwards */
  async refresh(refreshToken: string, subject: string): Promise<Refreshed> {
    const configuration = await this.#configuration();
    if (configuration instanceof Fault) return configuration;
    try {
      const tokens = await client.refreshTokenGrant(configuration, refreshToken, this.#resources());
      const claims = tokens.claims();
      // OpenID Connect Core section 12.2: `sub` must be the same.
      if (claims !== undefined && claims.sub !== subject) return 'over';
      return await this.#tokens(configuration, tokens, subject);
    } catch (error) {
      if (error instanceof client.ResponseBodyError && error.error === 'invalid_grant') return 'over';
      return this.#faultOf(error);
    }
  }

  /** Where the session at the provider is ended; undefined where that cannot be. */
  endSessionUrl(idToken: string | undefined, returnTo: string): string | undefined {
    if (this.#ready?.serverMetadata().end_session_endpoint === undefined) return undefined;
    return client.buildEndSessionUrl(this.#ready, {
      post_logout_redirect_uri: returnTo,
      ...(idToken !== undefined && { id_token_hint: idToken }),
    }).href;
  }

  /** RFC 7009, where it is offered. Nobody waits for it: the session has ended here in any case. */
  revoke(token: string): void {
    const configuration = this.#ready;
    if (configuration?.serverMetadata().revocation_endpoint === undefined) return;
    client.tokenRevocation(configuration, token).catch((error: unknown) => {
      this.#env.warn('Cannot revoke a refresh token', { provider: this.config.name, error: reasonOf(error) });
    });
  }

  /** In words why a logout token is not taken. `undefined`: it is of another provider or client. */
  async readLogout(token: string): Promise<Ended | string | Fault | undefined> {
    const configuration = await this.#configuration();
    if (configuration instanceof Fault) return configuration;
    const { issuer, jwks_uri: uri, id_token_signing_alg_values_supported: algorithms } = configuration.serverMetadata();
    const { clientId } = this.config;
    if (!isFor(token, issuer, clientId)) return undefined;
    if (uri === undefined) return 'Its provider has no keys';
    if (this.#keys?.uri !== uri) this.#keys = { uri, read: this.#keysAt(uri) };
    const { read: keys } = this.#keys;
    const toleranceS = this.#toleranceS;
    try {
      const nowMs = this.#env.wallMs();
      return await readLogoutToken(token, { issuer, clientId, keys, algorithms, toleranceS, nowMs });
    } catch (error) {
      return this.#away(reasonOf(error));
    }
  }

  /** Fetched when they are needed, and again for a token of a key that is not there, twice a minute at most. */
  #keysAt(uri: string): JWTVerifyGetKey {
    return createRemoteJWKSet(new URL(uri), {
      timeoutDuration: this.#timeoutMs,
      [customFetch]: (url, options) => this.#fetch(url, options as unknown as client.CustomFetchOptions),
    });
  }

  #resources(): URLSearchParams {
    return new URLSearchParams(this.config.resources.map((resource) => ['resource', resource]));
  }

  async #tokens(
    configuration: client.Configuration,
    tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
    subject = tokens.claims()?.sub,
  ): Promise<Tokens> {
    let claims: Tokens['claims'] = tokens.claims();
    if (this.config.userinfo === 'merge' && subject !== undefined) {
      const info = await client.fetchUserInfo(configuration, tokens.access_token, subject);
      claims = { ...info, ...claims };
    }
    return {
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
      idToken: tokens.id_token,
      expiresInS: tokens.expires_in,
      scopes: tokens.scope?.split(' '),
      claims,
    };
  }

  #faultOf(error: unknown): Fault {
    const { name } = this.config;
    if (error instanceof client.AuthorizationResponseError) {
      return new Fault(FAULTS['oidc.denied'], `Provider "${name}" answered ${wordOf(error.error)}`);
    }
    if (error instanceof client.ResponseBodyError) {
      const detail = `Provider "${name}" answered ${error.status} ${wordOf(error.error)}`;
      return error.status >= 500 ? this.#away(detail) : new Fault(FAULTS['oidc.login-failed'], detail);
    }
    const { code = '' } = error as { readonly code?: string };
    const isAnswer = error instanceof client.ClientError && code !== 'OAUTH_TIMEOUT' && !isServerError(error);
    if (isAnswer) return new Fault(FAULTS['oidc.login-failed'], `Provider "${name}": ${reasonOf(error)}`);
    return this.#away(reasonOf(error));
  }
}

/** Only what the token says of itself, before anything of it is believed: which keys it has to be checked with. */
function isFor(token: string, issuer: string, clientId: string): boolean {
  try {
    const { iss, aud } = decodeJwt(token);
    return iss === issuer && [aud].flat().includes(clientId);
  } catch {
    return false;
  }
}

/** An answer of the provider that is of a server in trouble. */
function isServerError({ cause }: Error): boolean {
  return cause instanceof Response && cause.status >= 500;
}

/** RFC 6749 section 5.2 has words for errors. What is none is not repeated. */
function wordOf(error: string): string {
  return /^[a-z_]{1,64}$/.test(error) ? error : 'an error without a name';
}

/** The library speaks of checks, the platform of sockets; neither repeats tokens. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it threw';
  const { message, cause } = error;
  return cause instanceof Error && cause.message !== '' ? `${message}: ${cause.message}` : message;
}
