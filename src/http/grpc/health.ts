/** The two messages of `grpc.health.v1` (grpc/doc/health-checking.md), which are all the protobuf that a proxy needs. */

export const HEALTH_SERVICE = 'grpc.health.v1.Health';

export const SERVING = 1;
export const NOT_SERVING = 2;
/** Only in answers of Watch. */
export const SERVICE_UNKNOWN = 3;

export type ServingStatus = typeof SERVING | typeof NOT_SERVING | typeof SERVICE_UNKNOWN;

/** Whole frame of a HealthCheckRequest: field 1, the name of a service. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const field = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  return framed(field);
}

/** Whole frame of a HealthCheckResponse: field 1, a status. */
export function healthResponse(status: ServingStatus): Buffer {
  return framed(Buffer.from([0x08, status]));
}

/** The service of a frame that was received whole; undefined for what is no HealthCheckRequest. */
export function readHealthRequest(frame: Buffer): string | undefined {
  const message = unframed(frame);
  if (message === undefined) return undefined;
  let service = '';
  const good = eachField(message, (field, value) => {
    if (field === 1 && Buffer.isBuffer(value)) service = value.toString();
  });
  return good ? service : undefined;
}

/** The status of a frame that was received whole; undefined for what is no HealthCheckResponse. */
export function readHealthResponse(frame: Buffer): number | undefined {
  const message = unframed(frame);
  if (message === undefined) return undefined;
  let status = 0;
  const good = eachField(message, (field, value) => {
    if (field === 1 && typeof value === 'number') status = value;
  });
  return good ? status : undefined;
}

const PREFIX_BYTES = 5;

function framed(message: Buffer): Buffer {
  const frame = Buffer.alloc(PREFIX_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, PREFIX_BYTES);
  return frame;
}

/** One message that is not compressed, and nothing else. */
function unframed(frame: Buffer): Buffer | undefined {
  if (frame.length < PREFIX_BYTES || frame[0] !== 0) return undefined;
  return frame.readUInt32BE(1) === frame.length - PREFIX_BYTES ? frame.subarray(PREFIX_BYTES) : undefined;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** @returns whether the message is valid to its end */
function eachField(message: Buffer, visit: (field: number, value: number | Buffer) => void): boolean {
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let i = 0; i < 10 && at < message.length; i++) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return -1;
  };
  while (at < message.length) {
    const tag = readVarint();
    if (tag < 0) return false;
    const wire = tag % 8;
    if (wire === 0) {
      const value = readVarint();
      if (value < 0) return false;
      visit(Math.floor(tag / 8), value);
    } else {
      const length = wire === 2 ? readVarint() : wire === 1 ? 8 : wire === 5 ? 4 : -1;
      if (length < 0 || at + length > message.length) return false;
      visit(Math.floor(tag / 8), message.subarray(at, at + length));
      at += length;
    }
  }
  return true;
}
