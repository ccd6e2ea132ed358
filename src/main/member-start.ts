/** How a proxy of a mesh starts as a process: its token, and its end. */
import { readFile } from 'node:fs/promises';
import type { Console } from './console.ts';
import { StartFailure } from './start-failure.ts';

/** Runs it, says why it could not start, and ends the process. */
export async function endWith(console: Console, program: () => Promise<number>): Promise<never> {
  let code = 1;
  try {
    code = await program();
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    for (const line of error.message.split('\n')) console.log.error(line);
  }
  await console.flush();
  process.exit(code);
}

/** @throws {StartFailure} when the file that is named cannot be read */
export async function readTokenFile(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return process.env['FOURWAYS_TOKEN']?.trim() || undefined;
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new StartFailure(`Cannot read the token: ${error instanceof Error ? error.message : String(error)}`);
  }
}
