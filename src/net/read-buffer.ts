/**
 * Reads of plain sockets, without an allocation for each: all sockets of a
 * thread read into one buffer, and their bytes are handed over in the same turn.
 *
 * The price is a rule: **bytes are only valid until the call returns**. Who keeps
 * them longer, or gives them to something that may, takes {@link owned} bytes.
 * Measured: docs/decisions/0014-one-read-buffer.md.
 */
import net from 'node:net';

/** As much as libuv reads at once. */
const READ_BYTES = 64 * 1024;

const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BYTES);

/** For readers of their own making. The same rule holds for what is in it. */
export function sharedReadBuffer(): Buffer {
  return READ_BUFFER;
}

/** The bytes themselves, or a copy of them when the next read would overwrite them. */
export function owned(bytes: Buffer): Buffer {
  return bytes.buffer === READ_BUFFER.buffer ? Buffer.from(bytes) : bytes;
}

/** An IPv4 address on a dual-stack socket is named in IPv4. */
export function plainIp(address = ''): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

/** Where the bytes of a socket go; whoever serves the socket sets `take`. */
export interface Intake {
  take: (bytes: Buffer) => void;
}

/** For `net.connect` and `new net.Socket`: reads go to the result's `intake` instead of `data` events. */
export function intakeOptions(): { readonly intake: Intake; readonly onread: net.OnReadOpts } {
  const intake: Intake = { take: () => undefined };
  const callback = (bytesRead: number): boolean => {
    intake.take(READ_BUFFER.subarray(0, bytesRead));
    return true;
  };
  return { intake, onread: { buffer: READ_BUFFER, callback } };
}

/** A socket together with its intake; `undefined` when it speaks through `data` events. */
export interface ReadingSocket {
  readonly socket: net.Socket;
  readonly intake: Intake | undefined;
}

interface WithHandle {
  _handle?: unknown;
}

/** Takes over a socket that a server accepted with `pauseOnConnect` and that nobody has read from. */
export function adoptAccepted(accepted: net.Socket): ReadingSocket {
  const { intake, onread } = intakeOptions();
  const socket = adoptHandle(accepted, onread);
  if (socket !== undefined) return { socket, intake };
  accepted.resume();
  return { socket: accepted, intake: undefined };
}

/**
 * Node offers `onread` for outgoing sockets only, so the connection moves to a new socket object.
 *
 * @param create  `paused`: nothing is read before `resume`
 * @returns undefined where the running Node does not let us: the socket stays as it is
 */
export function adoptHandle(
  accepted: net.Socket,
  onread: net.OnReadOpts,
  create: 'reading' | 'paused' = 'reading',
): net.Socket | undefined {
  const holder = accepted as unknown as WithHandle;
  const handle = holder._handle;
  if (!canAdopt(handle)) return undefined;
  holder._handle = null;
  const pauseOnCreate = create === 'paused';
  const options = { handle, allowHalfOpen: true, readable: true, writable: true, pauseOnCreate, onread };
  return new net.Socket(options as net.SocketConstructorOpts);
}

function canAdopt(handle: unknown): boolean {
  return typeof handle === 'object' && handle !== null && 'useUserBuffer' in handle && 'readStart' in handle;
}
