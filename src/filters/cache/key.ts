/**
 * Under which key an answer stands: the URI as clients write it, and beside it
 * everything else that chose what the upstream was asked. What is not in the key
 * is not sent upstream either, where that is ours to decide.
 */
import { compileExpression } from '../../expr/expression.ts';
import type { Exchange } from '../../filter/filter.ts';
import type { Identity } from '../../filter/identity.ts';
import type { CacheConfig } from './config.ts';
import type { CacheKey } from './zone.ts';

export class Keys {
  readonly #rule: string;
  readonly #perIdentity: boolean;
  readonly #headers: readonly string[];
  readonly #expression: ((x: Exchange) => unknown) | undefined;
  readonly #query: (query: string) => string;
  /** Of the request before: most name the same. */
  #lastScheme = '';
  #lastAuthority = '';
  #lastOrigin = '';

  constructor({ key, perIdentity }: CacheConfig, rule: string) {
    this.#rule = rule;
    this.#perIdentity = perIdentity;
    this.#headers = key.headers.map((name) => name.toLowerCase());
    this.#expression = key.expression === undefined ? undefined : compileExpression(key.expression, 'any');
    this.#query = queryFilter(key.query);
  }

  /**
   * The key of a request; its query is left with what is part of the key.
   *
   * @returns undefined where the expression has no value
   */
  of(x: Exchange): CacheKey | undefined {
    const { request, asked } = x;
    const query = this.#query(asked.query);
    const uri = this.#originOf(request.scheme, asked.authority) + asked.path + query;
    let extra = this.#rule;
    const isRewritten =
      request.path !== asked.path || request.query !== asked.query || request.authority !== asked.authority;
    request.query = isRewritten ? this.#query(request.query) : query;
    // No part can hold a line break, so no two keys are the same by accident or by intent.
    if (isRewritten) extra += `\n${request.authority}${request.path}${request.query}`;
    // Upstreams make links and redirects of it.
    if (asked.told !== '') extra += `\ntold=${asked.told}`;
    for (const name of this.#headers) extra += `\n${name}=${request.headers.combined(name) ?? '\n'}`;
    if (this.#perIdentity && x.identity !== undefined) extra += `\nidentity=${identityText(x.identity)}`;
    if (this.#expression === undefined) return { uri, extra };
    const value = this.#expression(x);
    return value === undefined ? undefined : { uri, extra: `${extra}\n=${JSON.stringify(value)}` };
  }

  #originOf(scheme: 'http' | 'https', authority: string): string {
    if (authority !== this.#lastAuthority || scheme !== this.#lastScheme) {
      this.#lastScheme = scheme;
      this.#lastAuthority = authority;
      this.#lastOrigin = originOf(scheme, authority);
    }
    return this.#lastOrigin;
  }

  /** Of a request that changes something: it has no other part of a key. */
  uri({ request, asked }: Exchange): string {
    return this.#originOf(request.scheme, asked.authority) + asked.path + this.#query(asked.query);
  }

  /** Of a reference in an answer (RFC 9111 section 4.4); undefined for one of another origin, or for none. */
  reference(text: string, base: string): string | undefined {
    const url = URL.parse(text, base);
    if (url === null || url.origin !== URL.parse(base)?.origin) return undefined;
    return uriOf(url.protocol === 'https:' ? 'https' : 'http', url.host, url.pathname) + this.#query(url.search);
  }
}

function uriOf(scheme: 'http' | 'https', authority: string, path: string): string {
  return originOf(scheme, authority) + path;
}

function originOf(scheme: 'http' | 'https', authority: string): string {
  const end = scheme === 'https' ? ':443' : ':80';
  const lower = authority.toLowerCase();
  return `${scheme}://${lower.endsWith(end) ? lower.slice(0, -end.length) : lower}`;
}

/** What an operator writes, in the form of keys; undefined for what is no URI. */
export function uriAsKept(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  return uriOf(url.protocol === 'https:' ? 'https' : 'http', url.host, url.pathname) + url.search;
}

function identityText({ issuer, subject, consumer, workload }: Identity): string {
  return JSON.stringify([issuer, subject, consumer?.name, workload]);
}

type QueryRules = CacheConfig['key']['query'];

/** Parameters by their names as they are written: one that is written otherwise is another one. */
function queryFilter({ ignore, allow, sort }: QueryRules): (query: string) => string {
  if (ignore.length === 0 && allow === undefined && !sort) return (query) => query;
  const ignored = nameTest(ignore);
  const allowed = allow === undefined ? undefined : nameTest(allow);
  return (query) => {
    if (query === '') return '';
    const kept = query
      .slice(1)
      .split('&')
      .filter((parameter) => {
        // Some servers part parameters at `;` too: what stands behind would be ignored here and read there.
        if (allowed === undefined && parameter.includes(';')) return true;
        const equals = parameter.indexOf('=');
        const name = equals < 0 ? parameter : parameter.slice(0, equals);
        return allowed === undefined ? !ignored(name) : allowed(name) && !parameter.includes(';') && !ignored(name);
      });
    if (sort) kept.sort();
    return kept.length === 0 ? '' : `?${kept.join('&')}`;
  };
}

function nameTest(patterns: readonly string[]): (name: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}
