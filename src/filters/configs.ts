import type { TSchema } from '../schema/schema.ts';
import { CorsConfig } from './cors/config.ts';
import { DirectResponseConfig } from './direct-response/config.ts';
import { HeadersConfig } from './headers/config.ts';
import { RedirectConfig } from './redirect/config.ts';
import { RewriteConfig } from './rewrite/config.ts';

/**
 * Configuration of every filter by its name, in running order. The compiler and
 * the docs read this file; only the data plane reads list.ts (list.test.ts holds
 * the two equal).
 */
export const FILTER_CONFIGS: Readonly<Record<string, TSchema>> = {
  cors: CorsConfig,
  rewrite: RewriteConfig,
  headers: HeadersConfig,
  redirect: RedirectConfig,
  directResponse: DirectResponseConfig,
};
