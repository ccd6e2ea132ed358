/** What the outside says to a process that runs. */
import { closeSync, openSync } from 'node:fs';

/** What a process is told with that another takes over from (takeover.ts). SIGUSR1 is Node's own. */
export const HAND_OVER = 'SIGUSR2';

export interface Signals {
  /** Resolves with the signal that asks for a polite end. */
  readonly stop: Promise<NodeJS.Signals>;
  /** Asks for it as a signal would. */
  ask(signal: NodeJS.Signals): void;
  /** Calls `action` at every SIGHUP from now on. */
  onReload(action: () => void): void;
}

/**
 * SIGTERM and SIGINT ask for an end; one of them once more is a demand. A hand-over is another one's to listen to.
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
  process.on('SIGHUP', (signal) => {
    // Also what is sent when a terminal is closed: a gateway that was started there ends with it, as people expect.
    if (process.stderr.isTTY && !terminalIsThere()) resolve(signal);
    else reload?.();
  });
  return { stop, ask: resolve, onReload: (action) => (reload = action) };
}

/** To a program that this process stands for. */
export function passOn(signals: readonly NodeJS.Signals[], to: (signal: NodeJS.Signals) => void): void {
  for (const signal of signals) process.on(signal, to);
}

function terminalIsThere(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
