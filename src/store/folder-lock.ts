/**
 * Who holds the folder of the embedded database: one process, because two would
 * destroy it. A socket in the folder is the lock: the system lets go of it when its
 * process ends, however it ends, and whoever finds one that nobody answers takes over.
 */
import { closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

const NAME = 'lock';

/** Length that every system takes in the name of a socket. */
const SOCKET_PATH_BYTES_MAX = 100;

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * @returns undefined when another process holds it
 * @throws {Error} with the `code` of the system when the folder cannot be written
 */
export async function lockFolder(dir: string): Promise<FolderLock | undefined> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const plain = join(dir, NAME);
  if (Buffer.byteLength(plain) <= SOCKET_PATH_BYTES_MAX) return lockAt(plain);
  // Linux gives every open folder a short name.
  const folder = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await lockAt(join(`/proc/self/fd/${folder}`, NAME), plain);
  } finally {
    closeSync(folder);
  }
}

async function lockAt(path: string, kept = path): Promise<FolderLock | undefined> {
  const first = await listen(path);
  if (first !== undefined) return lockOf(first, kept);
  if (await isAnswered(path)) return undefined;
  rmSync(kept, { force: true });
  const second = await listen(path);
  return second === undefined ? undefined : lockOf(second, kept);
}

function lockOf(server: Server, path: string): FolderLock {
  return {
    async release() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(path, { force: true });
    },
  };
}

function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => resolve(server));
  });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}
