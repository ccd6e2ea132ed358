/**
 * What counts of a file after a new look at it. As with a Kubernetes API server
 * that refuses an update: what is wrong leaves the version before it in place.
 */
import type { Problem } from '../base/problem.ts';
import { describeKey, keyOf, type Resource } from '../resource/resource.ts';
import { fileProblem } from './file-problem.ts';
import type { Document, FileContent } from './file-content.ts';

/** One resource that counts. */
export interface Accepted {
  readonly key: string;
  readonly resource: Resource;
  /** Milliseconds since the epoch at which this version was first read. */
  readonly readMs: number;
  /**
   * `kept`: its new text is refused, or its file is away. `implied`: nobody wrote it. `stand-in`: its text is refused,
   * and there is no version before (manifest.ts). All give way to what is written.
   */
  readonly standing: 'written' | 'kept' | 'implied' | 'stand-in';
}

export interface Acceptance {
  readonly accepted: readonly Accepted[];
  readonly problems: readonly Problem[];
  /** `all`: nothing of what was read could be taken. */
  readonly broken: 'no' | 'some' | 'all';
}

/** @param before  what counted until now; asked only when something is wrong */
export function acceptContent(content: FileContent, nowMs: number, before: () => readonly Accepted[]): Acceptance {
  const wrong = content.problems.some(({ level }) => level === 'error');
  const written = content.documents.flatMap((document) => acceptDocument(document, nowMs));
  if (!wrong) return { accepted: written, problems: content.problems, broken: 'no' };

  const old = before().filter(({ standing }) => standing !== 'stand-in');
  if (content.unit === 'file' && old.length > 0) {
    const at = content.problems.find(({ level }) => level === 'error')!.at;
    const kept = keepAll(old);
    return { accepted: kept, problems: [...content.problems, noteOfFile(old, at)], broken: 'all' };
  }
  const kept = keepMissing(content.documents, old, written);
  const problems = [...content.problems, ...kept.map(({ note }) => note)];
  const broken = written.length === 0 ? 'all' : 'some';
  const counted = [...written, ...kept.map(({ accepted }) => accepted)];
  return { accepted: [...counted, ...standIns(content.documents, counted, nowMs)], problems, broken };
}

/** A file that is there and cannot be read. */
export function acceptFailure(file: string, reason: string, before: readonly Accepted[]): Acceptance {
  const problem = fileProblem(file, { code: 'file.unreadable', message: `Cannot read "${file}": ${reason}` });
  const notes = before.length === 0 ? [] : [noteOfFile(before, problem.at)];
  return { accepted: keepAll(before), problems: [problem, ...notes], broken: 'all' };
}

export function keepAll(before: readonly Accepted[]): readonly Accepted[] {
  return before.map((one) => ({ ...one, standing: one.standing === 'written' ? 'kept' : one.standing }));
}

function acceptDocument({ resource, implied }: Document, nowMs: number): Accepted[] {
  if (resource === undefined) return [];
  return [{ key: keyOf(resource), resource, readMs: nowMs, standing: implied ? 'implied' : 'written' }];
}

/** For refused documents of which no other version counts. */
function standIns(documents: readonly Document[], others: readonly Accepted[], nowMs: number): Accepted[] {
  const known = new Set(others.map(({ key }) => key));
  return documents.flatMap(({ standIn }) => {
    if (standIn === undefined || known.has(keyOf(standIn))) return [];
    return [{ key: keyOf(standIn), resource: standIn, readMs: nowMs, standing: 'stand-in' as const }];
  });
}

interface Kept {
  readonly accepted: Accepted;
  readonly note: Problem;
}

/**
 * Old resources that the new documents do not give because something is wrong:
 * those that a broken document names; and where one names none that is known,
 * all that are missing, because it may be any of them.
 */
function keepMissing(documents: readonly Document[], old: readonly Accepted[], written: readonly Accepted[]): Kept[] {
  const given = new Set(written.map(({ key }) => key));
  const missing = old.filter(({ key }) => !given.has(key));
  if (missing.length === 0) return [];
  const broken = documents.filter(({ resource, problems }) => resource === undefined && problems.some(isError));
  const known = new Set(old.map(({ key }) => key));
  const byKey = new Map(broken.map((document) => [document.key, document]));
  const stranger = broken.find(({ key }) => key === undefined || !known.has(key));
  return missing.flatMap((accepted) => {
    const document = byKey.get(accepted.key) ?? stranger;
    if (document === undefined) return [];
    const at = document.problems.find(isError)!.at;
    return [{ accepted: { ...accepted, standing: 'kept' }, note: noteOf(accepted, at) }];
  });
}

function isError({ level }: Problem): boolean {
  return level === 'error';
}

function noteOf({ key, readMs }: Accepted, at: Problem['at']): Problem {
  const message = `Still serving the version read at ${timeOf(readMs)}: the new one has errors`;
  return { level: 'warning', code: 'source.last-good', resource: describeKey(key), ...(at && { at }), message };
}

function noteOfFile(old: readonly Accepted[], at: Problem['at']): Problem {
  const newest = Math.max(...old.map(({ readMs }) => readMs));
  const message = `Still serving the ${counted(old.length)} of the version read at ${timeOf(newest)}`;
  return { level: 'warning', code: 'source.last-good', ...(at && { at }), message };
}

export function counted(count: number): string {
  return count === 1 ? 'resource' : `${count} resources`;
}

export function timeOf(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
