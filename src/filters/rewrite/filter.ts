import { replacePath } from '../../filter/address.ts';
import type { FilterCode } from '../../filter/filter.ts';
import type { RewriteConfig } from './config.ts';

/** @see Gateway API, HTTPURLRewriteFilter */
export const code: FilterCode<typeof RewriteConfig> = {
  make({ hostname, path }) {
    return {
      onRequest({ request }, { matchedPath }) {
        if (hostname !== undefined) request.authority = hostname;
        if (path !== undefined) request.path = replacePath(request.path, matchedPath, path);
        return undefined;
      },
    };
  },
};
