/**
 * The life of one stream, as a table (RFC 9113 section 5.1). Both sides of a connection go by it; what one side sends
 * is `out`, what it receives is `in`.
 *
 *     idle -> open -> half-closed-remote -> closed     the peer has said everything
 *                |--> half-closed-local  -> closed     we have said everything
 *
 * Streams are not reserved: nothing is pushed (section 8.4).
 */

export type StreamState = 'idle' | 'open' | 'half-closed-local' | 'half-closed-remote' | 'closed';

export type StreamEvent =
  | 'open' // HEADERS went either way
  | 'end-in' // END_STREAM came
  | 'end-out' // END_STREAM was sent
  | 'reset'; // RST_STREAM went either way, or the connection is gone

interface Row {
  /** Whether the peer may send HEADERS and DATA. */
  readonly receives: boolean;
  /** Whether we may. */
  readonly sends: boolean;
  readonly on: Partial<Record<StreamEvent, StreamState>>;
}

const TABLE: Record<StreamState, Row> = {
  idle: { receives: false, sends: false, on: { open: 'open', reset: 'closed' } },
  open: {
    receives: true,
    sends: true,
    on: { 'end-in': 'half-closed-remote', 'end-out': 'half-closed-local', reset: 'closed' },
  },
  'half-closed-local': { receives: true, sends: false, on: { 'end-in': 'closed', reset: 'closed' } },
  'half-closed-remote': { receives: false, sends: true, on: { 'end-out': 'closed', reset: 'closed' } },
  closed: { receives: false, sends: false, on: { reset: 'closed' } },
};

export function mayReceive(state: StreamState): boolean {
  return TABLE[state].receives;
}

export function maySend(state: StreamState): boolean {
  return TABLE[state].sends;
}

/** @throws {RangeError} on an event that cannot happen in this state: a bug in the caller, never the peer's doing */
export function step(state: StreamState, event: StreamEvent): StreamState {
  const next = TABLE[state].on[event];
  if (next === undefined) throw new RangeError(`Cannot take "${event}" in state "${state}"`);
  return next;
}
