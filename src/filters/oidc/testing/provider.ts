/** A real OpenID provider (`oidc-provider`) on the loopback, whose users log in by a form or, for tests, at once. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type ClientMetadata, type Configuration, errors } from 'oidc-provider';

export interface ProviderOptions {
  readonly port?: number;
  /** Addresses of the clients' sites: `https://localhost:8443`. */
  readonly origins: readonly string[];
  /** Base of the filter. */
  readonly base?: string;
  readonly accessTokenS?: number;
  /** `at-once`: the page of the login sends its form by itself. */
  readonly login?: 'by-form' | 'at-once';
  /** Whether the first site is told of logouts. */
  readonly backChannel?: boolean;
  readonly configuration?: Configuration;
}

export const CLIENT_ID = 'shop';
export const CLIENT_SECRET = 'a-secret-of-the-shop-that-is-long-enough';

const FORM = (uid: string, script: string): string =>
  `<!doctype html><title>Log in</title><form method="post" action="/interaction/${uid}"><input name="login" value="ann"><button>Log in</button></form>${script}`;
const AT_ONCE = '<script>document.forms[0].submit()</script>';

export class TestProvider implements AsyncDisposable {
  readonly issuer: string;
  readonly provider: Provider;
  /** What was asked of it: `POST /token authorization_code`. */
  readonly asked: string[] = [];
  /** Runs before the provider; `true`: it has answered itself. */
  before: (request: http.IncomingMessage, answer: http.ServerResponse) => boolean = () => false;
  readonly #server: http.Server;

  private constructor(server: http.Server, options: ProviderOptions) {
    this.#server = server;
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.provider = new Provider(this.issuer, configurationOf(options));
    // What it warns of are the keys of a trial, which this one is.
    const answer = this.provider.callback();
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      this.asked.push(`${request.method} ${request.url!.replace(/\?.*/, '')}`);
      if (this.before(request, response)) return;
      if (request.url!.startsWith('/interaction/')) {
        this.#interact(request, response, options).catch(() => response.writeHead(400).end());
      } else void answer(request, response);
    });
  }

  static async start(options: ProviderOptions): Promise<TestProvider> {
    const server = http.createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, '127.0.0.1', resolve);
    });
    return new TestProvider(server, options);
  }

  async #interact(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    { login = 'by-form' }: ProviderOptions,
  ): Promise<void> {
    const { uid } = await this.provider.interactionDetails(request, response);
    if (request.method === 'GET') {
      response.setHeader('content-type', 'text/html');
      response.end(FORM(uid, login === 'at-once' ? AT_ONCE : ''));
      return;
    }
    let text = '';
    for await (const piece of request) text += String(piece);
    const accountId = new URLSearchParams(text).get('login') ?? '';
    const result =
      accountId === 'nobody' ? { error: 'access_denied', error_description: 'no' } : { login: { accountId } };
    await this.provider.interactionFinished(request, response, result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function configurationOf({
  origins,
  base = '/oauth2',
  accessTokenS = 3_600,
  backChannel = false,
  configuration,
}: ProviderOptions): Configuration {
  return {
    clients: [clientOf({ origins, base, backChannel })],
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@shop.test`, name: 'Ann Önsen', groups: ['staff', 'admin'] }),
    }),
    claims: { openid: ['sub'], email: ['email'], profile: ['name', 'groups'] },
    conformIdTokenClaims: false,
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      backchannelLogout: { enabled: backChannel },
      pushedAuthorizationRequests: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (context, form) => {
          const agreed = form.replace('</form>', '<input type="hidden" name="logout" value="yes"></form>');
          context.body = `<!doctype html><title>Log out</title>${agreed}${AT_ONCE}`;
        },
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          if (resource !== 'https://api.test') throw new errors.InvalidTarget();
          return { scope: 'read', accessTokenFormat: 'jwt' };
        },
      },
    },
    ttl: {
      AccessToken: accessTokenS,
      IdToken: accessTokenS,
      Session: 3_600,
      Grant: 3_600,
      Interaction: 600,
      RefreshToken: 3_600,
    },
    rotateRefreshToken: true,
    issueRefreshToken: (_, client, grantCode) =>
      client.grantTypeAllowed('refresh_token') && grantCode.scopes.has('openid'),
    cookies: { keys: ['a key of a trial'] },
    // Consent is given: a grant for whatever is asked.
    loadExistingGrant: async (context) => {
      const { client, session, provider } = context.oidc;
      const grant = new provider.Grant({ clientId: client!.clientId, accountId: session!.accountId! });
      grant.addOIDCScope('openid email profile offline_access');
      grant.addResourceScope('https://api.test', 'read');
      await grant.save();
      return grant;
    },
    ...configuration,
  };
}

function clientOf({
  origins,
  base,
  backChannel,
}: Required<Pick<ProviderOptions, 'origins' | 'base' | 'backChannel'>>): ClientMetadata {
  return {
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    redirect_uris: origins.map((origin) => `${origin}${base}/callback`),
    post_logout_redirect_uris: origins.flatMap((origin) => [`${origin}/`, `${origin}/bye`]),
    grant_types: ['authorization_code', 'refresh_token'],
    ...(backChannel && {
      backchannel_logout_uri: `${origins[0]}${base}/backchannel-logout`,
      backchannel_logout_session_required: true,
    }),
  };
}
