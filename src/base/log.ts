/** Structured log: one JSON object a line. Values must be free of secrets; the caller decides what is said. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export interface LogOptions {
  readonly level: LogLevel;
  wallMs(): number;
  /** Takes one line without its newline. */
  write(line: string): void;
}

export function createLog(options: LogOptions): Log {
  return forwardingLog(options.level, (rank, message, fields) =>
    options.write(JSON.stringify({ time: new Date(options.wallMs()).toISOString(), level: rank, message, ...fields })),
  );
}

/** A log that hands on what is said at `least` or above, for whoever writes it in another form or place. */
export function forwardingLog(
  least: LogLevel,
  say: (level: LogLevel, message: string, fields: LogFields | undefined) => void,
): Log {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(level) >= LEVELS.indexOf(least)) say(level, message, fields);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const nothing = (): void => undefined;

export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
