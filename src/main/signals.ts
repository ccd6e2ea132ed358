/** What the outside says to a process that runs. */
import { closeSync, openSync } from 'node:fs';

/** What a process is told with that another takes over from (takeover.ts). SIGUSR1 is Node's own. */
export const HAND_OVER = 'SIGUSR2';

export interface Signals {
  /** Resolves with the signal that asks for a polite end. */
  readonly stop: Promise<NodeJS.Signals>;
  /** Calls `action` at every SIGHUP from now on. */
  onReload(action: () => void): void;
}

/**
 * SIGTERM, SIGINT and the hand-over ask for an end; SIGTERM or SIGINT once more is a demand.
 *
 * @param cut  called at the demand; the process ends right after it
 */
export function listenToSignals(cut: () => void): Signals {
  let reload: (() => void) | undefined;
  let demands = 0;
  const { promise: stop, resolve } = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (++demands > 1) {
        cut();
        process.exit(1);
      }
      resolve(signal);
    });
  }
  process.on(HAND_OVER, resolve);
  process.on('SIGHUP', (signal) => {
    // Also what is sent when a terminal is closed: a gateway that was started there ends with it, as people expect.
    if (process.stderr.isTTY && !terminalIsThere()) resolve(signal);
    else reload?.();
  });
  return { stop, onReload: (action) => (reload = action) };
}

function terminalIsThere(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
