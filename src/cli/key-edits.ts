/** What `fourways keys` changes. */
import { randomBytes } from 'node:crypto';
import { ConsumerName, GroupNames, Labels } from '../filter/consumer.ts';
import {
  isKey,
  KEY_CHARS_MAX,
  KEY_CHARS_MIN,
  newKey,
  PREFIX_FORM,
  readRecord,
  sha256Of,
  writeRecord,
  type WrittenRecord,
} from '../filters/api-key/record.ts';
import { isPassword } from '../filters/basic/credentials.ts';
import { type Algorithm, hashPassword, NEW_SALT_BYTES, normalized } from '../filters/basic/password.ts';
import { isUserName, readUserLine, writeUserLine } from '../filters/basic/users.ts';
import { check, type TSchema } from '../schema/schema.ts';
import { CommandFailure, type ExitCode, type Io, UsageError } from './command.ts';
import { editFile } from './edit-file.ts';
import { kindOf } from './key-report.ts';
import type { KeysTask } from './keys.ts';

export async function createKey({ values, file, path }: KeysTask, io: Io): Promise<ExitCode> {
  const { consumer, prefix = 'fw' } = values;
  if (consumer === undefined) throw new UsageError('Say whose key it is: --consumer NAME');
  if (!PREFIX_FORM.test(prefix)) {
    throw new UsageError(
      `Option --prefix is "${prefix}": must be a letter, then up to 30 letters, digits and underscores`,
    );
  }
  const key = newKey(prefix, randomBytes);
  const record = recordOf(key, consumer, termsOf(values, io));
  await editFile(path, (before) => appended(before, [record], file));
  const { sha256: _, ...shown } = record;
  if (values.json === true) io.out(JSON.stringify({ ...shown, key, file: path }));
  else {
    io.out(key);
    const until = record.expires === undefined ? '' : `, until ${record.expires}`;
    io.err(`Key ${record.id} of ${consumer}${until}, in ${file}. It is not kept anywhere: it cannot be shown again`);
  }
  return 0;
}

export async function importKeys({ values, file, path }: KeysTask, io: Io): Promise<ExitCode> {
  const terms = termsOf(values, io);
  const lines = (await io.readInput()).split('\n').map((line) => line.trim());
  const records = lines.flatMap((line, i) => {
    if (line === '') return [];
    const [key = '', consumer = values.consumer, more] = line.split(/\s+/);
    const at = `Standard input, line ${i + 1}`;
    if (!isKey(key)) {
      const form = `${KEY_CHARS_MIN} to ${KEY_CHARS_MAX} letters, digits and "._~+/-"`;
      throw new CommandFailure(
        `${at}: Expected a key of ${form}; one that can be guessed is not safe to keep as a hash`,
      );
    }
    if (consumer === undefined)
      throw new CommandFailure(`${at}: Whose key is it? Write KEY CONSUMER, or add --consumer`);
    if (more !== undefined) throw new CommandFailure(`${at}: Expected KEY CONSUMER and nothing more`);
    return [recordOf(key, consumer, terms)];
  });
  if (records.length === 0) throw new CommandFailure('Cannot import: standard input holds no key');
  await editFile(path, (before) => appended(before, records, file));
  const imported = records.map(({ id, consumer }) => ({ id, consumer }));
  if (values.json === true) io.out(JSON.stringify({ imported, file: path }));
  else
    io.out(
      [`Imported ${records.length} into ${file}`, ...imported.map(({ id, consumer }) => `${id}  ${consumer}`)].join(
        '\n',
      ),
    );
  return 0;
}

type Terms = Pick<WrittenRecord, 'groups' | 'labels' | 'notBefore' | 'expires'>;

function recordOf(key: string, consumer: string, terms: Terms): WrittenRecord {
  return {
    id: randomBytes(8).toString('hex'),
    sha256: sha256Of(key),
    consumer: checked('--consumer', ConsumerName, consumer),
    ...terms,
  };
}

function termsOf(values: KeysTask['values'], { clock }: Io): Terms {
  const { group = [], label = [], expires, 'not-before': notBefore } = values;
  const labels = label.map((text) => {
    const equals = text.indexOf('=');
    if (equals < 1) throw new UsageError(`Option --label is "${text}": must be NAME=TEXT`);
    return [text.slice(0, equals), text.slice(equals + 1)] as const;
  });
  const begin = notBefore === undefined ? undefined : readTime('--not-before', notBefore, clock.wallMs());
  const end = expires === undefined ? undefined : readTime('--expires', expires, clock.wallMs());
  if (end !== undefined && end <= Math.max(begin ?? 0, clock.wallMs())) {
    throw new UsageError(
      `Option --expires is "${expires}": must be later than ${begin === undefined ? 'now' : '--not-before'}`,
    );
  }
  return {
    groups: checked('--group', GroupNames, group),
    labels: checked('--label', Labels, Object.fromEntries(labels)),
    ...(begin !== undefined && { notBefore: timeText(begin) }),
    ...(end !== undefined && { expires: timeText(end) }),
  };
}

function checked<T>(option: string, schema: TSchema, value: T): T {
  const [issue] = check(schema, value).issues;
  if (issue !== undefined) throw new UsageError(`Option ${option}: ${issue.message}`);
  return value;
}

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, y: 365 * 86_400_000 };

