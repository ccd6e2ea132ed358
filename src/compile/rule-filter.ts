/** Filters that a rule or a backendRef writes itself, in the names and configurations of `filters/`. */
import type { CorsConfig } from '../filters/cors/config.ts';
import type { Changes, HeadersConfig } from '../filters/headers/config.ts';
import type { RedirectConfig } from '../filters/redirect/config.ts';
import type { RewriteConfig } from '../filters/rewrite/config.ts';
import type {
  HTTPHeaderFilter,
  HTTPPathModifier,
  HTTPRequestMirrorFilter,
  HTTPRouteFilter,
} from '../resource/kinds/http-route.ts';
import type { AskedFilter } from './policies.ts';

/** Why a filter cannot be run. Its rule answers 500: a filter is never skipped (Gateway API, `HTTPRouteFilter`). */
export interface FilterFlaw {
  readonly reason: 'UnsupportedValue';
  /** JSON pointer of the filter. */
  readonly field: string;
  readonly message: string;
}

export interface RuleFilters {
  readonly filters: readonly AskedFilter[];
  readonly mirrors: readonly { readonly filter: HTTPRequestMirrorFilter; readonly field: string }[];
  readonly flaw: FilterFlaw | undefined;
}

/** @param at  JSON pointer of the list of filters */
export function readFilters(
  filters: readonly HTTPRouteFilter[],
  { owner, at }: { readonly owner: string; readonly at: string },
): RuleFilters {
  const asked: AskedFilter[] = [];
  const mirrors: { filter: HTTPRequestMirrorFilter; field: string }[] = [];
  let flaw: FilterFlaw | undefined;
  for (const [i, filter] of filters.entries()) {
    const field = `${at}/${i}`;
    const ask = (name: string, config: unknown): void => void asked.push({ filter: name, config, owner, field });
    switch (filter.type) {
      case 'RequestHeaderModifier':
        ask('headers', { request: changes(filter.requestHeaderModifier) } satisfies HeadersConfig);
        break;
      case 'ResponseHeaderModifier':
        ask('headers', { response: changes(filter.responseHeaderModifier) } satisfies HeadersConfig);
        break;
      case 'RequestRedirect': {
        const { path, ...rest } = filter.requestRedirect;
        ask('redirect', { ...rest, ...replacement(path) } satisfies RedirectConfig);
        break;
      }
      case 'URLRewrite': {
        const { path, ...rest } = filter.urlRewrite;
        ask('rewrite', { ...rest, ...replacement(path) } satisfies RewriteConfig);
        break;
      }
      case 'CORS':
        ask('cors', filter.cors satisfies CorsConfig);
        break;
      case 'RequestMirror':
        mirrors.push({ filter: filter.requestMirror, field });
        break;
      case 'ExternalAuth':
        flaw ??= unsupported(field, 'ExternalAuth is not supported yet');
        break;
      case 'ExtensionRef': {
        const { kind, name, group } = filter.extensionRef;
        flaw ??= unsupported(
          field,
          `Filter ${kind} "${name}" of group "${group}" is not known: use a Policy that targets the route`,
        );
        break;
      }
    }
  }
  return { filters: mergeHeaders(asked), mirrors, flaw };
}

function unsupported(field: string, message: string): FilterFlaw {
  return { reason: 'UnsupportedValue', field, message };
}

function changes({ set, add, remove }: HTTPHeaderFilter): Changes {
  return { set, add, remove };
}

function replacement(path: HTTPPathModifier | undefined): Pick<RewriteConfig, 'path'> {
  if (path === undefined) return {};
  return path.type === 'ReplaceFullPath'
    ? { path: { kind: 'full', value: path.replaceFullPath } }
    : { path: { kind: 'prefix', value: path.replacePrefixMatch } };
}

/** Request and response changes of one rule in one filter, as they are run. Several of one side stay apart. */
function mergeHeaders(asked: readonly AskedFilter[]): AskedFilter[] {
  const [request, ...moreRequest] = asked.filter(({ config }) => has(config, 'request'));
  const [response, ...moreResponse] = asked.filter(({ config }) => has(config, 'response'));
  if (request === undefined || response === undefined || moreRequest.length + moreResponse.length > 0)
    return [...asked];
  const merged: AskedFilter = { ...request, config: { ...(request.config as object), ...(response.config as object) } };
  return asked.filter((filter) => filter !== response).map((filter) => (filter === request ? merged : filter));
}

function has(config: unknown, side: 'request' | 'response'): boolean {
  return typeof config === 'object' && config !== null && side in config;
}
