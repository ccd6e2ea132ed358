/** Bytes that a message takes on the stream, without making them: a simulated fleet gets gigabytes. */
import type { PlanDelta } from '../../src/ir/plan.ts';
import { KINDS } from '../../src/push/inventory.ts';
import type { ControlMessage, ProxyMessage } from '../../src/push/messages.ts';
import { encodeToControl } from '../../src/push/wire-to-control.ts';
import { encodeToProxy } from '../../src/push/wire-to-proxy.ts';

/** Of each message: gRPC's prefix, the frame of HTTP/2, the record of TLS. */
const FRAME_BYTES = 5 + 9 + 22;

/** Of each part besides its name, its kind and its JSON: hash, tags, lengths. */
const PIECE_BYTES = 48;
const DELTA_BYTES = 150;
const CHUNK_BYTES = 128 * 1024;

const jsonBytes = new WeakMap<object, number>();

export function bytesToProxy(message: ControlMessage): number {
  return message.kind === 'delta' ? bytesOfDelta(message.delta) : bytesOf(encodeToProxy(message));
}

export function bytesToControl(message: ProxyMessage): number {
  return bytesOf(encodeToControl(message));
}

/** Of the parts that a delta sets, as JSON. */
export function bytesOfPart(part: object): number {
  let bytes = jsonBytes.get(part);
  if (bytes === undefined) {
    bytes = Buffer.byteLength(JSON.stringify(part));
    jsonBytes.set(part, bytes);
  }
  return bytes;
}

function bytesOfDelta({ set, remove }: PlanDelta): number {
  let bytes = DELTA_BYTES;
  for (const kind of KINDS) {
    for (const name of remove[kind]) bytes += PIECE_BYTES + name.length;
    for (const [name, part] of Object.entries(set[kind])) bytes += PIECE_BYTES + name.length + bytesOfPart(part);
  }
  return bytes + Math.ceil(bytes / CHUNK_BYTES) * FRAME_BYTES;
}

function bytesOf(messages: Iterable<Uint8Array>): number {
  let bytes = 0;
  for (const message of messages) bytes += message.length + FRAME_BYTES;
  return bytes;
}
