import { replacePath } from '../../filter/address.ts';
import { defineFilter } from '../../filter/filter.ts';
import { RewriteConfig } from './config.ts';

/** @see Gateway API, HTTPURLRewriteFilter */
export const rewrite = defineFilter({
  name: 'rewrite',
  phase: 'transform',
  config: RewriteConfig,
  status: 'stable',

  make({ hostname, path }) {
    return {
      onRequest({ request }, { matchedPath }) {
        if (hostname !== undefined) request.authority = hostname;
        if (path !== undefined) request.path = replacePath(request.path, matchedPath, path);
        return undefined;
      },
    };
  },
});
