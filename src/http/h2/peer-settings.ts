/** What the peer has set, checked as it comes (RFC 9113 section 6.5.2, RFC 8441 section 3). */
import {
  FRAME_BYTES_MAX,
  H2_ERROR,
  H2ConnectionError,
  SETTING,
  WINDOW_BYTES_MAX,
  WINDOW_BYTES_START,
} from './frame.ts';

/** Largest SETTINGS_MAX_FRAME_SIZE: what 24 bits hold. */
const FRAME_BYTES_LIMIT = 0xffffff;

export class PeerSettings {
  /** Undefined until it was set: the size that the compression begins with stays. */
  headerTableBytes: number | undefined;
  /** Streams that we may open; without bound until it was set. */
  streamsMax = Infinity;
  /** Window of each new stream towards the peer. */
  windowBytes = WINDOW_BYTES_START;
  /** Frames are not made larger than the size that every peer takes: those of others would wait behind them. */
  readonly frameBytesMax = FRAME_BYTES_MAX;
  /** Advice only (section 6.5.2). */
  headerListBytesMax = Infinity;
  /** The peer takes extended CONNECT. */
  connectProtocol = false;

  readonly #role: 'server' | 'client';

  /** @param role  ours */
  constructor(role: 'server' | 'client') {
    this.#role = role;
  }

  /** Takes the payload of one SETTINGS frame, a whole number of entries. */
  read(bytes: Buffer, start: number, end: number): H2ConnectionError | undefined {
    for (let at = start; at < end; at += 6) {
      const error = this.#set(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
      if (error !== undefined) return error;
    }
    return undefined;
  }

  #set(id: number, value: number): H2ConnectionError | undefined {
    switch (id) {
      case SETTING.HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        return undefined;
      case SETTING.ENABLE_PUSH:
        if (value > 1 || (value === 1 && this.#role === 'client')) return refused('ENABLE_PUSH', value);
        return undefined;
      case SETTING.MAX_CONCURRENT_STREAMS:
        this.streamsMax = value;
        return undefined;
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_BYTES_MAX) {
          return new H2ConnectionError(H2_ERROR.FLOW_CONTROL_ERROR, 'SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1');
        }
        this.windowBytes = value;
        return undefined;
      case SETTING.MAX_FRAME_SIZE:
        return value < FRAME_BYTES_MAX || value > FRAME_BYTES_LIMIT ? refused('MAX_FRAME_SIZE', value) : undefined;
      case SETTING.MAX_HEADER_LIST_SIZE:
        this.headerListBytesMax = value;
        return undefined;
      case SETTING.ENABLE_CONNECT_PROTOCOL:
        // What was offered must not be taken back.
        if (value > 1 || (value === 0 && this.connectProtocol)) return refused('ENABLE_CONNECT_PROTOCOL', value);
        this.connectProtocol = value === 1;
        return undefined;
      default: // RFC 9113 section 6.5.2: unknown settings are passed over
        return undefined;
    }
  }
}

function refused(name: string, value: number): H2ConnectionError {
  return new H2ConnectionError(H2_ERROR.PROTOCOL_ERROR, `SETTINGS_${name} cannot be ${value}`);
}
