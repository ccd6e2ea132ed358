import { replacePath } from '../../filter/address.ts';
import type { FilterCode, Exchange, RouteMatch } from '../../filter/filter.ts';
import type { RedirectConfig } from './config.ts';

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** @see Gateway API, HTTPRequestRedirectFilter (which port is written, and when none is) */
export const code: FilterCode<typeof RedirectConfig> = {
  make({ scheme, hostname, port, path, statusCode }) {
    const locationOf = ({ request, listenerPort }: Exchange, { matchedPath }: RouteMatch): string => {
      const target = (path === undefined ? request.path : replacePath(request.path, matchedPath, path)) + request.query;
      const host = hostname ?? request.host;
      // HTTP/1.0 without Host: the client resolves the path against what it asked for. Two slashes would name a host.
      if (host === '') return target.replace(/^\/+/, '/');
      const newScheme = scheme ?? request.scheme;
      const newPort = port ?? (scheme === undefined ? listenerPort : DEFAULT_PORTS[scheme]);
      const shownPort = newPort === DEFAULT_PORTS[newScheme] ? '' : `:${newPort}`;
      return `${newScheme}://${host}${shownPort}${target}`;
    };

    return {
      onRequest: (x, match) => ({
        kind: 'reply',
        status: statusCode,
        reason: 'redirect',
        headers: [['location', locationOf(x, match)]],
        body: '',
      }),
    };
  },
};
