/** Users of this host: passwd(5). */
import { readFile } from 'node:fs/promises';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly name: string | undefined;
  readonly home: string | undefined;
}

/** @param who  a name, or a number that need not stand there. @returns undefined when nobody has the name */
export function accountIn(passwd: string, who: string): Account | undefined {
  for (const line of passwd.split('\n')) {
    const [name, , uid, gid, , home] = line.split(':');
    if (name === undefined || uid === undefined || gid === undefined) continue;
    if (name === who || uid === who) return { uid: Number(uid), gid: Number(gid), name, home };
  }
  return /^\d{1,9}$/.test(who) ? { uid: Number(who), gid: Number(who), name: undefined, home: undefined } : undefined;
}

export async function findAccount(who: string, path = '/etc/passwd'): Promise<Account | undefined> {
  return accountIn(await readFile(path, 'utf8').catch(() => ''), who);
}
