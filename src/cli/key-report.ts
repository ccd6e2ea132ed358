/** What `fourways keys` says of a file. */
import { readFile } from 'node:fs/promises';
import { keyKind, type KeyRecord, readRecord, sha256Of } from '../filters/api-key/record.ts';
import { readPasswordHash } from '../filters/basic/password.ts';
import { readUserLine } from '../filters/basic/users.ts';
import { systemReason } from '../source/file-problem.ts';
import { CommandFailure, type ExitCode, type Io } from './command.ts';
import type { KeysTask } from './keys.ts';
import { formatTable } from './table.ts';

/** Rows of a list for people. More are for programs. */
const ROWS_MAX = 1_000;

/** Problems that are shown of one file. */
const PROBLEMS_MAX = 100;

/** Keys are JSON, users are not. An empty file may become either. */
export function kindOf(bytes: Buffer): 'keys' | 'users' | 'empty' {
  const first = bytes.toString('utf8', 0, 4_096).replace(/^(?:\s|#[^\n]*\n)+/, '')[0];
  return first === undefined ? 'empty' : first === '{' ? 'keys' : 'users';
}

interface Line {
  readonly number: number;
  readonly text: string;
}

/** Lines that say something. */
function* linesOf(bytes: Buffer): Generator<Line> {
  let number = 0;
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0x0a, start);
    const stop = end < 0 ? bytes.length : end;
    number++;
    const text = bytes.toString('utf8', start, stop).trimEnd();
    if (text !== '' && !text.startsWith('#')) yield { number, text };
    start = stop + 1;
  }
}

async function read({ file, path }: KeysTask): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new CommandFailure(`Cannot read ${file}: ${systemReason(error)}`);
  }
}

type State = 'valid' | 'disabled' | 'expired' | 'not-yet';

function stateOf({ disabled, notBefore, expires }: KeyRecord, nowMs: number): State {
  if (disabled) return 'disabled';
  if (expires !== undefined && nowMs >= Date.parse(expires)) return 'expired';
  return notBefore !== undefined && nowMs < Date.parse(notBefore) ? 'not-yet' : 'valid';
}

export async function listKeys(task: KeysTask, io: Io): Promise<ExitCode> {
  const bytes = await read(task);
  return kindOf(bytes) === 'users' ? listUsers(task, io, bytes) : listRecords(task, io, bytes);
}

function listRecords({ values, file }: KeysTask, io: Io, bytes: Buffer): ExitCode {
  const nowMs = io.clock.wallMs();
  const keys = [...linesOf(bytes)]
    .map((line) => parsed(file, line, readRecord))
    .filter(({ consumer }) => values.consumer === undefined || consumer === values.consumer)
    .map((record) => {
      const { sha256: _, disabled: _d, ...shown } = record;
      return { ...shown, state: stateOf(record, nowMs) };
    });
  if (values.json === true) {
    io.out(JSON.stringify({ keys }));
    return 0;
  }
  const rows = keys.slice(0, ROWS_MAX).map(({ id, consumer, groups, labels, state, notBefore, expires }) => {
    const labelText = Object.entries(labels).map(([name, text]) => `${name}=${text}`);
    return [id, consumer, groups.join(',') || '-', state, notBefore ?? '-', expires ?? '-', labelText.join(' ') || '-'];
  });
  const head = ['ID', 'CONSUMER', 'GROUPS', 'STATE', 'FROM', 'UNTIL', 'LABELS'];
  io.out(rows.length === 0 ? `No keys in ${file}` : formatTable(head, rows));
  if (keys.length > ROWS_MAX) io.out(`… and ${keys.length - ROWS_MAX} more: --consumer NAME, or --json`);
  return 0;
}

function listUsers({ values, file }: KeysTask, io: Io, bytes: Buffer): ExitCode {
  const users = [...linesOf(bytes)]
    .map((line) => parsed(file, line, readUserLine))
    .filter(({ name }) => values.consumer === undefined || name === values.consumer)
    .map(({ name, groups }) => ({ name, groups }));
  if (values.json === true) io.out(JSON.stringify({ users }));
  else {
    const rows = users.slice(0, ROWS_MAX).map(({ name, groups }) => [name, groups.join(',') || '-']);
    io.out(formatTable(['USER', 'GROUPS'], rows));
    if (users.length > ROWS_MAX) io.out(`… and ${users.length - ROWS_MAX} more: --consumer NAME, or --json`);
  }
  return 0;
}

