/** Users and their passwords, a line each: `user:hash` or `user:hash:group,group`, as htpasswd has it. */
import { consumerOf, GroupNames } from '../../filter/consumer.ts';
import { type Identity, identityOf } from '../../filter/identity.ts';
import { type Reading, SharedFiles } from '../../filter/shared-file.ts';
import { check } from '../../schema/schema.ts';
import { normalized, type PasswordHash, readPasswordHash } from './password.ts';
import { Digests } from './digests.ts';
import { VerdictCache } from './verdict-cache.ts';

export interface User {
  readonly password: PasswordHash;
  readonly identity: Identity;
}

/** Users of one file: each is some hundred bytes. */
const USERS_MAX = 100_000;

const LINE_CHARS_MAX = 8_192;

/** Lines between which requests go on: some milliseconds. */
const LINES_AT_ONCE = 500;

export class UserTable {
  readonly #users = new Map<string, User>();
  /** One hash of each cost, as often as there are users of it. */
  readonly #passwords: PasswordHash[] = [];
  readonly #digests = new Digests();
  /** Of this table: with another one, nothing that was found out holds any more. */
  readonly verdicts = new VerdictCache();

  get size(): number {
    return this.#users.size;
  }

  /** @returns whether the name was free */
  add(name: string, user: User): boolean {
    if (this.#users.has(name)) return false;
    this.#users.set(name, user);
    this.#passwords.push(user.password);
    return true;
  }

  find(name: string): User | undefined {
    return this.#users.get(name);
  }

  /**
   * A password to be checked for a user that there is not, so that it takes as long as for one that there is: always
   * the same for a name, and of the costs that users have, so that neither time nor repetition tells.
   */
  decoy(name: string): PasswordHash | undefined {
    const { length } = this.#passwords;
    return length === 0
      ? undefined
      : this.#passwords[Number.parseInt(this.#digests.ofName(name).slice(0, 8), 16) % length];
  }

  /** Tells credentials apart without being them. @param token  what stands behind `Basic`, at most TOKEN_CHARS_MAX characters */
  digest(token: string): string {
    return this.#digests.ofToken(token);
  }
}

/** @throws {Error} with the number of the line that is wrong */
export const readUsers: Reading<UserTable> = function* (bytes) {
  const table = new UserTable();
  const lines = bytes.toString().split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.replace(/\r$/, '');
    if (line.trim() !== '' && !line.startsWith('#')) {
      try {
        addLine(table, line);
      } catch (error) {
        throw new Error(`line ${i + 1}: ${(error as Error).message}`, { cause: error });
      }
    }
    if (i % LINES_AT_ONCE === LINES_AT_ONCE - 1) yield;
  }
  return table;
};

function addLine(table: UserTable, line: string): void {
  if (line.length > LINE_CHARS_MAX)
    throw new Error(`Expected at most ${LINE_CHARS_MAX} characters, got ${line.length}`);
  if (table.size === USERS_MAX) throw new Error(`Expected at most ${USERS_MAX} users`);
  const { name, hash: hashText, groups } = readUserLine(line);
  const consumer = consumerOf({ name, groups, labels: {} });
  const identity = identityOf({ method: 'basic', subject: name, consumer });
  if (!table.add(name, { password: readPasswordHash(hashText), identity })) {
    throw new Error('The user of an earlier line');
  }
}

export interface UserLine {
  readonly name: string;
  readonly hash: string;
  readonly groups: readonly string[];
}

/** @throws {Error} when it is no such line; the message shows nothing of the hash, which may be a password */
export function readUserLine(line: string): UserLine {
  const [name = '', hashText = '', groupText = '', ...more] = line.split(':');
  if (hashText === '' || more.length > 0) throw new Error('Expected "user:hash" or "user:hash:group,group"');
  if (!isUserName(name))
    throw new Error('Expected a name of 1 to 128 characters, without colons and control characters');
  const { value: groups, issues } = check(GroupNames, groupText === '' ? [] : groupText.split(','));
  if (groups === undefined) throw new Error(`groups: ${issues[0]!.message}`);
  return { name: normalized(name), hash: hashText, groups };
}

export function writeUserLine({ name, hash: hashText, groups }: UserLine): string {
  return [name, hashText, ...(groups.length === 0 ? [] : [groups.join(',')])].join(':');
}

/** RFC 7617 section 2: no colon and no control characters. */
export function isUserName(text: string): boolean {
  return text.length <= 128 && /^[^:\u0000-\u001f\u007f-\u009f]+$/.test(text) && text.isWellFormed();
}

/** Files that some rule of this worker uses. */
export const USER_FILES = new SharedFiles(readUsers);