/** Epoch time of `90d` from now, of a date at its begin in UTC, or of a time in UTC. */
function readTime(option: string, text: string, nowMs: number): number {
  const [, count, unit] = /^(\d{1,5})([mhdy])$/.exec(text) ?? [];
  if (count !== undefined) return nowMs + Number(count) * UNIT_MS[unit!]!;
  const ms = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new UsageError(`Option ${option} is "${text}": must be like 90d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z`);
}

/** Whole seconds, as files have it. */
function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

function appended(before: Buffer | undefined, records: readonly WrittenRecord[], file: string): Buffer[] {
  if (before !== undefined) {
    if (kindOf(before) === 'users') throw new CommandFailure(`Cannot add to ${file}: it holds passwords, not keys`);
    for (const { sha256 } of records) {
      if (before.includes(sha256)) throw new CommandFailure(`Cannot import: ${file} has one of these keys already`);
    }
  }
  if (new Set(records.map(({ sha256 }) => sha256)).size < records.length) {
    throw new CommandFailure('Cannot import: standard input holds one key twice');
  }
  return [...withNewline(before), Buffer.from(records.map((record) => `${writeRecord(record)}\n`).join(''))];
}

function withNewline(before: Buffer | undefined): Buffer[] {
  if (before === undefined || before.length === 0) return [];
  return before.at(-1) === LF ? [before] : [before, Buffer.from('\n')];
}

const LF = 0x0a;

export async function revoke({ values, id, file, path }: KeysTask, io: Io): Promise<ExitCode> {
  let removed = values.remove === true;
  await editFile(path, (before) => {
    const place = before === undefined ? undefined : placeOf(before, id);
    if (before === undefined || place === undefined) {
      throw new CommandFailure(`Cannot revoke ${id}: not in ${file}. "fourways keys list ${file}" shows what is there`);
    }
    const record =
      kindOf(before) === 'users' ? undefined : readRecord(before.toString('utf8', place.start, place.stop));
    removed ||= record === undefined;
    const line =
      removed || record === undefined ? [] : [Buffer.from(`${writeRecord({ ...record, disabled: true })}\n`)];
    return [before.subarray(0, place.start), ...line, before.subarray(place.stop + 1)];
  });
  if (values.json === true) io.out(JSON.stringify({ id, file: path, removed }));
  else io.out(`Revoked ${id}: a gateway that runs refuses it within two seconds`);
  return 0;
}

interface LinePlace {
  readonly start: number;
  readonly stop: number;
}

/** The line of a key or of a user. Lines without its name are not read: a file may have a million. */
function placeOf(bytes: Buffer, id: string): LinePlace | undefined {
  if (id === '') return undefined;
  const isOf = kindOf(bytes) === 'users' ? isOfUser : isOfKey;
  for (let at = bytes.indexOf(id); at >= 0; at = bytes.indexOf(id, at + 1)) {
    const start = bytes.lastIndexOf(LF, at) + 1;
    const end = bytes.indexOf(LF, at);
    const stop = end < 0 ? bytes.length : end;
    if (isOf(bytes.toString('utf8', start, stop), id)) return { start, stop };
  }
  return undefined;
}

function isOfKey(line: string, id: string): boolean {
  try {
    return readRecord(line).id === id;
  } catch {
    return false;
  }
}

function isOfUser(line: string, name: string): boolean {
  return line.startsWith(`${name}:`);
}

export async function setPassword({ values, file, path }: KeysTask, io: Io): Promise<ExitCode> {
  const { user, group, algorithm = 'argon2id' } = values;
  if (user === undefined) throw new UsageError('Say whose password it is: --user NAME');
  if (!isUserName(user)) {
    throw new UsageError(
      `Option --user is "${user}": must have 1 to 128 characters, without colons and control characters`,
    );
  }
  const name = normalized(user);
  const wanted = group === undefined ? undefined : checked('--group', GroupNames, group);
  const password = await io.readSecret(`Password of ${name}: `);
  if (password === '' || !isPassword(password)) {
    throw new CommandFailure('Cannot set the password: it must not be empty, and hold no control characters');
  }
  const hash = await hashPassword(password, algorithm as Algorithm, randomBytes(NEW_SALT_BYTES));
  let groups: readonly string[] = [];
  let isNew = true;
  await editFile(path, (before) => {
    if (before !== undefined && kindOf(before) === 'keys') {
      throw new CommandFailure(`Cannot add to ${file}: it holds keys, not passwords`);
    }
    const place = before === undefined ? undefined : placeOf(before, name);
    isNew = place === undefined;
    // Groups stay when none are named.
    groups =
      wanted ??
      (place === undefined ? [] : readUserLine(before!.toString('utf8', place.start, place.stop).trimEnd()).groups);
    const line = Buffer.from(`${writeUserLine({ name, hash, groups })}\n`);
    if (before === undefined || place === undefined) return [...withNewline(before), line];
    return [before.subarray(0, place.start), line, before.subarray(place.stop + 1)];
  });
  if (values.json === true) io.out(JSON.stringify({ user: name, groups, file: path, new: isNew }));
  else io.out(`${isNew ? 'Added' : 'Changed the password of'} ${name} in ${file}`);
  return 0;
}
