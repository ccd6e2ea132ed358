/** A Redis of an example: the program of the system, with nothing on disk. */
import { spawn } from 'node:child_process';

const HOST = '127.0.0.1';

/**
 * Starts it and waits until it serves.
 *
 * @returns how to end it
 * @throws {Error} when it is not installed, or does not start
 */
export async function startRedis(port: number): Promise<() => Promise<void>> {
  const args = ['--bind', HOST, '--port', String(port), '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  child.once('error', () =>
    reject(new Error('Cannot find the program "redis-server". Install with: sudo apt-get install -y redis-server')),
  );
  let said = '';
  child.once('exit', () => reject(new Error(`Cannot start Redis at ${HOST}:${port}:\n${said}`)));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-65_536);
    if (said.includes('Ready to accept connections')) resolve();
  });
  await ready;
  return async () => {
    child.kill();
    await ended;
  };
}
