/** Keeps compiled code between runs: a start takes less time, and from source half the memory. */
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Turns the cache on for this thread, and by the environment for the threads it starts.
 *
 * Not in the folder for temporary files, which is where Node.js would put it: there, another user could have made it
 * first and would choose the code that we run. NODE_DISABLE_COMPILE_CACHE=1 turns it off.
 */
export function keepCompiledCode(): void {
  const folder = process.env['NODE_COMPILE_CACHE'] ?? join(cacheHome(), 'fourways', 'code');
  // A folder that cannot be written is no failure: then nothing is kept.
  const { directory } = enableCompileCache(folder);
  if (directory !== undefined) process.env['NODE_COMPILE_CACHE'] = folder;
}

/** @see XDG Base Directory Specification: relative paths there are to be ignored */
function cacheHome(): string {
  const named = process.env['XDG_CACHE_HOME'] ?? '';
  return named.startsWith('/') ? named : join(homedir(), '.cache');
}
