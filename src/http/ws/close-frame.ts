/** Close frames of ours (RFC 6455 section 5.5.1). */
import { randomBytes } from 'node:crypto';

/** Status 1001: this end is going away (RFC 6455 section 7.4.1). */
export const GOING_AWAY = 1001;

/** The payload of a control frame has at most 125 bytes (RFC 6455 section 5.5). */
const REASON_BYTES_MAX = 123;

/**
 * @param reason  at most 123 bytes of ASCII
 * @param to  frames to a server are masked (RFC 6455 section 5.3)
 */
export function closeFrame(code: number, reason: string, to: 'client' | 'upstream'): Buffer {
  const payload = Buffer.alloc(2 + Math.min(reason.length, REASON_BYTES_MAX));
  payload.writeUInt16BE(code);
  payload.write(reason, 2, 'latin1');
  if (to === 'client') return Buffer.concat([Buffer.from([0x88, payload.length]), payload]);
  const mask = randomBytes(4);
  const masked = payload.map((byte, i) => byte ^ mask[i & 3]!);
  return Buffer.concat([Buffer.from([0x88, 0x80 | payload.length]), mask, masked]);
}
