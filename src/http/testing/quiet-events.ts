import type { ServerStreamEvents } from '../stream.ts';

/** Takes what it is told and does nothing, for tests that look at something else. */
export const QUIET_EVENTS: ServerStreamEvents = {
  onRequestBody: () => undefined,
  onRequestEnd: () => undefined,
  onRequestFault: () => undefined,
  onClientGone: () => undefined,
  onClientWritable: () => undefined,
  onRequestIdle: () => undefined,
};
