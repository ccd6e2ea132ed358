/**
 * Buffers in which connections gather their frames: of one size, lent from turn to turn, so that neither an answer nor
 * an idle connection costs one.
 */

/** Four DATA frames of the usual size with their headers, and some company. */
export const GATHER_BYTES = 68 * 1024;

/** Buffers that lie ready for the next turn, 2 MiB of them. Seldom do more connections write in one turn. */
const READY_MAX = 32;

const ready: Buffer[] = [];

export function takeBuffer(): Buffer {
  return ready.pop() ?? Buffer.allocUnsafeSlow(GATHER_BYTES);
}

/** Nobody reads or writes it any more. Buffers of other sizes are let go. */
export function giveBuffer(buffer: Buffer): void {
  if (buffer.length === GATHER_BYTES && ready.length < READY_MAX) ready.push(buffer);
}
