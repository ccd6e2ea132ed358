/** What commands take from the environment when no option says it. */
import { basename, dirname, join } from 'node:path';
import { isRedisUrl, REDIS_URL_FORM } from '../cli/values.ts';
import type { StateSettings } from './state.ts';
import { StartFailure } from './start-failure.ts';

/** An empty variable is one that is not set: that is how compose files leave one out. */
export function readState(): StateSettings {
  const named = (name: string): string | undefined => process.env[name] || undefined;
  return {
    databaseUrl: named('DATABASE_URL'),
    key: named('FOURWAYS_STATE_KEY'),
    keyFile: named('FOURWAYS_STATE_KEY_FILE'),
  };
}

/** @throws {StartFailure} when the variable holds what is no address of a Redis */
export function readRedis(asked: string | undefined): string | undefined {
  if (asked !== undefined) return asked;
  const named = process.env['REDIS_URL'] || undefined;
  // Its value is secret: it is not repeated.
  if (named !== undefined && !isRedisUrl(named)) throw new StartFailure(`REDIS_URL is not right: ${REDIS_URL_FORM}`);
  return named;
}

/** Not inside a folder of manifests: what is kept must be there when that folder is away. */
export function defaultDataDir(path: string): string {
  return join(dirname(path), '.fourways', basename(path));
}
