/**
 * Who holds the folder of the embedded database: one process, because two would
 * destroy it. A socket in the folder is the lock: the system lets go of it when its
 * process ends, however it ends.
 *
 *     listen -> show the name -> ask every other one -> hold, or let go
 *
 * Everybody shows a name of its own before it looks for others, so of two at least the
 * later one sees the other. One that holds says so. Of two that have not decided, the
 * greater name lets go and the smaller one waits for that. A name is never used again:
 * whoever finds one that nobody answers may remove it at any time.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** `lock-` and 64 random bits: two processes do not meet on one name. */
const NAME = /^lock-[0-9a-f]{16}$/;

/** Added while it does not answer yet: bound, a socket refuses until it listens, and would look like one left behind. */
const DRAFT = '.draft';

/** Length that every system takes in the name of a socket. */
const SOCKET_PATH_BYTES_MAX = 100;

/** How long another one may take to decide: it only asks, as we do. One that is stopped meanwhile counts as the holder. */
const DECIDE_MS_MAX = 2_000;

/** What the holder says to whoever asks. */
const HELD = 'held';

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * @returns undefined when another process holds it
 * @throws {Error} with the `code` of the system when the folder cannot be written
 */
export async function lockFolder(dir: string): Promise<FolderLock | undefined> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const name = `lock-${randomBytes(8).toString('hex')}`;
  if (Buffer.byteLength(join(dir, name + DRAFT)) <= SOCKET_PATH_BYTES_MAX) return lockIn({ dir, short: dir }, name);
  // Linux gives every open folder a short name.
  const folder = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await lockIn({ dir, short: `/proc/self/fd/${folder}` }, name);
  } finally {
    closeSync(folder);
  }
}

/** A folder by the name that lasts and by one that is short enough for sockets. */
interface Folder {
  readonly dir: string;
  readonly short: string;
}

async function lockIn({ dir, short }: Folder, name: string): Promise<FolderLock | undefined> {
  const candidate = new Candidate(join(dir, name));
  await candidate.listen(join(short, name + DRAFT));
  try {
    renameSync(join(dir, name + DRAFT), candidate.path);
    const others = readdirSync(dir).filter((other) => NAME.test(other) && other !== name);
    const answers = await Promise.all(
      others.map(async (other) => {
        const answer = await ask(join(short, other), other < name ? 'alive' : 'decided');
        if (answer === 'nobody') rmSync(join(dir, other), { force: true });
        return answer;
      }),
    );
    if (answers.includes('somebody')) {
      await candidate.release();
      return undefined;
    }
    candidate.hold();
    for (const draft of readdirSync(dir)) if (draft.endsWith(DRAFT)) rmSync(join(dir, draft), { force: true });
    return candidate;
  } catch (error) {
    await candidate.release();
    // Who holds removes all drafts: one that a process did not live to rename, and one that comes too late.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

class Candidate implements FolderLock {
  readonly path: string;
  readonly #server: Server;
  /** Those who ask: as many as processes want the folder at one time. */
  readonly #asking = new Set<Socket>();
  #holds = false;

  constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => this.#answer(socket)).unref();
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => resolve());
    });
  }

  hold(): void {
    this.#holds = true;
    for (const socket of this.#asking) socket.end(HELD);
  }

  async release(): Promise<void> {
    rmSync(this.path, { force: true });
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#asking) socket.destroy();
    await closed;
  }

  #answer(socket: Socket): void {
    this.#asking.add(socket);
    socket.unref();
    socket.on('error', () => undefined);
    socket.on('close', () => this.#asking.delete(socket));
    socket.resume();
    if (this.#holds) socket.end(HELD);
  }
}

/** @param until  `alive`: that it listens is enough; `decided`: it counts when it holds, or does not say in time */
function ask(path: string, until: 'alive' | 'decided'): Promise<'somebody' | 'nobody'> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const somebody = (): void => {
      socket.destroy();
      resolve('somebody');
    };
    socket.setTimeout(DECIDE_MS_MAX, somebody);
    if (until === 'alive') socket.once('connect', somebody);
    socket.once('data', somebody);
    socket.once('close', () => resolve('nobody'));
    // Any other error, such as that of a full queue, is one of a socket that somebody listens on.
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ECONNRESET' ? 'nobody' : 'somebody'),
    );
  });
}
