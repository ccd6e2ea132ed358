import type { FilterCode, Reply } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import type { Headers } from '../../http/headers.ts';
import type { CorsConfig } from './config.ts';
import { originTest } from './origin.ts';

/** What the filter says itself; the upstream's own word on it is taken out. */
const FIELDS = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-expose-headers',
  'access-control-max-age',
] as const;

type Line = readonly [name: string, value: string];

/** What was decided on the way in: the value of Access-Control-Allow-Origin, or that the answer is complete. */
type Decision = { readonly allowOrigin: string | undefined } | 'preflight';

/**
 * Cross-origin resource sharing. Preflights are answered here, before
 * authentication: browsers send them without credentials.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol and Gateway API, HTTPCORSFilter
 */
export const code: FilterCode<typeof CorsConfig> = {
  make(config, env) {
    const isAllowed = originTest(config.allowOrigins);
    const always = config.allowOrigins.includes('*') && !config.allowCredentials;
    const preflight = preflightLines(config);
    const credentials: readonly Line[] = config.allowCredentials ? [['access-control-allow-credentials', 'true']] : [];
    // Kept apart from the request: filters behind this one may take its Origin out.
    const decisions = new Kept<Decision>();

    const allowOriginOf = (origin: string): string | undefined => {
      if (!isAllowed(origin)) return undefined;
      return always ? '*' : origin;
    };

    return {
      onRequest(x) {
        const { method, headers } = x.request;
        const origin = headers.combined('origin');
        if (origin === undefined) return undefined;
        const allowOrigin = allowOriginOf(origin);
        if (allowOrigin === undefined) env.count('origin_refused');
        if (method !== 'OPTIONS' || !headers.has('access-control-request-method')) {
          decisions.set(x, { allowOrigin });
          return undefined;
        }
        decisions.set(x, 'preflight');
        env.count('preflight');
        const vary: readonly Line[] = always ? [] : [['vary', preflight.vary]];
        if (allowOrigin === undefined) return answer(vary);
        return answer([['access-control-allow-origin', allowOrigin], ...preflight.linesFor(headers), ...vary]);
      },

      onResponse(x, { headers }) {
        const decision = decisions.get(x);
        if (decision === 'preflight') return;
        for (const name of FIELDS) headers.delete(name);
        if (!always) addVary(headers);
        // `*` is right for whoever asks, so an answer that a cache got without Origin must have it too.
        const allowOrigin = always ? '*' : decision?.allowOrigin;
        if (allowOrigin === undefined) return;
        const expose = exposedNames(config, headers);
        headers.add('access-control-allow-origin', allowOrigin);
        for (const [name, value] of credentials) headers.add(name, value);
        if (expose !== '') headers.add('access-control-expose-headers', expose);
      },
    };
  },
};

function answer(headers: readonly Line[]): Reply {
  return { kind: 'reply', status: 204, reason: 'cors-preflight', headers, body: '' };
}

interface Preflight {
  readonly vary: string;
  /** Everything but Access-Control-Allow-Origin and Vary. */
  linesFor(request: Headers): Line[];
}

/** With credentials, `*` means nothing to a browser, so what it asks for is named instead. */
function preflightLines(config: CorsConfig): Preflight {
  const { allowCredentials, allowMethods, allowHeaders, exposeHeaders, maxAge } = config;
  const echoes = {
    methods: allowCredentials && allowMethods.includes('*'),
    headers: allowCredentials && allowHeaders.includes('*'),
  };
  const lines: Line[] = [];
  if (allowCredentials) lines.push(['access-control-allow-credentials', 'true']);
  if (allowMethods.length > 0 && !echoes.methods) lines.push(['access-control-allow-methods', listOf(allowMethods)]);
  if (allowHeaders.length > 0 && !echoes.headers) lines.push(['access-control-allow-headers', listOf(allowHeaders)]);
  if (exposeHeaders.length > 0 && !(allowCredentials && exposeHeaders.includes('*'))) {
    lines.push(['access-control-expose-headers', listOf(exposeHeaders)]);
  }
  lines.push(['access-control-max-age', String(maxAge)]);

  const vary = ['Origin'];
  if (echoes.methods) vary.push('Access-Control-Request-Method');
  if (echoes.headers) vary.push('Access-Control-Request-Headers');
  return {
    vary: vary.join(', '),
    linesFor(request) {
      const method = echoes.methods ? request.get('access-control-request-method') : undefined;
      const names = echoes.headers ? request.combined('access-control-request-headers') : undefined;
      return [
        ...lines,
        ...(isTokens(method) ? [['access-control-allow-methods', method] as const] : []),
        ...(isTokens(names) ? [['access-control-allow-headers', names] as const] : []),
      ];
    },
  };
}

/** A star stands for all there is, so it stands alone. */
function listOf(names: readonly string[]): string {
  return names.includes('*') ? '*' : names.join(', ');
}

/** Tokens with commas between them: only such a list is repeated to the client. */
function isTokens(text: string | undefined): text is string {
  return text !== undefined && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*$/.test(text);
}

/** Value of Access-Control-Expose-Headers for this answer; empty for none. */
function exposedNames({ allowCredentials, exposeHeaders }: CorsConfig, headers: Headers): string {
  if (!exposeHeaders.includes('*') || !allowCredentials) return listOf(exposeHeaders);
  const names = new Set<string>();
  headers.forEach((name) => {
    if (name.toLowerCase() !== 'set-cookie') names.add(name.toLowerCase());
  });
  return [...names].join(', ');
}

/** The answer depends on Origin, and caches must know (RFC 9110 section 12.5.5). */
function addVary(headers: Headers): void {
  const vary = headers.combined('vary');
  const named = vary?.split(',').map((name) => name.trim().toLowerCase()) ?? [];
  if (!named.includes('origin') && !named.includes('*')) headers.add('vary', 'Origin');
}
