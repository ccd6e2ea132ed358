/** The methods of push.proto for `@grpc/grpc-js`, with bytes as messages: what they mean is read by our own codec. */
import type { ChannelOptions, MethodDefinition } from '@grpc/grpc-js';
import { MESSAGE_BYTES_MAX } from './messages.ts';

const same = (bytes: Buffer): Buffer => bytes;

function method(path: string, kind: 'unary' | 'stream'): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: kind === 'stream',
    responseStream: kind === 'stream',
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

export const PLAN_SERVICE = { Stream: method('/fourways.push.v1.Plan/Stream', 'stream') };

export const JOIN_SERVICE = {
  Anchors: method('/fourways.push.v1.Join/Anchors', 'unary'),
  Join: method('/fourways.push.v1.Join/Join', 'unary'),
  Renew: method('/fourways.push.v1.Join/Renew', 'unary'),
};

/** How soon a peer that vanished is noticed: after a silence a ping, and a time for its answer. */
export interface Keepalive {
  readonly silenceMs: number;
  readonly answerMs: number;
}

export const KEEPALIVE: Keepalive = { silenceMs: 15_000, answerMs: 5_000 };

/** Bytes on the way before the reader has taken them: a plan comes in fewer round trips. */
const WINDOW_BYTES = 256 * 1024;

export function channelOptions({ silenceMs, answerMs }: Keepalive): ChannelOptions {
  return {
    'grpc.keepalive_time_ms': silenceMs,
    'grpc.keepalive_timeout_ms': answerMs,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    'grpc.enable_channelz': 0,
    'grpc.enable_retries': 0,
    // Of a sidecar it would be the sidecar.
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
  };
}
