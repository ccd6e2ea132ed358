/** The program nft: what it is told, and what it says. */
import { spawn, spawnSync } from 'node:child_process';
import { Fault } from '../base/fault.ts';
import { captureFault } from './faults.ts';

/** It answers in milliseconds. Later: killed. */
const NFT_MS_MAX = 10_000;
const OUTPUT_CHARS_MAX = 4 * 1024 * 1024;

/** @returns what it wrote, or why it did not do it */
export async function nft(args: readonly string[], input = ''): Promise<string | Fault> {
  const child = spawn('nft', args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: NFT_MS_MAX, killSignal: 'SIGKILL' });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out = (out + text).slice(-OUTPUT_CHARS_MAX)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err = (err + text).slice(-OUTPUT_CHARS_MAX)));
  // It may end before it has read all of it: what it said is worth more.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const { promise, resolve } = Promise.withResolvers<string | Fault>();
  child.once('error', (error: NodeJS.ErrnoException) => resolve(notStarted(error)));
  child.once('close', (code) => resolve(code === 0 ? out : refused(args, err)));
  return promise;
}

/** Within this turn of the event loop: no signal that ends the process is heard in between, and at its end there is no other. */
export function nftNow(args: readonly string[], input = ''): Fault | undefined {
  const { status, stderr, error } = spawnSync('nft', args, { input, encoding: 'utf8', timeout: NFT_MS_MAX });
  if (error !== undefined) return notStarted(error);
  return status === 0 ? undefined : refused(args, stderr);
}

function refused(args: readonly string[], said: string): Fault {
  const [first = ''] = said.split('\n', 1);
  return captureFault('capture.refused', `nft ${args.join(' ')}: ${first === '' ? 'no answer' : first}`);
}

function notStarted({ code, message }: NodeJS.ErrnoException): Fault {
  return code === 'ENOENT'
    ? captureFault('capture.nft-missing', 'There is no program "nft" in PATH')
    : captureFault('capture.refused', `nft cannot be started: ${message}`);
}

/** Tables of family inet. */
export async function listTables(): Promise<string[] | Fault> {
  const said = await nft(['-j', 'list', 'tables']);
  if (said instanceof Fault) return said;
  const { nftables = [] } = JSON.parse(said) as {
    nftables?: readonly { readonly table?: { readonly family: string; readonly name: string } }[];
  };
  return nftables.flatMap(({ table }) => (table?.family === 'inet' ? [table.name] : []));
}
