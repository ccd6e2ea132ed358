/** Standard output and standard error of a process that runs until it is told to stop. */
import { writeSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import { createLog, type Log, type LogLevel } from '../base/log.ts';
import { LineWriter, sinkOf } from './line-writer.ts';
import { createPeopleLog } from './people-log.ts';

/** How long the last lines may take, before the process ends without them. */
const FLUSH_MS_MAX = 1_000;

const STDERR = 2;

export interface Console {
  /** Access log, and events under `--json`. */
  readonly out: LineWriter;
  readonly err: LineWriter;
  /** The log of the process: lines for people on a terminal, JSON lines otherwise. */
  readonly log: Log;
  /** Somebody reads standard error on a terminal. */
  readonly attended: boolean;
  flush(): Promise<void>;
  /** For the last words of a process that is about to end: written before this returns, or not at all. */
  lastWords(text: string): void;
}

export function openConsole(level: LogLevel): Console {
  // Whoever reads our standard output may go (`fourways up . | head`): that is no reason to stop serving.
  process.stdout.removeAllListeners('error');
  const out = new LineWriter(sinkOf(process.stdout.fd, process.stdout));
  const err = new LineWriter(sinkOf(process.stderr.fd, process.stderr));
  const attended = process.stderr.isTTY === true;
  const wallMs = (): number => systemClock.wallMs();
  const write = (line: string): void => err.line(line);
  const log = attended
    ? createPeopleLog({ level, colour: colours(), wallMs, write })
    : createLog({ level, wallMs, write });
  return {
    out,
    err,
    log,
    attended,
    async flush() {
      const late = new Promise((resolve) => setTimeout(resolve, FLUSH_MS_MAX).unref());
      await Promise.race([late, Promise.all([out.idle(), err.idle()])]);
    },
    lastWords(text) {
      try {
        writeSync(STDERR, `${text}\n`);
      } catch {
        // Nobody reads, or the pipe is full: there is nobody to tell.
      }
    },
  };
}

/** https://no-color.org: set and not empty means no colours. */
function colours(): 'on' | 'off' {
  const { NO_COLOR: noColour = '', TERM: terminal } = process.env;
  return noColour === '' && terminal !== 'dumb' ? 'on' : 'off';
}