function parsed<T>(file: string, { number, text }: Line, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new CommandFailure(`${file}:${number}: ${(error as Error).message}`);
  }
}

interface LineProblem {
  readonly line: number;
  readonly message: string;
}

interface Checked {
  readonly lines: number;
  readonly problems: readonly LineProblem[];
  readonly records: ReadonlyMap<string, KeyRecord>;
}

export async function verifyKeys(task: KeysTask, io: Io): Promise<ExitCode> {
  const { values, file } = task;
  const bytes = await read(task);
  const isKeys = kindOf(bytes) !== 'users';
  if (values.stdin === true && !isKeys) throw new CommandFailure(`Cannot look a key up in ${file}: it holds passwords`);
  const { lines, problems, records } = isKeys ? checkKeys(bytes) : checkUsers(bytes);
  const found = values.stdin === true ? lookUp(await io.readSecret('Key: '), records, io.clock.wallMs()) : undefined;
  if (values.json === true) io.out(JSON.stringify({ lines, problems, ...(found !== undefined && { key: found }) }));
  else {
    for (const { line, message } of problems) io.err(`${file}:${line}: ${message}`);
    if (problems.length === 0) io.out(`${file}: ${lines} ${isKeys ? 'keys' : 'users'}, every line is right`);
    if (found !== undefined) io.out(foundText(found, file));
  }
  return problems.length > 0 || (found !== undefined && found.state !== 'valid') ? 1 : 0;
}

function checkKeys(bytes: Buffer): Checked {
  const lineOf = new Map<string, number>();
  const records = new Map<string, KeyRecord>();
  return {
    ...checkLines(bytes, ({ number, text }) => {
      const record = readRecord(text);
      const same = lineOf.get(record.sha256);
      if (same !== undefined) throw new Error(`The same key as in line ${same}`);
      const sameId = lineOf.get(record.id);
      if (sameId !== undefined) throw new Error(`id: The same as in line ${sameId}`);
      lineOf.set(record.sha256, number).set(record.id, number);
      records.set(record.sha256, record);
    }),
    records,
  };
}

function checkUsers(bytes: Buffer): Checked {
  const names = new Set<string>();
  return {
    ...checkLines(bytes, ({ text }) => {
      const { name, hash } = readUserLine(text);
      if (names.has(name)) throw new Error('The user of an earlier line');
      names.add(name);
      readPasswordHash(hash);
    }),
    records: new Map(),
  };
}

/** @param look  throws what is wrong with a line */
function checkLines(bytes: Buffer, look: (line: Line) => void): Omit<Checked, 'records'> {
  const problems: LineProblem[] = [];
  let lines = 0;
  for (const line of linesOf(bytes)) {
    lines++;
    try {
      look(line);
    } catch (error) {
      problems.push({ line: line.number, message: (error as Error).message });
      if (problems.length === PROBLEMS_MAX) break;
    }
  }
  return { lines, problems };
}

interface FoundKey {
  /** Whether its checksum is right; `foreign`: it has none of ours. */
  readonly kind: ReturnType<typeof keyKind>;
  readonly id?: string;
  readonly consumer?: string;
  readonly state: State | 'unknown';
}

function lookUp(key: string, records: ReadonlyMap<string, KeyRecord>, nowMs: number): FoundKey {
  const kind = keyKind(key);
  const record = records.get(sha256Of(key));
  if (record === undefined) return { kind, state: 'unknown' };
  return { kind, id: record.id, consumer: record.consumer, state: stateOf(record, nowMs) };
}

function foundText({ kind, id, consumer, state }: FoundKey, file: string): string {
  if (id !== undefined) return `Key ${id} of ${consumer}: ${state}`;
  const hint = {
    valid: '',
    mistyped: '; its checksum is wrong: it was mistyped or cut',
    foreign: '; it is not of our form',
  };
  return `Key is not in ${file}${hint[kind]}`;
}
