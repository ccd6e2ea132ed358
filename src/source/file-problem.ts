import type { Problem } from '../base/problem.ts';

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOENT: 'no such file or directory',
  ENOTDIR: 'not a directory',
  EISDIR: 'it is a directory',
  ELOOP: 'too many levels of symbolic links',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'too many open files in this process',
  ENFILE: 'too many open files on this machine',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EIO: 'input/output error',
  ESTALE: 'the network file system lost it',
  EBUSY: 'it is busy',
};

/** What the system said, in words: `permission denied`. The code of the system when there are none. */
export function systemReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code !== undefined) return REASONS[code] ?? code;
  return error instanceof Error ? error.message : String(error);
}

/** A problem of a whole file: there is no line to point at, so it points at the first. */
export function fileProblem(file: string, { code, message }: { code: string; message: string }): Problem {
  return { level: 'error', code, at: { file, line: 1, column: 1 }, message };
}
