/** Filters of the short form as filters of an HTTPRoute. */
import { parseDuration } from '../../base/duration.ts';
import type { Cors, HeaderChanges, Redirect, Rewrite } from './schema.ts';

export function readCors(cors: Cors): CorsFilter | undefined {
  if (cors === false) return undefined;
  if (cors === true) return corsFilter({ allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'] });
  if (typeof cors === 'string') return readCors([cors]);
  if (Array.isArray(cors)) return corsFilter({ allowOrigins: cors, allowMethods: ['*'], allowHeaders: ['*'] });
  const { origins, methods, headers, expose, credentials, maxAge } = cors;
  return corsFilter({
    allowOrigins: origins ?? ['*'],
    allowMethods: methods ?? ['*'],
    allowHeaders: headers ?? ['*'],
    ...(expose !== undefined && { exposeHeaders: expose }),
    ...(credentials !== undefined && { allowCredentials: credentials }),
    ...(maxAge !== undefined && { maxAge: Math.max(1, Math.round(parseDuration(maxAge)! / 1000)) }),
  });
}

/** With the configuration that a Policy has under `cors`, too. */
export interface CorsFilter {
  readonly type: 'CORS';
  readonly cors: object;
}

function corsFilter(cors: object): CorsFilter {
  return { type: 'CORS', cors };
}

/** @param securePort  where HTTPS is listened for, when it is not the usual port */
export function readRedirect(redirect: Redirect, securePort: number | undefined): object {
  if (typeof redirect === 'object') {
    const { scheme, host, port, path, prefix, status } = redirect;
    return redirectFilter({
      ...(scheme !== undefined && { scheme }),
      ...(host !== undefined && { hostname: host }),
      ...(port !== undefined && { port }),
      ...pathModifier({ path, prefix }),
      ...(status !== undefined && { statusCode: status }),
    });
  }
  if (redirect === 'https') {
    return redirectFilter({ scheme: 'https', ...(securePort !== undefined && { port: securePort }), statusCode: 301 });
  }
  const url = /^https?:/.test(redirect) ? URL.parse(redirect) : null;
  // What is neither an address nor "https" is a path; the rules of paths say what is wrong with it.
  if (url === null) return redirectFilter(pathModifier({ path: redirect }));
  const { protocol, hostname, port, pathname } = url;
  return redirectFilter({
    scheme: protocol.slice(0, -1),
    hostname,
    ...(port !== '' && { port: Number(port) }),
    ...(pathname !== '/' && pathModifier({ path: pathname })),
  });
}

function redirectFilter(requestRedirect: object): object {
  return { type: 'RequestRedirect', requestRedirect };
}

/** @param replaces  what a bare text stands for: the whole path, or the prefix that matched */
export function readRewrite(rewrite: Rewrite, replaces: 'path' | 'prefix'): object {
  if (typeof rewrite === 'string') return { type: 'URLRewrite', urlRewrite: pathModifier({ [replaces]: rewrite }) };
  const { host, path, prefix } = rewrite;
  const urlRewrite = { ...(host !== undefined && { hostname: host }), ...pathModifier({ path, prefix }) };
  return { type: 'URLRewrite', urlRewrite };
}

interface PathChange {
  readonly path?: string | undefined;
  readonly prefix?: string | undefined;
}

function pathModifier({ path, prefix }: PathChange): object {
  if (prefix !== undefined) return { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: prefix } };
  return path === undefined ? {} : { path: { type: 'ReplaceFullPath', replaceFullPath: path } };
}

export function readHeaders(side: 'request' | 'response', changes: HeaderChanges | undefined): object | undefined {
  if (changes === undefined) return undefined;
  const { set, add, remove } = changes;
  const modifier = {
    ...(set !== undefined && { set: fields(set) }),
    ...(add !== undefined && { add: fields(add) }),
    ...(remove !== undefined && { remove }),
  };
  return side === 'request'
    ? { type: 'RequestHeaderModifier', requestHeaderModifier: modifier }
    : { type: 'ResponseHeaderModifier', responseHeaderModifier: modifier };
}

export function fields(values: Readonly<Record<string, string>>): { readonly name: string; readonly value: string }[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
