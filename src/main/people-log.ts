/** Log lines for somebody who sits before a terminal. Machines get JSON lines (base/log.ts). */
import { forwardingLog, type Log, type LogFields, type LogLevel } from '../base/log.ts';

export interface PeopleLogOptions {
  readonly level: LogLevel;
  readonly colour: 'on' | 'off';
  readonly wallMs: () => number;
  /** Takes text without its last newline. */
  readonly write: (text: string) => void;
}

const COLOURS: Readonly<Record<LogLevel, string>> = { debug: '2', info: '36', warn: '33', error: '31' };

/** `12:03:04 warn  Message  key=value list=[a, b]`. A stack stands on lines of its own. */
export function createPeopleLog({ level: least, colour, wallMs, write }: PeopleLogOptions): Log {
  const paint = (code: string, text: string): string => (colour === 'on' ? `\u001b[${code}m${text}\u001b[0m` : text);
  return forwardingLog(least, (level, message, fields = {}) => {
    const { stack, ...rest } = fields;
    const time = new Date(wallMs()).toTimeString().slice(0, 8);
    const details = detailsOf(rest);
    const head = `${paint('2', time)} ${paint(COLOURS[level], level.padEnd(5))} ${message}`;
    const line = details === '' ? head : `${head}  ${paint('2', details)}`;
    write(typeof stack === 'string' && stack !== '' ? `${line}\n${stack}` : line);
  });
}

/** What is empty says nothing to a person. */
function detailsOf(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
    .map(([key, value]) => `${key}=${textOf(value)}`)
    .join(' ');
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join(', ')}]`;
  if (typeof value === 'string') return value.includes(' ') ? JSON.stringify(value) : value;
  return JSON.stringify(value) ?? 'undefined';
}
